/** What the endpoint tells a page of the requests of the last minute, read from requests.log as it grows. */
import { appendFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { HTTP_OUTCOME } from '../src/generated/packet.js';
import { logHeader } from '../src/metrics/exposition.js';
import { exactQuantile } from '../src/metrics/quantiles.js';
import { readRequest } from '../src/serve/request-line.js';
import { RequestWindow } from '../src/serve/request-window.js';
import type { RequestsReport } from '../src/serve/types.js';
import { CLIENT } from './support/exchanges.js';
import { requestLine, type LoggedRequest } from './support/request-lines.js';

const HEADER = logHeader('requests').toString();
const MS = 1_000_000;

interface Opened {
  readonly path: string;
  /** A moment later, so that no report is given twice. */
  report(): Promise<RequestsReport | null>;
  /** So many milliseconds go by. */
  pass(ms: number): void;
  nowMs(): number;
}

function opened(t: Test, content: string | null, mostRequests?: number): Opened {
  const directory = t.testdir(content === null ? {} : { 'requests.log': content });
  // Not before the file was made: a moment in it is known from there on.
  let clockMs = Date.now() + 1000;
  const window = new RequestWindow({
    directory,
    now: () => clockMs,
    ...(mostRequests === undefined ? {} : { mostRequests }),
  });
  t.teardown(() => window.close());
  return {
    path: join(directory, 'requests.log'),
    nowMs: () => clockMs,
    pass: (ms) => (clockMs += ms),
    report: () => {
      clockMs += 1000;
      return window.report();
    },
  };
}

async function told(window: Opened): Promise<RequestsReport> {
  const report = await window.report();
  if (report === null) throw new Error('there is a log');
  return report;
}

const took = (ms: number, more: Partial<LoggedRequest> = {}): string =>
  requestLine({
    durationNs: ms * MS,
    partNs: [0, 0, 0, ms * MS, 0, 0],
    endMs: Date.now(),
    ...more,
  });

t.test('a quantile of values is the value that so many are no more than', (t) => {
  t.equal(exactQuantile(0.5, []), null);
  t.strictSame(
    [0, 0.5, 0.95, 1].map((q) => exactQuantile(q, [7])),
    [7, 7, 7, 7],
  );
  const hundred = Array.from({ length: 100 }, (_, i) => i + 1);
  t.strictSame(
    [0.5, 0.95, 0.99, 1].map((q) => exactQuantile(q, hundred)),
    [50, 95, 99, 100],
  );
  t.end();
});

t.test('a line of requests.log is read as it was written', (t) => {
  const line = requestLine({
    ...{ durationNs: 21_000_001, partNs: [MS, 2 * MS, 0, 12_000_001, 4 * MS, 2 * MS] },
    ...{ inside: { runQueueNs: 1000, deliveryNs: 250 * MS }, comm: 'nginx', retransmits: 2 },
    ...{ status: 503, target: '/orders/4711', endMs: 1_700_000_000_005 },
  });
  const expected = {
    endMs: 1_700_000_000_005,
    side: 'server',
    method: 'GET',
    path: '/orders/4711',
    route: '/orders/*',
    status: '503',
    outcome: 'answered',
    errorType: '503',
    process: 'nginx',
    sock: 'ffff881200000040',
    src: '10.0.0.1:80',
    dst: '10.0.0.2:40000',
    port: '80',
    seconds: 0.021000001,
    parts: [0.001, 0.002, 0, 0.012000001, 0.004, 0.002],
    inside: { receive_queue_run_queue: 0.000001, delivery: 0.25 },
    retransmits: 2,
  };
  t.strictSame(readRequest(line.trimEnd()), expected);
  const odd = requestLine({ comm: 'a"\\b', target: '/x', endMs: 1_700_000_000_005 });
  t.equal(readRequest(odd.trimEnd())?.process, 'a"\\b', 'a name with quotes');
  for (const torn of ['', '# HELP x y', line.slice(0, 90), line.slice(0, -16)])
    t.equal(readRequest(torn), null, torn);
  t.end();
});

t.test('an error is what the families of durations take for one', (t) => {
  const { NW_HTTP_RESET } = HTTP_OUTCOME;
  const errorOf = (fields: Partial<LoggedRequest>): string | undefined =>
    readRequest(requestLine({ endMs: 1_700_000_000_000, ...fields }).trimEnd())?.errorType;
  t.equal(errorOf({ status: 200 }), '');
  t.equal(errorOf({ status: 404 }), '', 'to a server');
  t.equal(errorOf({ status: 404, role: CLIENT }), '404', 'to a client');
  t.equal(errorOf({ status: 500 }), '500');
  t.equal(errorOf({ status: 0, outcome: NW_HTTP_RESET }), 'reset');
  t.end();
});

t.test('routes have exact quantiles and the mean of each part', async (t) => {
  const hundred = Array.from({ length: 100 }, (_, i) => took(i + 1, { target: `/orders/${i}` }));
  const slow = [took(900, { target: '/slow', status: 500 }), took(1230, { target: '/slow' })];
  const unknown = took(3, { target: null, partNs: [] });
  const window = opened(t, [HEADER, ...hundred, ...slow, unknown].join(''));
  const { count, routes, slowest, kinds } = await told(window);
  t.equal(count, 103);
  t.match(routes, [
    {
      ...{ route: '/orders/*', count: 100, errors: 0 },
      p50: 0.05,
      p95: 0.095,
      p99: 0.099,
      most: 0.1,
    },
    { ...{ route: '/slow', count: 2, errors: 1 }, p50: 0.9, p95: 1.23, p99: 1.23, most: 1.23 },
    { route: null, count: 1, p50: 0.003, parts: {} },
  ]);
  t.equal(routes[0]?.parts['application']?.toFixed(6), '0.050500');
  t.strictSame(
    slowest.slice(0, 3).map(({ seconds }) => seconds),
    [1.23, 0.9, 0.1],
  );
  t.equal(slowest.length, 20);
  t.equal(new Set(slowest.map(({ id }) => id)).size, 20);
  t.match(kinds, [
    { side: 'server', method: 'GET', status: '200', port: '80', errorType: '', p50: 0.05 },
    { status: '500', errorType: '500', p50: 0.9, p99: 0.9 },
  ]);
});

t.test('what is appended is read once, also where a line was half written', async (t) => {
  const window = opened(t, HEADER + took(1));
  t.equal((await told(window)).count, 1);
  const line = took(2);
  appendFileSync(window.path, line.slice(0, 50));
  t.equal((await told(window)).count, 1);
  appendFileSync(window.path, line.slice(50) + took(3));
  t.equal((await told(window)).count, 3);
  t.equal((await told(window)).count, 3, 'nothing twice');
});

t.test('a rotation loses nothing: the end of the old file is read first', async (t) => {
  const window = opened(t, HEADER + took(1));
  t.equal((await told(window)).count, 1);
  appendFileSync(window.path, took(2));
  renameSync(window.path, `${window.path}.0`);
  writeFileSync(window.path, HEADER + took(3));
  const { count, fromMs } = await told(window);
  t.equal(count, 3);
  appendFileSync(window.path, took(4));
  t.equal((await told(window)).count, 4);
  t.ok(fromMs < Date.now(), 'the time before the rotation is known');
});

t.test('requests are forgotten after a minute', async (t) => {
  const window = opened(t, HEADER + took(1));
  t.equal((await told(window)).count, 1);
  window.pass(58_000);
  appendFileSync(window.path, took(2, { endMs: window.nowMs() }));
  const { count, fromMs, atMs } = await told(window);
  t.equal(count, 1);
  t.equal(fromMs, atMs - 60_000);
});

t.test('where too many came, the newest are told, and since when they are all', async (t) => {
  const start = Date.now();
  const lines = Array.from({ length: 50 }, (_, i) => took(i + 1, { endMs: start + i }));
  const window = opened(t, HEADER + lines.join(''), 20);
  const { count, fromMs, slowest } = await told(window);
  t.equal(count, 20);
  t.equal(fromMs, start + 30);
  t.equal(slowest[0]?.seconds, 0.05);
});

t.test('of a log that is longer than a look the end is read, from a whole line on', async (t) => {
  const start = Date.now();
  const padding = took(1, { endMs: start }).repeat(12_000);
  const window = opened(t, HEADER + padding + took(77, { endMs: start + 5 }), 30_000);
  t.ok(statSync(window.path).size > 4 << 20, 'longer than that');
  const { count, slowest, fromMs } = await told(window);
  t.ok(count > 5000 && count < 12_001, String(count));
  t.equal(slowest[0]?.seconds, 0.077);
  t.equal(fromMs, start);
});

t.test('without a log there is no report, until it comes', async (t) => {
  const window = opened(t, null);
  t.equal(await window.report(), null);
  writeFileSync(window.path, HEADER + took(5));
  t.equal((await told(window)).count, 1);
  renameSync(window.path, `${window.path}.gone`);
  t.equal(await window.report(), null, 'and none any more when it is gone');
});
