// A real Prometheus scrapes one collector both ways, through the endpoint and through node_exporter's
// textfile collector, over a stop of the collector and a restart of the endpoint.
import { chmodSync } from 'node:fs';
import t, { type Test } from 'tap';
import { startCollector, temporaryFolder, type Collector } from '../support/collector.js';
import { promtool } from '../support/exposition.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { startServe, type ServeProcess } from '../support/serve-process.js';
import {
  numberOf,
  startNodeExporter,
  startPrometheus,
  type Prometheus,
} from '../support/servers.js';
import { parseExposition, total, type Sample } from '../support/samples.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { runTcp } from '../support/traffic.js';
import { until } from '../support/wait.js';

const skip = needsRoot || needsCommands('promtool', 'prometheus', 'prometheus-node-exporter');
const CONNECTIONS = 17;
const OPENED = 'netwatch_tcp_connections_total{network_tcp_handshake_role="client",error_type=""}';
const ARGS = ['-x', '-r', '-t', '-i', '-e', '--quiet', '--interval', '1'];
const UNTIL = { everyMs: 100 };

/** Families that go on moving when the traffic has ended. */
const MOVING =
  /^(netwatch_(process|bpf|event_loop|map|ringbuf|records|collector|textfile|endpoint|last|build)|process)_/;

function still(samples: readonly Sample[]): Map<string, number> {
  return new Map(
    samples
      .filter(({ name }) => !MOVING.test(name))
      .map(({ name, labels, value }) => [keyOf(name, labels), value]),
  );
}

function keyOf(name: string, labels: Readonly<Record<string, string>>): string {
  const own = Object.entries(labels).filter(
    ([label, value]) => value !== '' && label !== 'job' && label !== 'instance',
  );
  return JSON.stringify([name, own.sort()]);
}

/** Series of a job as Prometheus has them now. */
async function seriesOf(prometheus: Prometheus, job: string): Promise<Map<string, number>> {
  const found = await prometheus.query(`{__name__=~"(netwatch|http)_.+",job="${job}"}`);
  return new Map(
    found
      .filter(({ metric }) => !MOVING.test(metric['__name__'] ?? ''))
      .map((result) => {
        const { __name__: name = '', ...labels }: Record<string, string> = result.metric;
        return [keyOf(name, labels), numberOf(result)] as const;
      }),
  );
}

interface Scene {
  readonly namespace: Namespace;
  readonly folder: string;
  readonly collector: Collector;
  readonly endpoint: ServeProcess;
  readonly prometheus: Prometheus;
}

async function setUp(t: Test): Promise<Scene> {
  const namespace = createNamespace(t);
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o755); // the endpoint gives up root, and root's group
  const collector = await startCollector(t, namespace, ARGS, { dataFolder: folder });
  const endpoint = await startServe(t, folder);
  const exporter = await startNodeExporter(t, folder);
  const jobs = { endpoint: endpoint.address, node: exporter.address };
  return { namespace, folder, collector, endpoint, prometheus: await startPrometheus(t, { jobs }) };
}

const opened = (prometheus: Prometheus, job: string): Promise<number | null> =>
  prometheus.value(OPENED.replace('}', `,job="${job}"}`));

t.test(
  'Prometheus gets the same numbers from the endpoint and node_exporter',
  { skip },
  async (t) => {
    const { namespace, collector, endpoint, prometheus } = await setUp(t);
    const { client } = await runTcp(namespace, { connections: CONNECTIONS, rounds: 3 });
    t.equal(client.completed, CONNECTIONS);
    const state = await collector.pulled();
    t.equal(
      total(state, 'netwatch_tcp_connections_total', { network_tcp_handshake_role: 'client' }),
      CONNECTIONS,
    );
    for (const job of ['endpoint', 'node']) {
      const seen = async (): Promise<boolean> => (await opened(prometheus, job)) === CONNECTIONS;
      await until(seen, { what: `Prometheus has the connections by ${job}`, ...UNTIL });
    }
    const expected = still(collector.samples('netwatch.prom'));
    t.ok(expected.size > 300, `${expected.size} series are compared`);
    for (const job of ['endpoint', 'node']) {
      t.strictSame(await seriesOf(prometheus, job), expected, `${job}: every series, every value`);
    }
    const body = await endpoint.get('/metrics');
    t.strictSame(promtool(body), { code: 0, said: '' }, 'promtool finds nothing');
    t.strictSame(still(parseExposition(body).samples), expected, 'nor does our own parser');
    t.notMatch(prometheus.log(), /level=(warn|error)/);
  },
);

t.test('a collector that has stopped is stale at the endpoint, not frozen', { skip }, async (t) => {
  const scene = await setUp(t);
  const { namespace, folder, collector, endpoint, prometheus } = scene;
  await runTcp(namespace, { connections: CONNECTIONS });
  const has = (wanted: number | null) => async (): Promise<boolean> =>
    (await opened(prometheus, 'endpoint')) === wanted;
  await until(has(CONNECTIONS), { what: 'Prometheus has the connections', ...UNTIL });
  t.equal(await prometheus.value('netwatch_collector_up'), 1);

  t.match(await collector.stop(), { code: 0 });
  await until(has(null), { what: 'the series are stale', ...UNTIL });
  t.equal(await prometheus.value('netwatch_collector_up'), 0, 'the endpoint says why');
  t.equal(await prometheus.value('up{job="endpoint"}'), 1);
  t.equal(await opened(prometheus, 'node'), CONNECTIONS, 'node_exporter shows old numbers …');
  const age = 'time() - node_textfile_mtime_seconds{job="node"} > 3';
  await until(async () => (await prometheus.value(age)) !== null, {
    what: '… with their age',
    ...UNTIL,
  });

  const again = await startCollector(t, namespace, ARGS, { dataFolder: folder });
  await runTcp(namespace, { connections: 3 });
  await until(has(3), { what: 'the new collector counts from 0', ...UNTIL });
  t.equal(await prometheus.value(`resets(${OPENED.replace('}', ',job="node"}')}[5m])`), 1);
  t.equal(await prometheus.value('netwatch_collector_up'), 1);

  t.match(await endpoint.stop(), { code: 0 });
  const up = (wanted: number) => async (): Promise<boolean> =>
    (await prometheus.value('up{job="endpoint"}')) === wanted;
  await until(up(0), { what: 'Prometheus misses the endpoint', ...UNTIL });
  await startServe(t, folder, { port: endpoint.port });
  await until(up(1), { what: 'Prometheus finds it again', ...UNTIL });
  await until(has(3), { what: 'with the numbers of the collector', ...UNTIL });
  t.match(await again.stop(), { code: 0 });
  t.notMatch(prometheus.log(), /level=(warn|error)/);
});
