// Connections that are older than what watches them: what nobody measured is unknown, what the
// kernel knows is right. The witness is what the two processes wrote and read.
import t, { type Test } from 'tap';
import { dropPackets } from '../../scripts/traffic/faults.js';
import { startCollector } from '../support/collector.js';
import { startInsight } from '../support/insight.js';
import { connectAndWait } from '../support/life.js';
import { parseNdjson } from '../support/ndjson.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { provoke } from '../support/provoke.js';
import { select, type Sample } from '../support/samples.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { sockets } from '../support/ss.js';
import { startTool } from '../support/tool.js';
import { runTcp, startProgram, TCP_PORT } from '../support/traffic.js';
import { until } from '../support/wait.js';

const skip = needsRoot || needsCommands('nft', 'python3');

/** One end of a connection and how much went through it. */
interface End {
  readonly local: number;
  readonly peer: number;
  readonly sent: number;
  readonly received: number;
}

/** Makes connections of all kinds, names their ends, and closes them when it is told to. */
const OLDER = `
import json, socket, sys
port, held = 7200, []
for family, host in (socket.AF_INET, '127.0.0.1'), (socket.AF_INET6, '::1'):
  for backlog in 0, 9:
    for sent, received in (0, 0), (1, 0), (0, 1), (1, 1), (70001, 501):
      for order in 'client first', 'server first':
        port += 1
        listener = socket.socket(family)
        listener.bind((host, port))
        listener.listen(backlog)
        client = socket.create_connection((host, port))
        server = listener.accept()[0]
        listener.close()
        client.sendall(b'x' * sent)
        if sent: server.recv(sent, socket.MSG_WAITALL)
        server.sendall(b'y' * received)
        if received: client.recv(received, socket.MSG_WAITALL)
        mine = client.getsockname()[1]
        print(json.dumps(dict(local=mine, peer=port, sent=sent, received=received)))
        print(json.dumps(dict(local=port, peer=mine, sent=received, received=sent)))
        held.append((client, server) if order == 'client first' else (server, client))
sys.stdout.flush()
sys.stdin.readline()
for first, second in held:
  first.shutdown(socket.SHUT_WR)
  second.recv(1)
  second.close()
  first.recv(1)
  first.close()
`;

interface Older {
  readonly ends: readonly End[];
  close(): Promise<void>;
}

async function startOlder(t: Test, namespace: Namespace): Promise<Older> {
  const child = namespace.spawn('python3', ['-c', OLDER], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = new Promise((resolve) => child.once('close', resolve));
  t.teardown(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (more: string) => (text += more));
  const ends = (): readonly End[] => parseNdjson(text) as unknown as readonly End[];
  await until(() => text.endsWith('\n') && ends().length === 80, { what: 'the connections' });
  return {
    ends: ends(),
    close: async () => {
      child.stdin?.end('\n');
      await exited;
    },
  };
}

const byPorts = (ends: readonly End[]): string[] =>
  ends.map((end) => `${end.local} > ${end.peer}: ${end.sent} out, ${end.received} in`).sort();

t.test('insight: CLOSE of an older connection has the bytes of both ends', { skip }, async (t) => {
  const { wanted, found } = await provoke(
    async () => {
      const namespace = createNamespace(t);
      const older = await startOlder(t, namespace);
      const insight = await startInsight(t, namespace, ['-e', 'CLOSE']);
      await older.close();
      await insight.stop();
      const found = insight
        .of('CLOSE')
        .map(({ network_local_port, network_peer_port, details }): End => ({
          local: network_local_port,
          peer: network_peer_port,
          sent: Number(details['sent']),
          received: Number(details['received']),
        }));
      for (const { age_ms, bytes, details } of insight.of('CLOSE')) {
        t.equal(age_ms, null);
        t.equal(bytes, Number(details['sent']) + Number(details['received']));
      }
      return { wanted: byPorts(older.ends), found: byPorts(found) };
    },
    ({ wanted, found }) => wanted.length === found.length,
  );
  t.strictSame(found, wanted);
});

const portOf = (end = ''): number => Number(end.slice(end.lastIndexOf(':') + 1));

/** What samples say of the payload of each connection, its last value; without a line it was 0. */
function payloadOf(samples: readonly Sample[]): End[] {
  return select(samples, 'netwatch_connection_info')
    .filter(({ labels }) => portOf(labels['dst']) !== 0)
    .map(({ labels: { src = '', dst = '' } }) => {
      const last = (name: string): number =>
        select(samples, `netwatch_connection_${name}_payload_bytes_total`, { src, dst }).at(-1)
          ?.value ?? 0;
      const [local, peer] = [portOf(src), portOf(dst)];
      return { local, peer, sent: last('sent'), received: last('received') };
    });
}

t.test('the collector: payload of older connections, open and closed', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const older = await startOlder(t, namespace);
  const collector = await startCollector(t, namespace, ['-x', '-q', '--interval', '0.1']);
  const state = await collector.pulled();
  t.strictSame(byPorts(payloadOf(state)), byPorts(older.ends), 'open');
  const sides = select(state, 'netwatch_connection_info').map(({ labels }) => {
    const { src, is_server } = labels;
    return portOf(src) < 7300 ? is_server === '1' : is_server === '0';
  });
  t.strictSame(
    new Set(sides),
    new Set([true]),
    'nobody listens any more, and yet each has its side',
  );
  await older.close();
  t.match(await collector.stop(), { code: 0 });
  t.strictSame(
    byPorts(payloadOf(collector.samples('connects.log'))),
    byPorts(older.ends),
    'closed',
  );
});

t.test('payload is what processes wrote and read, and what tcplife says', { skip }, async (t) => {
  const sizes = [
    { requestBytes: 1, replyBytes: 0 },
    { requestBytes: 100_003, replyBytes: 30_011, rounds: 2 },
    { requestBytes: 7, replyBytes: 5, host: '::1' },
    { requestBytes: 9, replyBytes: 3, close: 'reset' },
    { rounds: 0 },
  ] as const;
  const run = async () => {
    const namespace = createNamespace(t);
    const collector = await startCollector(t, namespace, ['-x', '-q', '--interval', '3600']);
    const tool = await startTool(t, namespace, 'tcplife', ['-o', 'json']);
    const ends: End[] = [];
    for (const options of sizes) {
      const { client } = await runTcp(namespace, options);
      for (const { localPort, bytesOut, bytesIn } of client.connections) {
        ends.push({ local: localPort, peer: TCP_PORT, sent: bytesOut, received: bytesIn });
        ends.push({ local: TCP_PORT, peer: localPort, sent: bytesIn, received: bytesOut });
      }
    }
    await Promise.all([tool.stop(), collector.stop()]);
    return { ends, rows: tool.objects(), log: collector.samples('connects.log') };
  };
  const { ends, rows, log } = await provoke(
    run,
    ({ ends, rows, log }) => rows.length === ends.length && payloadOf(log).length === ends.length,
  );
  const ofTcplife = rows.map((row): End => ({
    local: Number(row['network_local_port']),
    peer: Number(row['network_peer_port']),
    sent: Number(row['bytes_sent']),
    received: Number(row['bytes_received']),
  }));
  t.equal(ends.length, 10);
  t.strictSame(byPorts(payloadOf(log)), byPorts(ends));
  t.strictSame(byPorts(ofTcplife), byPorts(ends));
});

t.test('the latency of a connect() that is older is not known', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const server = await startProgram(namespace, 'tcp-server', { port: TCP_PORT });
  const run = async () => {
    const lost = dropPackets(namespace, { to: TCP_PORT, only: 'syn' });
    const client = connectAndWait(t, namespace, '127.0.0.1', TCP_PORT);
    await until(async () => (await sockets(namespace, 'state', 'syn-sent')).length === 1, {
      what: 'connect() has begun',
    });
    const tools = await Promise.all(
      [['-o', 'json'], [], ['-o', 'csv'], ['0.001', '-o', 'json'], ['60000', '-o', 'json']].map(
        (args) => startTool(t, namespace, 'tcpconnlat', args),
      ),
    );
    lost.remove();
    await client.exited;
    await Promise.all(tools.map((tool) => tool.stop()));
    return tools;
  };
  const [json, table, csv, ...withMinimum] = await provoke(
    run,
    ([json]) => json?.objects().length === 1,
  );
  const row = { duration_ms: null, outcome: 'established', network_peer_port: TCP_PORT };
  t.match(json?.objects(), [row]);
  t.match(table?.lines()[1], / 127\.0\.0\.1 {8}127\.0\.0\.1 {8}7000 {2}N\/A$/);
  t.match(csv?.lines()[1], /,127\.0\.0\.1,7000,$/);
  t.strictSame(
    withMinimum.map((tool) => tool.objects()),
    [[], []],
    'no minimum lets it through',
  );
  await server.stop();
});
