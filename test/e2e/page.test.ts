// The page in a real Chromium, served by the real `netwatch serve`: its numbers are those of /metrics, its
// states are said at once, and whatever stands in a file stays text.
import { chmodSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import {
  chromiumPath,
  rowsOf,
  startBrowser,
  statusOf,
  tileOf,
  visit,
  type Page,
} from '../support/browser.js';
import { startCollector, temporaryFolder } from '../support/collector.js';
import { createNamespace } from '../support/netns.js';
import { pageState, writeState } from '../support/page-state.js';
import { parseExposition, select, total, type Sample } from '../support/samples.js';
import { startServe, type ServeProcess } from '../support/serve-process.js';
import { needsRoot, unless } from '../support/skip.js';
import { runHttp, startProgram } from '../support/traffic.js';
import { until } from '../support/wait.js';

const skip = unless(chromiumPath() !== '', 'needs chromium');
const browser = skip === false ? await startBrowser(t) : null;
const UNTIL = { everyMs: 50 };

const open = (t: Test, serve: ServeProcess, options = {}) =>
  visit(t, browser!, `http://${serve.address}/`, options);
const metrics = async (serve: ServeProcess): Promise<readonly Sample[]> =>
  parseExposition(await serve.get('/metrics')).samples;

/** As root, the endpoint becomes nobody. */
function readableFolder(t: Test): string {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o755);
  return folder;
}

/** A directory with such a file, served. */
async function served(t: Test, snapshot = pageState(), writtenMs?: number) {
  const folder = readableFolder(t);
  await writeState(folder, snapshot, writtenMs);
  return { folder, serve: await startServe(t, folder) };
}

async function showsRows(page: Page, heading: string): Promise<void> {
  const some = async () => (await rowsOf(page, heading)).length > 0;
  await until(some, { ...UNTIL, what: `rows of ${heading}` });
}

async function says(page: Page, what: RegExp): Promise<string> {
  const said = async () => (what.test(await statusOf(page)) ? await statusOf(page) : null);
  return until(said, { ...UNTIL, what: `the page says ${String(what)}` });
}

t.test('the numbers of the page are those of /metrics', { skip }, async (t) => {
  const { serve } = await served(t);
  const { page, problems } = await open(t, serve);
  const { headers } = await fetch(`http://${serve.address}/`);
  t.match(headers.get('content-security-policy'), /^default-src 'none'; script-src 'self'; /);
  await showsRows(page, 'Drops and resets');
  const samples = await metrics(serve);
  t.equal(await tileOf(page, 'sockets'), 3);
  t.equal(await tileOf(page, 'lost'), total(samples, 'netwatch_events_lost_total'));
  t.strictSame(
    (await rowsOf(page, 'Drops and resets')).map(({ values }) => values.slice(0, 3)),
    [
      ['drop, ipv4', 'NETFILTER_DROP', '17'],
      ['reset received', 'NO_SOCKET', '5'],
      ['reset sent', 'NO_SOCKET', '5'],
    ],
  );
  t.strictSame(
    (await rowsOf(page, 'Failed connections')).map(({ values }) => values.slice(0, 3)),
    [
      ['refused', 'client', '3'],
      ['refused', 'server', '3'],
    ],
  );
  t.match(await rowsOf(page, 'Retransmits by cause'), [{ texts: ['fast', '11'] }]);
  const groups = await rowsOf(page, 'Requests by method, status and port');
  t.strictSame(
    groups.map(({ values }) => values.slice(0, 5)),
    [
      ['server', 'GET', '200', '8080', '40'],
      ['server', 'GET', '500 error', '8080', '2'],
    ],
  );
  for (const row of await rowsOf(page, 'Open connections')) {
    const { sock, src, dst } = {
      sock: `ffff8881${String(Number(row.byColumn['pid']) - 100).padStart(8, '0')}`,
      src: row.byColumn['src']!,
      dst: row.byColumn['dst']!,
    };
    for (const family of ['srtt_seconds', 'acked_bytes_total', 'received_bytes_total'])
      t.strictSame(
        select(samples, `netwatch_connection_${family}`, { sock, src, dst }).map((s) => s.value),
        [Number(row.byColumn[family])],
        `${family} of ${src}`,
      );
  }
  t.equal(await page.locator('.version').textContent(), '9.8.7');
  t.strictSame(problems, []);
});

t.test('rates are growth over the time between two writings', { skip }, async (t) => {
  const nowMs = Date.now();
  const { folder, serve } = await served(t, pageState(), nowMs - 10_000);
  const { page, problems } = await open(t, serve);
  await showsRows(page, 'Drops and resets');
  t.equal(await tileOf(page, 'opened'), null, 'one writing has no rate');
  await writeState(folder, pageState({ factor: 3 }), nowMs);
  const rates = async () => (await tileOf(page, 'opened')) !== null;
  await until(rates, { ...UNTIL, what: 'rates' });
  t.equal(await tileOf(page, 'opened'), 16);
  t.equal(await tileOf(page, 'failed'), 1.2);
  t.equal(await tileOf(page, 'received'), 24_691.4);
  t.equal((await tileOf(page, 'retransmits'))?.toPrecision(6), (22 / 2000).toPrecision(6));
  t.equal(await tileOf(page, 'http'), 8.4);
  t.equal(await tileOf(page, 'faults'), 5.4);
  t.match((await rowsOf(page, 'Retransmits by cause'))[0]?.values, ['fast', '33', '2.2']);
  await page.reload();
  await until(rates, { ...UNTIL, what: 'rates from the history' });
  t.equal(await tileOf(page, 'opened'), 16, 'the history gives the same');
  t.strictSame(problems, []);
});

t.test('a file from strangers is shown as text', { skip }, async (t) => {
  const name = '<img src=x onerror=alert(1)>"\\&lt;';
  const { serve } = await served(t, pageState({ process: name }));
  const { page, problems } = await open(t, serve);
  await showsRows(page, 'Open connections');
  const shown = (await rowsOf(page, 'Open connections')).map(({ texts }) => texts[0]);
  t.equal(shown[2], name); // it has sent least
  t.equal(await page.locator('main img').count(), 0);
  t.strictSame(problems, []);
});

t.test('connections sort, are searched and chosen with the keyboard alone', { skip }, async (t) => {
  const { serve } = await served(t, pageState({ connections: 1250 }));
  const { page, problems } = await open(t, serve);
  await showsRows(page, 'Open connections');
  const column = async (name: string): Promise<readonly (string | undefined)[]> =>
    (await rowsOf(page, 'Open connections')).map(({ byColumn }) => byColumn[name]);
  const found = page.locator('.found');
  t.equal(await found.textContent(), '200 of 1,250 shown; search to narrow');
  t.equal((await column('pid')).length, 200);
  t.equal((await column('acked_bytes_total'))[0], '1250000', 'the largest first');

  const srtt = page.locator('th[data-key="srtt_seconds"]');
  await srtt.locator('button').focus();
  await page.keyboard.press('Enter');
  t.equal(await srtt.getAttribute('aria-sort'), 'descending');
  t.equal((await column('srtt_seconds'))[0], '0.00125');
  await page.keyboard.press('Enter');
  t.equal(await srtt.getAttribute('aria-sort'), 'ascending');
  t.equal((await column('srtt_seconds'))[0], '0.000001');
  t.equal(await page.locator('th[aria-sort="ascending"]').count(), 1);

  await page.keyboard.press('/');
  await page.keyboard.type('10.0.0.2:20007 SERVER');
  t.strictSame(await column('dst'), ['10.0.0.2:20007']);
  t.equal(await found.textContent(), '1 of 1,250');
  await page.keyboard.press('Escape');
  t.equal((await column('pid')).length, 200);

  t.equal(await page.locator('th[data-key="pacing_rate_bytes_per_second"]').count(), 0);
  await page.locator('.chooser summary').focus();
  await page.keyboard.press('Enter');
  await page.getByLabel('pacing rate').focus();
  await page.keyboard.press('Space');
  t.equal((await column('pacing_rate_bytes_per_second'))[0], '125000');
  t.strictSame(problems, []);
});

t.test('rows stay the same nodes from one snapshot to the next', { skip }, async (t) => {
  const { folder, serve } = await served(t);
  const { page } = await open(t, serve);
  await showsRows(page, 'Open connections');
  await page.evaluate(`document.querySelectorAll('.connections tr').forEach((r) => (r.mark = 1))`);
  await writeState(folder, pageState({ connections: 5 }));
  const five = async () => (await rowsOf(page, 'Open connections')).length === 5;
  await until(five, { ...UNTIL, what: 'five connections' });
  const marks = await page.evaluate<number>(
    `[...document.querySelectorAll('.connections tbody tr')].filter((r) => r.mark).length`,
  );
  t.equal(marks, 3);
});

t.test('dark and light follow the system and the switch', { skip }, async (t) => {
  const { serve } = await served(t);
  const { page, problems } = await open(t, serve, { colorScheme: 'dark' });
  await showsRows(page, 'Open connections');
  const ground = (): Promise<string> =>
    page.evaluate<string>('getComputedStyle(document.body).backgroundColor');
  const dark = await ground();
  await page.getByLabel('light', { exact: true }).check();
  const light = await ground();
  t.not(light, dark);
  await page.reload();
  t.equal(await ground(), light, 'remembered');
  await page.getByLabel('auto', { exact: true }).check();
  t.equal(await ground(), dark);
  t.strictSame(problems, []);
});

t.test('a telephone scrolls the tables, not the page', { skip }, async (t) => {
  const { serve } = await served(t, pageState({ connections: 300 }));
  const { page, problems } = await open(t, serve, { viewport: { width: 360, height: 740 } });
  await showsRows(page, 'Open connections');
  const width = (selector: string): Promise<number> =>
    page.evaluate<number>(`document.querySelector('${selector}').scrollWidth`);
  t.equal(await width('html'), 360);
  t.ok((await width('.connections')) > 360);
  t.strictSame(problems, []);
});

t.test('nothing moves when new numbers come', { skip }, async (t) => {
  const { folder, serve } = await served(t, pageState());
  const { page } = await open(t, serve);
  await showsRows(page, 'Drops and resets');
  const places = (): Promise<string> =>
    page.evaluate<string>(
      `JSON.stringify([...document.querySelectorAll('.tile, .panel')].map((one) => {
        const { x, y, width, height } = one.getBoundingClientRect();
        return [x, y, width, height];
      }))`,
    );
  const before = await places();
  await writeState(folder, pageState({ factor: 1_000_003, connections: 700 }));
  const more = async () => (await tileOf(page, 'sockets')) === 700;
  await until(more, { ...UNTIL, what: 'the new numbers' });
  t.equal(await places(), before);
});

t.test('a collector that does not run is said at once, with what to do', { skip }, async (t) => {
  const { folder, serve } = await served(
    t,
    pageState({ intervalSeconds: 1 }),
    Date.now() - 3_600_000,
  );
  const { page, problems } = await open(t, serve);
  const START_IT = 'Start it: sudo netwatch -x -r -t -i -e';
  t.equal(
    await says(page, /not running/),
    `The collector is not running: netwatch.prom was written 60 min ago. ${START_IT}`,
  );
  t.equal(await tileOf(page, 'sockets'), null, 'old numbers are not shown');
  rmSync(join(folder, 'netwatch.prom'));
  t.equal(await says(page, /running\. /), `The collector is not running. ${START_IT}`);
  await writeState(folder, pageState());
  await says(page, /is running/);
  await showsRows(page, 'Open connections');
  t.strictSame(problems, []);
});

t.test('a lost endpoint is said, and found again after its restart', { skip }, async (t) => {
  const { folder, serve } = await served(t);
  const { page, problems } = await open(t, serve);
  await says(page, /is running/);
  await serve.stop();
  await says(page, /^Connection to the endpoint lost, trying again\./);
  await writeState(folder, pageState({ connections: 9 }));
  await startServe(t, folder, { port: serve.port });
  await says(page, /is running/);
  const nine = async () => (await tileOf(page, 'sockets')) === 9;
  await until(nine, { ...UNTIL, what: 'the numbers of now' });
  t.strictSame(
    problems.filter((one) => !/ERR_|api\/v1\/stream/.test(one)),
    [],
    'nothing but the failed attempts',
  );
});

const PORT = 8080;

t.test(
  'known traffic of a real collector is on the page',
  { skip: skip || needsRoot },
  async (t) => {
    const namespace = createNamespace(t);
    const args = ['-x', '-r', '-t', '-i', '-e', '--quiet', '--interval', '1'];
    const collector = await startCollector(t, namespace, args, {
      dataFolder: readableFolder(t),
    });
    const serve = await startServe(t, collector.dataFolder);
    const { page, problems } = await open(t, serve);
    await runHttp(namespace, { total: 31, connections: 3, port: PORT }, { port: PORT });
    const server = await startProgram(
      namespace,
      'tcp-server',
      { port: 7000 },
      { comm: '<b>srv</b>' },
    );
    const client = await startProgram(namespace, 'tcp-client', {
      port: 7000,
      connections: 5,
      rounds: 7,
      requestBytes: 100,
      replyBytes: 100,
      connectFirst: true,
      close: 'hold',
    });
    await client.go();
    const held = async () => (await tileOf(page, 'sockets')) === 10;
    await until(held, { ...UNTIL, what: 'both ends of five connections' });
    const requests = async () => {
      const rows = await rowsOf(page, 'Requests by method, status and port');
      return rows.length === 2 && rows.every(({ values }) => values[4] === '31');
    };
    await until(requests, { ...UNTIL, what: '31 requests at the server and at the client' });
    const sent = async () => {
      const rows = await rowsOf(page, 'Open connections');
      return (
        rows.length === 10 && rows.every((row) => Number(row.byColumn['acked_bytes_total']) >= 700)
      );
    };
    await until(sent, { ...UNTIL, what: '700 bytes each way' });
    const samples = await metrics(serve);
    for (const { byColumn } of await rowsOf(page, 'Open connections')) {
      const { src = '', dst = '' } = byColumn;
      t.equal(byColumn['state'], 'established', `state of ${src}`);
      for (const family of ['acked_bytes_total', 'received_bytes_total', 'cwnd_segments'])
        t.strictSame(
          select(samples, `netwatch_connection_${family}`, { src, dst }).map(({ value }) => value),
          [Number(byColumn[family])],
          `${family} of ${src}`,
        );
    }
    const processes = (await rowsOf(page, 'Open connections')).map(({ texts }) => texts[0]);
    t.equal(processes.filter((name) => name === '<b>srv</b>').length, 5);
    await client.stop();
    await server.stop();
    t.strictSame(problems, []);
  },
);

t.test(
  'without options the panels name the options they need',
  { skip: skip || needsRoot },
  async (t) => {
    const namespace = createNamespace(t);
    const collector = await startCollector(t, namespace, ['--quiet', '--interval', '1'], {
      dataFolder: readableFolder(t),
    });
    const serve = await startServe(t, collector.dataFolder);
    const { page } = await open(t, serve);
    await says(page, /is running/);
    const notes = page.locator('.note:visible');
    const expected = [
      ...['Times of packets in each layer need the option -t', 'HTTP requests need the option -i'],
      ...[
        'Retransmits by cause need the option -r',
        'Drops and resets by reason need the option -e',
      ],
    ];
    const all = async () => {
      const texts = (await notes.allTextContents()).join('\n');
      return expected.every((text) => texts.includes(text));
    };
    await until(all, { ...UNTIL, what: 'the names of the options' });
    t.pass('all are named');
  },
);
