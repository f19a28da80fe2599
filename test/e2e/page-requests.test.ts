// Requests on the page in a real Chromium: quantiles that are those of known values, the parts of their time as
// bars, the slowest one by one; and that what is drawn says what it means.
import { appendFileSync, chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { logHeader } from '../../src/metrics/exposition.js';
import {
  chromiumPath,
  rowsOf,
  startBrowser,
  tileOf,
  visit,
  type Page,
} from '../support/browser.js';
import { startCollector, temporaryFolder } from '../support/collector.js';
import { CLIENT } from '../support/exchanges.js';
import { createNamespace } from '../support/netns.js';
import { pageState, writeState } from '../support/page-state.js';
import { requestLine, type LoggedRequest } from '../support/request-lines.js';
import { startServe } from '../support/serve-process.js';
import { needsRoot, unless } from '../support/skip.js';
import { runHttp } from '../support/traffic.js';
import { until } from '../support/wait.js';

const skip = unless(chromiumPath() !== '', 'needs chromium');
const browser = skip === false ? await startBrowser(t) : null;
const UNTIL = { everyMs: 50 };
const MS = 1_000_000;
const HEADER = logHeader('requests').toString();

/** As root, the endpoint becomes nobody. */
function readableFolder(t: Test): string {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o755);
  return folder;
}

/** A page over such a state and such lines of requests.log. */
async function opened(t: Test, lines: readonly string[], options = {}) {
  const folder = readableFolder(t);
  await writeState(folder, pageState(), Date.now() - 10_000);
  writeFileSync(join(folder, 'requests.log'), HEADER + lines.join(''));
  const serve = await startServe(t, folder);
  const shown = await visit(t, browser!, `http://${serve.address}/`, options);
  return { folder, serve, ...shown };
}

const took = (ms: number, more: Partial<LoggedRequest> = {}): string =>
  requestLine({
    ...{ durationNs: ms * MS, partNs: [0, MS, 0, (ms - 1) * MS, 0, 0], endMs: Date.now() },
    ...more,
  });

async function rowsWhen(page: Page, heading: string, count: number) {
  const all = async () => {
    const rows = await rowsOf(page, heading);
    return rows.length === count ? rows : null;
  };
  return until(all, { ...UNTIL, what: `${count} rows of ${heading}` });
}

const legendValue = async (page: Page, panel: string, label: string): Promise<number | null> => {
  const item = page.locator('.panel', { hasText: panel }).locator('.legend li', { hasText: label });
  const text = await item.locator('.legend-value').first().getAttribute('data-value');
  return text === null || text === '' ? null : Number(text);
};

t.test('quantiles on the page are those of known values', { skip }, async (t) => {
  const hundred = Array.from({ length: 100 }, (_, i) => took(i + 1, { target: `/orders/${i}` }));
  const one = took(1230, { target: '/slow', status: 500, serverPort: 8080 });
  const { folder, page, problems } = await opened(t, [...hundred, one]);
  const [slow, orders] = await rowsWhen(page, 'By route', 2).then((rows) =>
    rows.toSorted((a, b) => (a.values[0]! < b.values[0]! ? 1 : -1)),
  );
  t.strictSame(orders?.values.slice(0, 3), ['GET /orders/*', 'server', '100']);
  t.strictSame(orders?.values.slice(4, 9), ['0', '0.05', '0.095', '0.099', '0.1']);
  t.strictSame(slow?.values.slice(0, 3), ['GET /slow', 'server', '1']);
  t.strictSame(slow?.values.slice(4, 9), ['1', '1.23', '1.23', '1.23', '1.23'], 'not 2.16');
  t.match(
    (await page.locator('.panel', { hasText: 'By route' }).locator('.caption').textContent()) ?? '',
    /^Exact: from each of the 101 requests of the last /,
  );
  // 42 requests of 80 us: OpenTelemetry's first bucket ends at 5 ms.
  await writeState(folder, pageState({ factor: 3 }));
  const fast = async () => legendValue(page, 'Requests and their durations', 'p95');
  const p95 = (await until(fast, { ...UNTIL, what: 'quantiles of the newest interval' })) ?? NaN;
  t.ok(Math.abs(p95 / 0.00008 - 1) < 0.1, `${p95} s for 80 us`);
  const kinds = await rowsOf(page, 'Requests by method, status and port');
  t.strictSame(
    kinds.map(({ values, texts }) => [
      values[2],
      values[3],
      values[6],
      texts[6]?.replace('\u00a0', ' '),
    ]),
    [
      ['200', '8080', '', '–'],
      ['500 error', '8080', '1.23', '1.23 s'],
    ],
    'also by status, where there were requests',
  );
  t.equal(await tileOf(page, 'rtt'), 0.000002, 'of sockets of 1, 2 and 3 us');
  t.match((await page.locator('[data-tile="rtt"]').textContent()) ?? '', /p95 3\u00a0µs of 3 open/);
  t.strictSame(problems, []);
});

t.test('without the requests themselves a bound is shown as one', { skip }, async (t) => {
  const folder = readableFolder(t);
  await writeState(folder, pageState(), Date.now() - 10_000);
  const serve = await startServe(t, folder);
  const { page, problems } = await visit(t, browser!, `http://${serve.address}/`);
  await writeState(folder, pageState({ factor: 3 }));
  const bounds = async () => {
    const rows = await rowsOf(page, 'Requests by method, status and port');
    return rows[0]?.texts[6] === '≤\u00a05\u00a0ms';
  };
  await until(bounds, { ...UNTIL, what: 'a bound' });
  const note = page.locator('.panel', { hasText: 'Slowest requests' }).locator('.note');
  t.match((await note.textContent()) ?? '', /^requests\.log is not there/);
  t.strictSame(problems, []);
});

t.test('the parts of the time are bars, and words for who cannot see them', { skip }, async (t) => {
  const { folder, page, problems } = await opened(t, []);
  await writeState(folder, pageState({ factor: 3 }));
  const parts = await rowsWhen(page, 'Where the time goes', 2);
  t.strictSame(
    parts.map(({ values }) => [
      values[0],
      Number(values[1]).toFixed(6),
      Number(values[2]).toFixed(2),
    ]),
    [
      ['receive_queue', '0.000020', '0.25'],
      ['application', '0.000060', '0.75'],
    ],
  );
  const chart = page.locator('.panel', { hasText: 'Where the time goes' }).locator('.plot').first();
  let factor = 3;
  const said = async () => {
    const text = await chart.getAttribute('aria-label');
    // a look at the same state again has nothing that is new
    await writeState(folder, pageState({ factor: ++factor }));
    return /application 60\u00a0µs/.test(text ?? '');
  };
  await until(said, { ...UNTIL, everyMs: 200, what: 'the chart says what the application took' });
  const server = page.locator('input[name="parts-side"][value="server"]');
  await server.focus();
  await page.keyboard.press('ArrowRight');
  await rowsWhen(page, 'Where the time goes', 0);
  t.pass('the other side has none, by the keyboard alone');
  t.strictSame(problems, []);
});

/** Widths of the bars' parts in a row, of the whole bar, in percent. */
const widthsOf = (page: Page): Promise<number[][]> =>
  page.evaluate<number[][]>(
    `[...document.querySelectorAll('td.stacked .stack')].filter((bar) => bar.closest('table')
      .caption.textContent === 'Slowest requests').map((bar) => [...bar.children].map((part) =>
        Math.round(100 * part.getBoundingClientRect().width / bar.getBoundingClientRect().width)))`,
  );

t.test('the slowest requests are bars of their parts, in numbers on a key', { skip }, async (t) => {
  const name = '<img src=x a=">';
  const slow = requestLine({
    ...{ durationNs: 400 * MS, partNs: [0, 100 * MS, 0, 280 * MS, 0, 20 * MS], comm: name },
    ...{ inside: { runQueueNs: 30 * MS }, retransmits: 2, target: '/slow', endMs: Date.now() },
  });
  const half = requestLine({
    ...{ role: CLIENT, durationNs: 200 * MS, partNs: [0, 0, 200 * MS, 0, 0, null] },
    ...{ target: '/half', endMs: Date.now() },
  });
  const { page, folder, problems } = await opened(t, [half, slow]);
  const rows = await rowsWhen(page, 'Slowest requests', 2);
  t.strictSame(
    rows.map(({ texts }) => [texts[0], texts[1], texts[3], ...texts.slice(4, 7)]),
    [
      ['GET /slow', '400\u00a0ms', 'application 70\u00a0%', '200', 'server', name],
      ['GET /half', '200\u00a0ms', 'remote 100\u00a0%', '200', 'client', 'nginx'],
    ],
  );
  t.strictSame(await widthsOf(page), [[25, 70, 5], [50]]);
  const said = await page.evaluate<string[]>(
    `[...document.querySelectorAll('.stack[role="img"]')].map((bar) => bar.ariaLabel)`,
  );
  t.ok(said.includes('receive queue 100\u00a0ms, application 280\u00a0ms, send wait 20\u00a0ms'));
  await page.locator('.pick', { hasText: '/slow' }).focus();
  await page.keyboard.press('Enter');
  const detail = page.locator('.panel', { hasText: 'Slowest requests' }).locator('.caption');
  const text = ((await detail.textContent()) ?? '').replaceAll('\u00a0', ' ');
  t.equal(
    text,
    'GET /slow 200: 400 ms; request transfer 0 s + receive queue 100 ms + behind 0 s + ' +
      'application 280 ms + response write 0 s + send wait 20 ms; of which receive queue run queue ' +
      `30 ms; 2 retransmitted; server ${name}, 10.0.0.1:80 ← 10.0.0.2:40000`,
  );
  appendFileSync(join(folder, 'requests.log'), took(900, { target: '/new' }));
  // an answer of the endpoint holds for a moment: the collector's next file but one has it at the latest
  let factor = 1;
  const [first] = await until(
    async () => {
      await writeState(folder, pageState({ factor: ++factor }));
      const now = await rowsOf(page, 'Slowest requests');
      return now.length === 3 ? now : null;
    },
    { ...UNTIL, everyMs: 500, what: 'a third row of Slowest requests' },
  );
  t.equal(first?.texts[0], 'GET /new', 'a new one comes with the next snapshot');
  t.equal(await page.evaluate('document.activeElement.textContent'), 'GET /slow', 'focus stays');
  t.equal(await page.locator('main img').count(), 0);
  t.strictSame(problems, []);
});

t.test('a request that is pressed shows its packets, and no others', { skip }, async (t) => {
  const endMs = Date.now();
  const slow = requestLine({
    ...{ durationNs: 400 * MS, partNs: [0, 100 * MS, 0, 280 * MS, 0, 20 * MS] },
    ...{ target: '/slow', endMs },
  });
  const [, sock = ''] = /sock="([^"]+)"/.exec(slow) ?? [];
  const packet = (of: string, atMs: number, rx: number, labels: string, bytes: number): string =>
    `netwatch_packet_bytes{sock="${of}",src="10.0.0.1:80",dst="10.0.0.2:40000",seq="1",ack="2",rx="${rx}"${labels}} ${bytes} ${atMs}\n`;
  const { page, folder, problems } = await opened(t, [slow]);
  const lines = [
    packet(sock, endMs - 900, 1, ',http_info="GET /before HTTP/1.1"', 52),
    packet(sock, endMs - 400, 1, ',http_info="GET /slow?token=* HTTP/1.1"', 92),
    packet(`${sock}0`, endMs - 100, 0, ',http_info="-"', 777),
    packet(sock, endMs, 0, ',retransmit="1",tcp_time="1500",http_info="HTTP/1.1 200 OK"', 60),
    packet(sock, endMs + 500, 0, ',http_info="-"', 61),
  ];
  writeFileSync(join(folder, 'packets.log'), lines.join(''));
  await rowsWhen(page, 'Slowest requests', 1);
  await page.locator('.pick', { hasText: '/slow' }).focus();
  await page.keyboard.press('Enter');
  const rows = async () => {
    const all = await rowsOf(page, 'Slowest requests');
    return all.length === 3 ? all.slice(1) : null;
  };
  const found = await until(rows, { ...UNTIL, what: 'its packets' });
  t.strictSame(
    found.map(({ texts }) => texts.map((text) => (text ?? '').replaceAll('\u00a0', ' '))),
    [
      ['0 s', 'received', '92', '', '', 'GET /slow?token=* HTTP/1.1'],
      ['400 ms', 'sent', '60', 'yes', 'TCP 1.5 ms', 'HTTP/1.1 200 OK'],
    ],
  );
  t.strictSame(problems, []);
});

t.test('no text of a tile touches its line, however large the number', { skip }, async (t) => {
  const { folder, page } = await opened(t, []);
  await writeState(folder, pageState({ factor: 987_654, connections: 999 }));
  const there = async () => (await tileOf(page, 'opened')) !== null;
  await until(there, { ...UNTIL, what: 'rates' });
  for (const width of [1440, 1100, 1062, 900, 780]) {
    await page.setViewportSize({ width, height: 900 });
    const gaps = await page.evaluate<number[]>(
      `[...document.querySelectorAll('.tile')].map((tile) => {
        const text = document.createRange();
        text.selectNodeContents(tile.querySelector('.tile-value'));
        return tile.querySelector('.tile-spark').getBoundingClientRect().left -
          text.getBoundingClientRect().right;
      })`,
    );
    t.equal(gaps.length, 10);
    t.ok(Math.min(...gaps) >= 8, `${width} px: ${Math.min(...gaps).toFixed(1)} px`);
  }
});

for (const colorScheme of ['light', 'dark'] as const)
  t.test(`the heat map says what its colours mean, ${colorScheme}`, { skip }, async (t) => {
    const { folder, page, problems } = await opened(t, [], { colorScheme });
    await writeState(folder, pageState({ connections: 40 }));
    const legend = page.locator('.heat-legend li');
    const shown = async () => (await legend.count()) > 1;
    await until(shown, { ...UNTIL, what: 'a legend' });
    const texts = await legend.allTextContents();
    t.match(texts[0], /^1( to \d+)?$/);
    t.match(texts.at(-1), /^\d+ to \d+$/);
    const colours = await page.evaluate<string[]>(
      `[...document.querySelectorAll('.heat-swatch')].map(
        (swatch) => getComputedStyle(swatch).backgroundColor)`,
    );
    t.equal(new Set(colours).size, texts.length, 'each has a colour of its own');
    const drawn = await page.evaluate<string[]>(`{
      const canvas = document.querySelector('.heat');
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      const found = new Set();
      for (let i = 0; i < data.length; i += 4)
        if (data[i + 3] === 255) found.add('rgb(' + [...data.slice(i, i + 3)].join(', ') + ')');
      [...found];
    }`);
    t.ok(drawn.includes(colours.at(-1) ?? ''), 'the most is drawn as the legend has it');
    t.strictSame(problems, []);
  });

t.test('on a telephone the bars scroll inside their table', { skip }, async (t) => {
  const viewport = { width: 360, height: 740 };
  const { page, problems } = await opened(t, [took(50, { target: `/${'long-name-'.repeat(9)}` })], {
    viewport,
  });
  await rowsWhen(page, 'Slowest requests', 1);
  t.equal(await page.evaluate('document.documentElement.scrollWidth'), 360);
  const bar = page.locator('td.stacked .stack').first();
  t.ok(((await bar.boundingBox())?.width ?? 0) >= 100);
  t.strictSame(problems, []);
});

const PORT = 8080;

t.test(
  'requests of a real collector are on the page with parts that add up',
  { skip: skip || needsRoot },
  async (t) => {
    const namespace = createNamespace(t);
    const collector = await startCollector(t, namespace, ['-i', '--quiet', '--interval', '1'], {
      dataFolder: readableFolder(t),
    });
    const serve = await startServe(t, collector.dataFolder);
    const { page, problems } = await visit(t, browser!, `http://${serve.address}/`);
    const requests = [{ path: '/delay/30' }, { path: '/orders/1' }];
    await runHttp(namespace, { total: 20, connections: 2, requests, port: PORT }, { port: PORT });
    const whole = async () => {
      const rows = await rowsOf(page, 'By route');
      return rows.length === 4 && rows.every(({ values }) => values[2] === '10') ? rows : null;
    };
    const routes = await until(whole, { ...UNTIL, what: 'ten requests of each route' });
    t.strictSame(routes.map(({ values }) => [...values.slice(0, 3), values[4]]).sort(), [
      ['GET /delay/*', 'client', '10', '0'],
      ['GET /delay/*', 'server', '10', '0'],
      ['GET /orders/*', 'client', '10', '0'],
      ['GET /orders/*', 'server', '10', '0'],
    ]);
    const delayed = routes.find(
      ({ values }) => values[0] === 'GET /delay/*' && values[1] === 'server',
    );
    t.ok(Number(delayed?.values[5]) >= 0.03, 'p50 of a request that sleeps 30 ms');
    t.match(delayed?.texts[9], /^application /, 'and why');
    const { slowest } = JSON.parse(await serve.get('/api/v1/requests')) as {
      slowest: { seconds: number; parts: Record<string, number> }[];
    };
    t.equal(slowest.length, 20);
    for (const { seconds, parts } of slowest) {
      const sum = Object.values(parts).reduce((all, one) => all + one, 0);
      t.ok(Math.abs(sum - seconds) < 1e-6, `${sum} of ${seconds}`);
    }
    t.strictSame(problems, []);
  },
);
