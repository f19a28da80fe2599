// Connections that are older than what watches them: what nobody measured is unknown, what the
// kernel knows is right. The witness is what the two processes wrote and read.
import t, { type Test } from 'tap';
import { dropPackets } from '../../scripts/traffic/faults.js';
import { startInsight } from '../support/insight.js';
import { connectAndWait } from '../support/life.js';
import { parseNdjson } from '../support/ndjson.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { provoke } from '../support/provoke.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { sockets } from '../support/ss.js';
import { startTool } from '../support/tool.js';
import { startProgram, TCP_PORT } from '../support/traffic.js';
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
