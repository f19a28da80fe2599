// Flows of real traffic: who talks to whom, to the byte, under churn and with more peers than there is
// room for.
import t, { type Test } from 'tap';
import { createCgroup } from '../support/cgroup.js';
import { startCollector, type Collector } from '../support/collector.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { provoke } from '../support/provoke.js';
import { select, total, type Sample } from '../support/samples.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { startTool } from '../support/tool.js';
import { runTcp, startProgram } from '../support/traffic.js';

const skip = needsRoot || needsCommands('python3');

const FLOWS = 'netwatch_flow_bytes_total';
const LOST = 'netwatch_events_lost_total';
/** Many more than have a name, few enough for a machine at work; PEERS=100000 asks for more. */
const PEERS = Number(process.env['PEERS'] ?? 5000);
/** One after the other, each with a look at the state. */
const PARTS = 4;
const firstOf = (part: number): number => Math.floor((part * PEERS) / PARTS);
const DIRECTIONS = ['receive', 'transmit'] as const;

/** What the flows of each direction come to, and what all connections have moved. */
const sums = (state: readonly Sample[]): [flows: number, all: number][] =>
  DIRECTIONS.map((network_io_direction) => [
    total(state, FLOWS, { network_io_direction }),
    total(state, 'netwatch_tcp_io_bytes_total', { network_io_direction }),
  ]);

/**
 * Short connections from ever other addresses, a number of bytes each way that differs, 64 at a time.
 * 127.0.0.0/8 has addresses enough.
 */
const CHURN = `import socket, sys
first, beyond, concurrent = int(sys.argv[1]), int(sys.argv[2]), 64
server = socket.create_server(('127.0.0.1', 7000), backlog=1024)
for start in range(first, beyond, concurrent):
    clients = []
    for i in range(start, min(start + concurrent, beyond)):
        client = socket.socket()
        client.bind((f'127.{1 + (i >> 16)}.{(i >> 8) & 255}.{i & 255}', 0))
        client.connect(('127.0.0.1', 7000))
        client.sendall(b'x' * (1 + i % 977))
        clients.append(client)
    for i, client in enumerate(clients, start):
        end = server.accept()[0]
        end.recv(4096)
        end.sendall(b'y' * (1 + i % 311))
        end.close()
    for client in clients:
        while client.recv(4096):
            pass
        client.close()
`;

/** Connections of the peers from `first` up to `end`; `cgroup`: the folder of the one that it is to be in. */
const churn = (
  namespace: Namespace,
  { first, end }: { readonly first: number; readonly end: number },
  cgroup?: string,
): Promise<string> => {
  const enter = cgroup === undefined ? '' : `open('${cgroup}/cgroup.procs', 'w').write('0')\n`;
  const timeoutMs = 120_000 + 10 * (end - first);
  return namespace.exec('python3', ['-c', `${enter}${CHURN}`, `${first}`, `${end}`], { timeoutMs });
};

/** Bytes that CHURN sends one way. */
const sumOf = (peers: number, modulus: number): number =>
  Array.from({ length: peers }, (_, i) => 1 + (i % modulus)).reduce((sum, one) => sum + one, 0);

t.test('each flow has its process, side, port and peer', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['-q', '--interval', '0.2']);
  for (const host of ['127.0.0.1', '::1'])
    await runTcp(namespace, {
      host,
      connections: 5,
      rounds: 3,
      requestBytes: 1009,
      replyBytes: 499,
    });
  await collector.stop();
  const state = collector.samples('netwatch.prom');
  const flows = select(state, FLOWS, { network_io_direction: 'transmit' })
    .filter(({ labels }) => labels['role'] !== 'other')
    .map(({ labels, value }) => {
      const { process, role, server_port: port, network_peer_address: peer } = labels;
      const same = { process, role, server_port: port, network_peer_address: peer } as Record<
        string,
        string
      >;
      const connections = total(state, 'netwatch_flow_connections_total', same);
      return `${process} ${role} ${port} ${peer} ${value} ${connections}`;
    });
  t.strictSame(flows.sort(), [
    'node client 7000 127.0.0.1 15135 5',
    'node client 7000 ::1 15135 5',
    'node server 7000 127.0.0.1 7485 5',
    'node server 7000 ::1 7485 5',
  ]);
  t.equal(select(state, 'netwatch_flow_rtt_seconds').length > 0, true);
  for (const [flow, all] of sums(state)) t.equal(flow, all);
});

/** Every state file that was written while it ran, one at least: their sums agree. */
async function agreeing(t: Test, collector: Collector, work: Promise<unknown>): Promise<void> {
  let isOver = false;
  void work.finally(() => (isOver = true));
  while (!isOver) {
    const state = await collector.pulled();
    for (const [flow, all] of sums(state)) t.equal(flow, all, 'while connections come and go');
  }
  await work;
}

t.test('flows come to all bytes under churn, in at most 500 series', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const unit = `${createCgroup(t, 'churn.service')}/churn.service`;
  const moved = sumOf(PEERS, 977) + sumOf(PEERS, 311);
  const play = async (): Promise<readonly Sample[]> => {
    const collector = await startCollector(t, namespace, ['-q', '--interval', '0.2']);
    for (let part = 0; part < PARTS; part++) {
      const peers = { first: firstOf(part), end: firstOf(part + 1) };
      await agreeing(t, collector, churn(namespace, peers, unit));
    }
    await collector.stop();
    const state = collector.samples('netwatch.prom');
    for (const [flow, all] of sums(state)) t.equal(flow, all, 'in the end');
    t.equal(select(state, FLOWS).length, 500);
    t.equal(select(state, FLOWS, { unit: 'churn.service' }).length, 498);
    t.equal(select(state, FLOWS, { role: 'other' }).length, 2);
    return state;
  };
  const isWhole = (state: readonly Sample[]): boolean =>
    sums(state).every(([, all]) => all === moved);
  const state = await provoke(play, isWhole);
  t.ok(isWhole(state));
  // of a connection whose records did not come in, no flow knows that it was one
  const connections = total(state, 'netwatch_flow_connections_total');
  t.ok(connections <= 2 * PEERS);
  t.ok(connections >= 2 * PEERS - total(state, LOST, { source: 'connection' }));
});

t.test('flows come to all bytes where records are lost, too', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const args = ['-q', '--interval', '0.2', '--simulate-drops', '3'];
  const collector = await startCollector(t, namespace, args);
  await agreeing(t, collector, churn(namespace, { first: 0, end: 1000 }));
  await collector.stop();
  const state = collector.samples('netwatch.prom');
  t.ok(total(state, LOST, { source: 'connection' }) > 300);
  for (const [flow, all] of sums(state)) t.equal(flow, all);
});

t.test('netwatch flows shows them, most bytes first', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const tool = await startTool(t, namespace, 'flows', ['-o', 'json']);
  const held = await startProgram(namespace, 'tcp-server', {
    ...{ port: 7100, requestBytes: 100_003, replyBytes: 1 },
  });
  const client = await startProgram(namespace, 'tcp-client', {
    ...{ port: 7100, rounds: 2, requestBytes: 100_003, replyBytes: 1, close: 'hold' },
  });
  await client.go();
  await runTcp(namespace, { connections: 3, rounds: 1, requestBytes: 11, replyBytes: 7 });
  t.strictSame(await tool.stop(), { code: 0, signal: null });
  const rows = tool
    .objects()
    .map((it) => [
      it['role'],
      it['server_port'],
      it['connections'],
      it['bytes_sent'],
      it['bytes_received'],
    ]);
  t.strictSame(rows.slice(0, 2).sort(), [
    ['client', 7100, 1, 200_006, 2],
    ['server', 7100, 1, 2, 200_006],
  ]);
  t.strictSame(rows.slice(2).sort(), [
    ['client', 7000, 3, 33, 21],
    ['server', 7000, 3, 21, 33],
  ]);
  t.match(tool.objects()[0], { process: 'node', network_peer_address: '127.0.0.1' });
  await client.stop();
  await held.stop();
});
