// On this kernel: how many connections there were, how they ended, what they carried and whose they were.
import { readFileSync } from 'node:fs';
import t from 'tap';
import { dropPackets } from '../../scripts/traffic/faults.js';
import { startCollector } from '../support/collector.js';
import { createNamespace } from '../support/netns.js';
import { countFrom } from '../support/nstat.js';
import { difference, SAME } from '../support/packets.js';
import { losses, select, total, type Sample } from '../support/samples.js';
import { CLOSED_PORT, runTcp, startProgram, TCP_PORT } from '../support/traffic.js';

const SILENT_PORT = 7990;

/** Counts above 0 of netwatch_tcp_connections_total, as `client refused`. */
function outcomes(state: readonly Sample[]): Record<string, number> {
  const counted = select(state, 'netwatch_tcp_connections_total')
    .filter(({ value }) => value > 0)
    .map(({ labels: { network_tcp_handshake_role: role, error_type = 'success' }, value }) => {
      return [`${role} ${error_type}`, value] as const;
    });
  return Object.fromEntries(counted);
}

t.test('connections are counted by role and outcome, with their bytes', async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['-q', '-a']);
  const silent = dropPackets(namespace, { to: SILENT_PORT });
  const grown = await countFrom(namespace);
  const sizes = { requestBytes: 1009, replyBytes: 503, rounds: 3 };
  await runTcp(namespace, { ...sizes, connections: 7 });
  await runTcp(namespace, { ...sizes, connections: 5, host: '::1' }, { host: '::1' });
  await runTcp(namespace, { connections: 3, close: 'reset' });
  const refused = await runTcp(namespace, { port: CLOSED_PORT, connections: 11 });
  t.strictSame(refused.client.errors, { ECONNREFUSED: 11 });
  const gaveUp = { port: SILENT_PORT, connections: 2, concurrency: 2, timeoutMs: 500 };
  const unanswered = await runTcp(namespace, gaveUp);
  t.strictSame(unanswered.client.errors, { ETIMEOUT: 2 });
  const { TcpActiveOpens, TcpPassiveOpens } = await grown();
  silent.remove();
  t.strictSame(await collector.stop(), { code: 0, signal: null });
  const state = collector.samples('netwatch.prom');
  t.strictSame(outcomes(state), {
    'client success': 15,
    'server success': 15,
    'client refused': 11,
    'client closed': 2,
  });
  t.equal(TcpActiveOpens, 15 + 11 + 2, 'as the kernel has counted');
  t.equal(TcpPassiveOpens, 15, 'as the kernel has counted');
  const bytes = 12 * 3 * (1009 + 503) + 3 * 2;
  for (const network_io_direction of ['receive', 'transmit'])
    t.equal(total(state, 'netwatch_tcp_io_bytes_total', { network_io_direction }), bytes);
  t.equal(total(state, 'netwatch_tcp_connection_duration_seconds_count'), 30);
  t.equal(total(state, 'netwatch_tcp_handshake_duration_seconds_count'), 30);
  t.strictSame(losses(state), {});
});

/** Owner and ends of connections, as connects.log has them; not of listeners. */
const owners = (samples: readonly Sample[]): string[] =>
  select(samples, 'netwatch_connection_info')
    .filter(({ labels }) => !labels['dst']?.endsWith(':0'))
    .map(({ labels: { pid, process, src, dst, is_server } }) =>
      [pid, process, src, dst, is_server].join(' '),
    );

const ends = (address: string, local: number, peer: number): string =>
  `${address}:${local} ${address}:${peer}`;

t.test('who connects and who accepts owns, also a worker', async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['-q']);
  // the primary listens, its workers accept
  const cluster = await startProgram(namespace, 'cluster-server', { port: TCP_PORT, workers: 2 });
  const names = new Map(
    cluster.ready.workers.map((pid) => [pid, readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd()]),
  );
  const options = { port: TCP_PORT, connections: 11, concurrency: 4 };
  const client = await startProgram(namespace, 'tcp-client', options, { comm: 'nw-client' });
  await client.go();
  await client.stop();
  const { connections } = await cluster.stop();
  await collector.stop();
  t.equal(connections.length, 11);
  const wanted = connections.flatMap(({ pid, peerPort }) => [
    `${client.pid} nw-client ${ends('127.0.0.1', peerPort, TCP_PORT)} 0`,
    `${pid} ${names.get(pid)} ${ends('127.0.0.1', TCP_PORT, peerPort)} 1`,
  ]);
  t.strictSame(difference(wanted, owners(collector.samples('connects.log'))), SAME);
});

t.test('connections that existed before are found with their owners', async (t) => {
  const namespace = createNamespace(t);
  const wanted: string[] = [];
  for (const [host, at, port, connections] of [
    ['127.0.0.1', '127.0.0.1', 7000, 5],
    ['::1', '[::1]', 7001, 3],
  ] as const) {
    const options = { host, port, connections, connectFirst: true, close: 'hold' } as const;
    const server = await startProgram(namespace, 'tcp-server', options, { comm: 'old-server' });
    const client = await startProgram(namespace, 'tcp-client', options, { comm: 'old-client' });
    await client.go();
    for (const localPort of client.ready.localPorts) {
      wanted.push(`${client.pid} old-client ${ends(at, localPort, port)} 0`);
      wanted.push(`${server.pid} old-server ${ends(at, port, localPort)} 1`);
    }
  }
  const collector = await startCollector(t, namespace, ['-q', '-x', '--interval', '0.5']);
  const found = await collector.waitFor(
    'connects.log',
    (samples) => owners(samples).length >= wanted.length,
    'all connections',
  );
  t.strictSame(difference(wanted, owners(found)), SAME);
  t.equal(select(found, 'netwatch_connection_srtt_seconds').length, 16, 'and their state');
  await collector.stop();
  // each pull has found the same listeners
  t.strictSame(losses(collector.samples('netwatch.prom')), {});
});
