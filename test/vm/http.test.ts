// On this kernel: every HTTP request is counted once at either end.
import t from 'tap';
import { startCollector } from '../support/collector.js';
import { createNamespace } from '../support/netns.js';
import { packetLines } from '../support/packets.js';
import { total } from '../support/samples.js';
import { runHttp } from '../support/traffic.js';

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
