// On this kernel: every HTTP request is counted once at either end, and a row of `netwatch requests` with the
// parts of its time that this kernel gives.
import t from 'tap';
import { startCollector } from '../support/collector.js';
import { createNamespace } from '../support/netns.js';
import { packetLines } from '../support/packets.js';
import { total } from '../support/samples.js';
import { startTool } from '../support/tool.js';
import { runHttp } from '../support/traffic.js';
import { hasTrampolines, since } from '../support/vm-kernel.js';
import { until } from '../support/wait.js';

for (const options of [['-i'], ['-i', '-t']]) {
  t.test(`with ${options.join(' ')} every request is counted at either end`, async (t) => {
    const namespace = createNamespace(t);
    const collector = await startCollector(t, namespace, ['-q', ...options]);
    const requests = [
      { path: '/bytes/1000' },
      { method: 'POST', body: 3001 },
      { path: '/chunked/3/700' },
      { path: '/status/404' },
    ];
    const { client, server } = await runHttp(namespace, { total: 41, connections: 3, requests });
    t.equal(client.responses, 41);
    t.equal(server.requests, 41);
    const piped = await runHttp(namespace, { total: 12, pipeline: 4, host: '::1' });
    t.equal(piped.client.responses, 12);
    t.strictSame(await collector.stop(), { code: 0, signal: null });
    const state = collector.samples('netwatch.prom');
    for (const role of ['client', 'server']) {
      const count = (labels = {}): number =>
        total(state, `http_${role}_request_duration_seconds_count`, labels);
      t.equal(count(), 41 + 12, role);
      t.equal(count({ http_request_method: 'POST' }), server.methods['POST'], `${role}: POST`);
      t.equal(count({ http_response_status_code: '404' }), client.statuses['404'], `${role}: 404`);
    }
    const heads = packetLines(collector.samples('packets.log')).flatMap(({ http }) =>
      (http ?? '').split(' | ').filter(Boolean),
    );
    t.equal(heads.length, 4 * (41 + 12), 'two heads for a request, each sent and received');
    t.equal(total(state, 'netwatch_http_resyncs_total'), 0);
  });
}

/** They add up to the total. */
const PARTS = {
  server: 'request_transfer receive_queue behind application response_write send_wait',
  client: 'request_write send_wait remote response_transfer receive_queue',
} as const;
const DELAY_MS = 300;
const PATHS = ['/bytes/1000', `/delay/${DELAY_MS}`, '/status/404'];
const REQUESTS = 9;

/** Why parts are not known; null: they are. */
function causeHere(): string | null {
  if (!since('5.13')) return 'kernel';
  return hasTrampolines() || since('6.16') ? null : 'no_write';
}

t.test('requests are rows with their totals, and with parts or the cause why not', async (t) => {
  const namespace = createNamespace(t);
  const tool = await startTool(t, namespace, 'requests', ['-o', 'json']);
  const requests = PATHS.map((path) => ({ path }));
  const { client } = await runHttp(namespace, { total: REQUESTS, requests });
  t.equal(client.responses, REQUESTS);
  await until(() => tool.objects().length >= 2 * REQUESTS, { what: 'all rows' });
  t.strictSame(await tool.stop(), { code: 0, signal: null });
  const rows = tool.objects();
  t.equal(rows.length, 2 * REQUESTS);
  const seconds = (row: (typeof rows)[number], name: string): number =>
    Number(row[`${name}_seconds`] ?? NaN);
  for (const side of ['server', 'client'] as const) {
    const own = rows.filter((row) => row['side'] === side);
    t.strictSame(
      own.map((row) => [row['url_path'], row['http_response_status_code'], row['outcome']]),
      Array.from({ length: REQUESTS }, (_, i) => {
        const path = PATHS[i % PATHS.length];
        return [path, path === '/status/404' ? 404 : 200, 'answered'];
      }),
      side,
    );
    t.ok(own.every((row, i) => seconds(row, 'total') * 1000 < client.durationsMs[i]!));
    const late = own.filter((row) => row['url_path'] === PATHS[1]);
    t.ok(late.every((row) => seconds(row, 'total') * 1000 >= DELAY_MS));
    const causes = new Set(own.map((row) => row['partly_explained']));
    t.strictSame(causes, new Set([causeHere()]), `${side}: why not`);
    const names = PARTS[side].split(' ');
    const sum = (row: (typeof rows)[number]): number =>
      names.reduce((all, name) => all + Math.round(seconds(row, name) * 1e9), 0);
    if (causeHere() === null) {
      t.ok(own.every((row) => sum(row) === Math.round(seconds(row, 'total') * 1e9)));
      const slow = side === 'server' ? 'application' : 'remote';
      t.ok(late.every((row) => seconds(row, slow) * 1000 >= DELAY_MS - 1));
    } else {
      // both begin or end with a write
      const unknown = side === 'server' ? 'application' : 'request_write';
      t.strictSame(
        own.filter((row) => row[`${unknown}_seconds`] !== null),
        [],
        'what is not known is null',
      );
    }
  }
});
