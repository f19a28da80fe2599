// History that was written to the logs, exported, made into blocks by promtool, and asked of a real
// Prometheus: every sample is there, with its value and its time.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { PROGRAM, startCollector, temporaryFolder } from '../support/collector.js';
import { packetLines } from '../support/packets.js';
import { createNamespace } from '../support/netns.js';
import { numberOf, startPrometheus } from '../support/servers.js';
import { parseExposition, type Sample } from '../support/samples.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { runTcp, TCP_PORT } from '../support/traffic.js';

const skip = needsRoot || needsCommands('promtool', 'prometheus');
const CONNECTIONS = 7;
const ROUNDS = 11;

function run(command: string, args: readonly string[]): string {
  const done = spawnSync(command, args, { encoding: 'utf8', timeout: 60_000 });
  if (done.status !== 0) throw new Error(`${command} ended ${done.status}: ${done.stderr}`);
  return done.stdout;
}

/** What is left of samples when the last one of a series and millisecond counts. */
function distinct(samples: readonly Sample[]): Map<string, Sample> {
  return new Map(
    samples.map((sample) => {
      const labels = Object.entries(sample.labels).sort();
      return [JSON.stringify([sample.name, labels, sample.timestampMs]), sample] as const;
    }),
  );
}

t.test('a real Prometheus answers from exported history', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['-x', '-r', '-t', '--quiet']);
  const { client } = await runTcp(namespace, { connections: CONNECTIONS, rounds: ROUNDS });
  t.equal(client.completed, CONNECTIONS);
  t.match(await collector.stop(), { code: 0 });

  const folder = temporaryFolder(t);
  const history = join(folder, 'history.om');
  const logs = ['connects.log', 'packets.log'];
  const paths = logs.map((log) => join(collector.dataFolder, log));
  run(process.execPath, [PROGRAM, 'export', '-O', history, ...paths]);
  t.match(readFileSync(history, 'utf8'), /\n# EOF\n$/);
  const storage = join(folder, 'tsdb');
  run('promtool', ['tsdb', 'create-blocks-from', 'openmetrics', history, storage]);

  const prometheus = await startPrometheus(t, { storage });
  const written = logs.flatMap((log) => {
    const text = collector.read(log);
    return parseExposition(text, { log: true }).samples;
  });
  const expected = distinct(written);
  const byFamily = new Map<string, number>();
  for (const { name } of expected.values()) byFamily.set(name, (byFamily.get(name) ?? 0) + 1);
  const counted = new Map<string, number>();
  for (const name of byFamily.keys()) {
    counted.set(name, (await prometheus.value(`sum(count_over_time(${name}[1h]))`)) ?? 0);
  }
  t.strictSame(Object.fromEntries(counted), Object.fromEntries(byFamily), 'as many of each family');

  const packets = packetLines(written.filter(({ name }) => name === 'netwatch_packet_bytes'));
  const payload = packets
    .filter(({ received, dst }) => !received && dst.endsWith(`:${TCP_PORT}`))
    .reduce((sum, { bytes }) => sum + bytes, 0);
  t.equal(payload, CONNECTIONS * ROUNDS, 'each round is one byte');
  t.equal(
    await prometheus.value(
      `sum(sum_over_time(netwatch_packet_bytes{rx="0",dst=~".*:${TCP_PORT}"}[1h]))`,
    ),
    payload,
    'and Prometheus adds up the same',
  );

  const newest = [...expected.values()].filter(
    ({ name }) => name === 'netwatch_connection_duration_seconds',
  );
  t.ok(newest.length >= 2 * CONNECTIONS, 'both ends of each connection');
  for (const { labels, value, timestampMs } of newest) {
    const selector = `netwatch_connection_duration_seconds{sock="${labels['sock']}",src="${labels['src']}",dst="${labels['dst']}"}`;
    const [found] = await prometheus.query(selector, (timestampMs ?? 0) / 1000);
    t.equal(found && numberOf(found), value, 'the value at its time');
  }
  t.notMatch(prometheus.log(), /level=(warn|error)/);
});
