// tcp_inerrs against segments that are wrong on purpose: each once, in lmp's words and the kernel's; what
// else is dropped, and what is right, is not shown.
import t, { type Test } from 'tap';
import { dropPackets } from '../../scripts/traffic/faults.js';
import { injectSegment, type Segment } from '../../scripts/traffic/inject.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import type { Json } from '../support/ndjson.js';
import { countFrom } from '../support/nstat.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { startCapture } from '../support/tcpdump.js';
import { startTool } from '../support/tool.js';
import { CLOSED_PORT, runTcp, startProgram, TCP_PORT } from '../support/traffic.js';

const skip = needsRoot || needsCommands('nft', 'nstat', 'tcpdump');

/** Not the one that runTcp() takes for itself. */
const PORT = 7100;

const PLENTY = { sysctls: { 'ipv4/tcp_invalid_ratelimit': 0 } };

interface Wrong {
  readonly change: (right: Segment) => Partial<Segment>;
  readonly times: number;
  readonly error: string;
  /** The kernel's; null: it gives up the segment without one. */
  readonly reason: string | null;
}

const WRONG: readonly Wrong[] = [
  { change: () => ({ badChecksum: true }), times: 3, error: 'checksum', reason: 'TCP_CSUM' },
  {
    change: ({ seq }) => ({ seq: seq + 1e9 }),
    times: 5,
    error: 'invalid seq',
    reason: 'TCP_INVALID_SEQUENCE',
  },
  {
    change: ({ seq }) => ({ seq: seq - 1e6 }),
    times: 2,
    error: 'invalid seq',
    reason: 'TCP_OLD_SEQUENCE',
  },
  { change: () => ({ dataOffset: 4 }), times: 3, error: 'invalid doff', reason: 'PKT_TOO_SMALL' },
  { change: () => ({ dataOffset: 15 }), times: 2, error: 'invalid doff', reason: null },
];

/** What is wrong in other ways, and not for this tool. */
const OTHERWISE: readonly Wrong['change'][] = [
  () => ({ flags: 'P' }),
  ({ ack = 0 }) => ({ ack: ack + 1e6 }),
];

interface Target {
  readonly server: number;
  readonly client: number;
  readonly host: string;
  readonly port: number;
  /** What the server could have sent next. */
  readonly right: Segment;
  readonly stop: () => Promise<unknown>;
}

/** An idle connection, and the next segment of its server's. */
async function target(t: Test, namespace: Namespace, host: string): Promise<Target> {
  const at = { host, port: PORT };
  const server = await startProgram(namespace, 'tcp-server', at);
  const client = await startProgram(namespace, 'tcp-client', {
    ...at,
    connectFirst: true,
    close: 'hold',
  });
  const capture = await startCapture(t, namespace);
  await client.go();
  const { packets } = await capture.stop();
  const reply = packets.findLast(({ length, srcPort }) => length > 0 && srcPort === PORT);
  if (!reply) throw new Error('no reply was seen');
  return {
    server: server.pid,
    client: client.pid,
    host,
    port: reply.dstPort,
    right: {
      from: { address: host, port: PORT },
      to: { address: host, port: reply.dstPort },
      seq: reply.seq + reply.length,
      ack: reply.ack ?? 0,
      flags: 'PA',
      payload: 'odd',
    },
    stop: async () => {
      await client.stop();
      await server.stop();
    },
  };
}

const ofKind = ({ error, reason }: Json | Wrong): string =>
  `${String(error)} ${error === 'invalid doff' ? '' : String(reason)}`;

t.test('each wrong segment is told once, in words and with its ends', { skip }, async (t) => {
  const namespace = createNamespace(t, PLENTY);
  for (const host of ['127.0.0.1', '::1']) {
    const { right, port, client, stop } = await target(t, namespace, host);
    const tool = await startTool(t, namespace, 'tcp_inerrs', ['-o', 'json']);
    const grown = await countFrom(namespace);
    for (const { change, times } of WRONG)
      for (let i = 0; i < times; i++)
        await injectSegment(namespace, { ...right, ...change(right) });
    for (const change of OTHERWISE) await injectSegment(namespace, { ...right, ...change(right) });
    await runTcp(namespace, { port: CLOSED_PORT, connections: 2, host });
    const counters = await grown();
    t.strictSame(await tool.stop(), { code: 0, signal: null });
    const found = tool.objects();
    const counts = new Map<string, number>();
    for (const row of found) counts.set(ofKind(row), (counts.get(ofKind(row)) ?? 0) + 1);
    t.strictSame(
      Object.fromEntries(counts),
      {
        'checksum TCP_CSUM': 3,
        'invalid seq TCP_INVALID_SEQUENCE': 5,
        'invalid seq TCP_OLD_SEQUENCE': 2,
        'invalid doff ': 5,
      },
      host,
    );
    t.equal(counters.TcpInCsumErrors, 3);
    t.equal(counters.TcpInErrs, 3 + 3, 'wrong checksums and headers that are too short');
    for (const row of found) {
      t.match(row, {
        network_io_direction: 'receive',
        network_local_address: host,
        network_local_port: port,
        network_peer_address: host,
        network_peer_port: PORT,
        network_type: host === '::1' ? 'ipv6' : 'ipv4',
        netns: namespace.inode,
      });
      // also what is refused before TCP has looked for a socket
      t.match(row, { pid: client, process: 'node', state: 'ESTABLISHED' });
    }
    await stop();
  }
});

t.test('the table has the columns of the original', { skip }, async (t) => {
  const namespace = createNamespace(t, PLENTY);
  const { right, port, client, stop } = await target(t, namespace, '127.0.0.1');
  const tool = await startTool(t, namespace, 'tcp_inerrs');
  await injectSegment(namespace, { ...right, seq: right.seq + 1e9 });
  await tool.stop();
  const [head, row = '', ...rest] = tool.lines();
  t.equal(
    head,
    'TIME      PID     COMM         IP SADDR:SPORT              > DADDR:DPORT              REASON       STATE',
  );
  const ends = ['127.0.0.1:7100', `127.0.0.1:${port}`].map((end) => end.padEnd(24));
  t.match(row, /^\d\d:\d\d:\d\d {2}/);
  t.equal(
    row.slice(10),
    `${String(client).padEnd(7)} node         4  ${ends.join(' > ')} invalid seq  ESTABLISHED`,
  );
  t.strictSame(rest, []);
  await stop();
});

t.test('clean traffic and other losses have no row', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const tool = await startTool(t, namespace, 'tcp_inerrs', ['-o', 'json']);
  for (const host of ['127.0.0.1', '::1'])
    await runTcp(namespace, { host, connections: 7, requestBytes: 300_007 });
  const rule = dropPackets(namespace, { to: TCP_PORT, only: 'data', kth: 5 });
  await runTcp(namespace, { requestBytes: 300_007 });
  t.equal(rule.dropped(), 1);
  await tool.stop();
  t.strictSame(tool.objects(), []);
});

t.test('each option of tcp_inerrs lets through what it says', { skip }, async (t) => {
  const namespace = createNamespace(t, PLENTY);
  const v4 = await target(t, namespace, '127.0.0.1');
  const sent = { right: v4.right, client: v4.client, server: v4.server };
  const count = async (...args: string[]): Promise<number> => {
    const tool = await startTool(t, namespace, 'tcp_inerrs', ['-o', 'json', ...args]);
    for (const change of [{ badChecksum: true }, { seq: sent.right.seq + 1e9 }])
      await injectSegment(namespace, { ...sent.right, ...change });
    await tool.stop();
    return tool.objects().length;
  };
  t.equal(await count(), 2);
  t.equal(await count('-4'), 2);
  t.equal(await count('-6'), 0);
  t.equal(await count('-p', `${sent.client},1`), 2);
  t.equal(await count('-p', String(sent.server)), 0);
  t.equal(await count('--port', String(PORT)), 2);
  t.equal(await count('--port', String(CLOSED_PORT)), 0);
  await v4.stop();
});
