// On this kernel: each of the tools tells known traffic exactly, and what this kernel cannot give is said.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { dropPackets, plainDevice } from '../../scripts/traffic/faults.js';
import { injectSegment, type Segment } from '../../scripts/traffic/inject.js';
import { countsOfRows, exchange, type ByteCounts, type Exchanged } from '../support/byte-counts.js';
import { PROGRAM } from '../support/collector.js';
import { startPasser } from '../support/descriptors.js';
import type { Json } from '../support/ndjson.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import {
  createQueuePair,
  DEVICE,
  HEADER_BYTES,
  linkCounters,
  sendDatagrams,
  sendThrough,
} from '../support/nic.js';
import { countFrom } from '../support/nstat.js';
import { sockets } from '../support/ss.js';
import { startTool, type RunningTool } from '../support/tool.js';
import { runTcp, startProgram, TCP_PORT } from '../support/traffic.js';
import { moveUnusually } from '../support/unusual-bytes.js';
import { hasTrampolines, since } from '../support/vm-kernel.js';
import { until } from '../support/wait.js';
import { waitingReaders } from '../support/waiting-readers.js';

/** Only the report at the end. */
const SECONDS = '1000';

/** One after the other: a machine like this one takes seconds for each. */
async function start<N extends string>(
  t: Test,
  namespace: Namespace,
  lines: Readonly<Record<N, readonly string[]>>,
): Promise<Record<N, RunningTool>> {
  const tools = {} as Record<N, RunningTool>;
  for (const name of Object.keys(lines) as N[])
    tools[name] = await startTool(t, namespace, name, ['-o', 'json', ...lines[name]]);
  return tools;
}

/** Ends them; what each has told. */
async function finish<N extends string>(
  t: Test,
  tools: Readonly<Record<N, RunningTool>>,
): Promise<Record<N, readonly Json[]>> {
  const told = {} as Record<N, readonly Json[]>;
  for (const name of Object.keys(tools) as N[]) {
    t.strictSame(await tools[name].stop(), { code: 0, signal: null }, name);
    told[name] = tools[name].objects();
  }
  return told;
}

/** What a tool says was left out on this kernel. */
const missing = (tool: RunningTool): string[] =>
  tool
    .stderr()
    .split('\n')
    .flatMap((line) => /: (without .*)/.exec(line)?.[1] ?? []);

/** Shows that a tool does not start here, and says why. */
function refuses(t: Test, namespace: Namespace, name: string, why: RegExp): void {
  const line = [PROGRAM, name, '--netns', namespace.name];
  const { status, stdout, stderr } = spawnSync(process.execPath, line, { encoding: 'utf8' });
  t.equal(status, 4, name);
  t.equal(stdout, '', 'no rows that would be incomplete');
  t.match(stderr, why, name);
}

/** Of both ends of connections: `pid local peer`, as in ByteCounts. */
function keyOf(row: Json): string {
  const end = (side: string): string =>
    `${String(row[`network_${side}_address`])}:${String(row[`network_${side}_port`])}`;
  return `${String(row['pid'])} ${end('local')} ${end('peer')}`;
}

const keysOf = (rows: readonly Json[]): string[] => rows.map(keyOf).sort();

const CLIENT = ['SYN_SENT', 'ESTABLISHED', 'FIN_WAIT1', 'FIN_WAIT2', 'CLOSE'];
const SERVER = ['SYN_RECV', 'ESTABLISHED', 'CLOSE_WAIT', 'LAST_ACK', 'CLOSE'];
const LISTENER = ['LISTEN', 'CLOSE'];

/** How often each state was entered by sockets of a process. */
const statesOf = (rows: readonly Json[], pid: number | null): unknown[] =>
  rows
    // close() after shutdown(), before the last ACK, is told as LAST_ACK -> LAST_ACK
    .filter((row) => row['pid'] === pid && row['state_before'] !== row['state'])
    .map(({ state }) => state)
    .sort();

const times = (count: number, values: readonly string[]): string[] =>
  Array.from({ length: count }, () => values).flat();

/** All states of both ends, by the process; `runs`: three connections, then two. */
function checkStates(t: Test, rows: readonly Json[], runs: readonly Exchanged[]): void {
  // sockets that remember by themselves have their listener's process before accept() (5.11)
  const unknown = since('5.11') ? 0 : 2;
  t.strictSame(statesOf(rows, null), times(5, SERVER.slice(0, unknown)).sort());
  for (const [i, { clientPid, serverPid }] of runs.entries()) {
    const count = 3 - i;
    t.strictSame(statesOf(rows, clientPid), times(count, CLIENT).sort());
    const accepted = [...times(count, SERVER.slice(unknown)), ...LISTENER];
    t.strictSame(statesOf(rows, serverPid), accepted.sort());
  }
}

const SIZES = { rounds: 2, requestBytes: 5003, replyBytes: 1024 } as const;

t.test('the life of each connection is told once, by its processes', async (t) => {
  const namespace = createNamespace(t);
  const tools = await start(t, namespace, {
    tcpstates: [],
    tcplife: [],
    tcptracer: [],
    tcpaccept: [],
    tcp_connection: [],
    tcpconnect: [],
    tcpconnlat: [],
    tcpsynbl: [],
  });
  const v4 = { ...SIZES, port: 7301, host: '127.0.0.1', connections: 3 };
  const v6 = { ...SIZES, port: 7302, host: '::1', connections: 2 };
  const runs = [await exchange(namespace, v4), await exchange(namespace, v6)];
  const told = await finish(t, tools);
  for (const [name, tool] of Object.entries(tools)) t.strictSame(missing(tool), [], name);
  const counts: ByteCounts = Object.fromEntries(runs.flatMap((run) => Object.entries(run.counts)));
  const ends = Object.keys(counts).sort();
  const of = (pids: readonly number[]): string[] =>
    ends.filter((end) => pids.includes(Number(end.split(' ')[0])));
  const callers = of(runs.map(({ clientPid }) => clientPid));
  const called = of(runs.map(({ serverPid }) => serverPid));
  t.strictSame([callers.length, called.length], [5, 5]);
  t.strictSame(countsOfRows(told.tcplife), counts, 'bytes of both ends');
  t.equal(told.tcplife.length, 10);
  for (const name of ['tcpconnect', 'tcpconnlat'] as const)
    t.strictSame(keysOf(told[name]), callers, name);
  t.strictSame(keysOf(told.tcpaccept), called);
  t.strictSame(keysOf(told.tcp_connection), ends);
  const traced = (event: string) => keysOf(told.tcptracer.filter((row) => row['event'] === event));
  t.strictSame([traced('connect'), traced('accept')], [callers, called]);
  t.strictSame([traced('close'), told.tcptracer.length], [ends, 20]);
  checkStates(t, told.tcpstates, runs);
  // one after the other: each finds an empty queue
  t.match(told.tcpsynbl, [{ backlog_max: 511, buckets: [{ from: 0, to: 1, count: 5 }] }]);
  t.equal(told.tcpsynbl.length, 1);
});

/** They take functions of the kernel where it has no tracepoint for the bytes (before 6.3). */
const BYTES = { tcptop: [SECONDS], tcp_bytes: ['-i', SECONDS], tcpsubnet: ['-i', SECONDS] };
const PORT = 7303;

t.test('each byte is counted once, in whatever way it is moved', async (t) => {
  const namespace = createNamespace(t);
  const tools = await start(t, namespace, BYTES);
  const v6 = await exchange(namespace, { ...SIZES, port: PORT, host: '::1', connections: 2 });
  const v4 = await moveUnusually(t, namespace, '127.0.0.1');
  const told = await finish(t, tools);
  const counts = { ...v6.counts, ...v4 };
  t.strictSame(countsOfRows(told.tcptop), counts);
  t.strictSame(countsOfRows(told.tcp_bytes), counts);
  const [[sent] = [0]] = Object.values(v4);
  t.ok(sent > 12_000);
  t.match(told.tcpsubnet, [{ subnet: '127.0.0.1/32', bytes_sent: sent }]);
  for (const [name, tool] of Object.entries(tools)) t.strictSame(missing(tool), [], name);
});

// Elsewhere tracepoints or fexit tell of every call.
if (!since('6.3') && !hasTrampolines()) {
  t.test('of calls that wait, those that a kprobe missed are counted as lost', async (t) => {
    const namespace = createNamespace(t);
    const readers = 40;
    const tools = await start(t, namespace, {
      tcptop: [SECONDS],
      tcp_bytes: ['-i', SECONDS, '-p', '1'],
    });
    await waitingReaders(namespace, readers, PORT);
    const { tcptop } = await finish(t, tools);
    t.notMatch(tools.tcp_bytes.stderr(), /no room/, 'calls of others are not missed');
    const said = tools.tcptop.stderr();
    t.match(said, /kprobes/);
    const told = [...said.matchAll(/: (\d+) counts found no room/g)];
    const lost = told.reduce((sum, [, count]) => sum + Number(count), 0);
    t.ok(lost > 0, said);
    t.equal(sumOf(tcptop, 'bytes_sent'), 3 * readers);
    t.equal(sumOf(tcptop, 'bytes_received') + lost, readers, 'each has taken one byte');
  });
}

/** Segments that the connections have received by now, when all is acknowledged. */
async function segmentsIn(namespace: Namespace): Promise<number> {
  const open = await until(
    async () => {
      const all = (await sockets(namespace)).filter(({ state }) => state === 'ESTAB');
      return all.every(({ sendQueue }) => sendQueue === 0) && all;
    },
    { what: 'all is acknowledged' },
  );
  return open.reduce((sum, { segsIn }) => sum + segsIn, 0);
}

t.test('each segment and each read of connections is counted once', async (t) => {
  const namespace = createNamespace(t);
  const at = { port: PORT, requestBytes: 700, replyBytes: 300 } as const;
  const server = await startProgram(namespace, 'tcp-server', at);
  const held = { connections: 2, rounds: 7, close: 'hold', connectFirst: true } as const;
  const client = await startProgram(namespace, 'tcp-client', { ...at, ...held });
  const tools = await start(t, namespace, { tcprtt: ['-e'], tcppktlat: [] });
  const before = await segmentsIn(namespace);
  await client.go();
  const segments = (await segmentsIn(namespace)) - before;
  const told = await finish(t, tools);
  t.equal(told.tcprtt[0]?.['count'], segments, 'as many as the sockets have received');
  t.ok(segments >= 2 * 7 * 2);
  const readers = told.tcppktlat.map(({ pid, latency_us: us }) => [pid, Number(us) > 0]);
  const reads = [client.pid, server.pid].flatMap((pid) => Array(14).fill([pid, true]) as unknown[]);
  t.strictSame(readers.sort(), reads.sort(), 'each request and each reply is one');
  for (const [name, tool] of Object.entries(tools)) t.strictSame(missing(tool), [], name);
  await client.stop();
  await server.stop();
});

const sumOf = (rows: readonly Json[], field: string): number =>
  rows.reduce((sum, row) => sum + Number(row[field]), 0);

/** Of the packets of an upload of 200 segments or more, which those are that get lost. */
const LOST = [20, 90, 91, 160] as const;

t.test('under loss: what was dropped, sent again, and how long that took', async (t) => {
  const namespace = createNamespace(t);
  plainDevice(namespace);
  const tools = await start(t, namespace, { tcpretrans: [], tcpcong: [] });
  const drop = since('5.17') ? await start(t, namespace, { tcpdrop: [] }) : null;
  const grown = await countFrom(namespace);
  const rule = dropPackets(namespace, { to: TCP_PORT, kth: LOST });
  const upload = { connections: 1, requestBytes: 300_007, replyBytes: 1, timeoutMs: 60_000 };
  const beganMs = performance.now();
  await runTcp(namespace, upload);
  const tookMs = performance.now() - beganMs;
  const dropped = rule.dropped();
  rule.remove();
  const { TcpRetransSegs } = await grown();
  const told = await finish(t, tools);
  t.equal(dropped, LOST.length);
  t.ok(TcpRetransSegs >= dropped);
  t.equal(sumOf(told.tcpretrans, 'segments'), TcpRetransSegs);
  checkCongestion(t, told.tcpcong, tookMs);
  // before 5.17 it takes a function that is part of others there
  if (drop === null) refuses(t, namespace, 'tcpdrop', /tcp_drop/);
  else checkDrops(t, (await finish(t, drop)).tcpdrop);
});

/** The sender alone has changed its state. */
function checkCongestion(t: Test, rows: readonly Json[], mostMs: number): void {
  t.match(rows, [{ network_peer_port: TCP_PORT }]);
  t.equal(rows.length, 1);
  t.ok(sumOf(rows, 'changes') >= 2);
  const states = ['open', 'disorder', 'recovery', 'cwr', 'loss'] as const;
  const sums = states.map((state) => sumOf(rows, `${state}_ms`));
  const [open = 0, , recovery = 0, , loss = 0] = sums;
  t.ok(open > 0 && recovery + loss > 0, sums.join());
  t.ok(sums.reduce((a, b) => a + b) <= mostMs, `${sums.join()} of ${mostMs}`);
}

function checkDrops(t: Test, rows: readonly Json[]): void {
  const lost = rows.filter(({ reason }) => reason === 'NETFILTER_DROP');
  t.equal(lost.length, LOST.length);
  for (const row of lost) {
    t.match(row, { network_io_direction: 'receive', network_local_port: TCP_PORT });
    t.ok((row['stack'] as string[]).some((frame) => frame.startsWith('nf_hook_slow+0x')));
  }
}

/** How often each is sent, by what tcp_inerrs calls it. */
const WRONG: Readonly<Record<string, readonly [times: number, change: Partial<Segment>]>> = {
  checksum: [3, { badChecksum: true }],
  'invalid doff': [2, { dataOffset: 4 }],
  // far from any window
  'invalid seq': [2, {}],
};

t.test('wrong segments are told, as far as the kernel lets them be found', async (t) => {
  const namespace = createNamespace(t);
  const server = await startProgram(namespace, 'tcp-server', { port: PORT });
  const held = { port: PORT, close: 'hold', connectFirst: true } as const;
  const client = await startProgram(namespace, 'tcp-client', held);
  const { connections } = await client.go();
  const [{ localPort } = { localPort: 0 }] = connections;
  const tools = await start(t, namespace, { tcp_inerrs: [] });
  const grown = await countFrom(namespace);
  const [from, to] = [PORT, localPort].map((port) => ({ address: '127.0.0.1', port }));
  if (!from || !to) throw new Error('no ends');
  const right: Segment = { from, to, seq: 0, flags: 'PA', payload: 'odd' };
  for (const [count, change] of Object.values(WRONG))
    for (let i = 0; i < count; i++) await injectSegment(namespace, { ...right, ...change });
  const { TcpInErrs } = await grown();
  t.equal(TcpInErrs, 3 + 2, 'wrong checksums and headers that are too short');
  checkFaults(t, tools.tcp_inerrs, (await finish(t, tools)).tcp_inerrs);
  await client.stop();
  await server.stop();
});

function checkFaults(t: Test, tool: RunningTool, rows: readonly Json[]): void {
  const found = Object.keys(WRONG).map((kind) => rows.filter(({ error }) => error === kind).length);
  const said = missing(tool).join('\n');
  if (since('5.17')) {
    t.strictSame([found, rows.length, said], [[3, 2, 2], 7, '']);
    return;
  }
  const checksums = since('5.14') ? 3 : 0;
  t.strictSame([found, rows.length], [[checksums, 2, 0], checksums + 2]);
  t.match(said, /tcp_drop/);
  t.equal(said.includes('tcp_bad_csum'), checksums === 0, said);
  t.match(tool.stderr(), /has no reasons for drops/);
  t.ok(rows.every(({ reason }) => reason === null));
}

/** The kernel's own count of NET_RX, on all CPUs. */
function receivedInterrupts(): number {
  const line = /NET_RX:(.*)/.exec(readFileSync('/proc/softirqs', 'utf8'))?.[1] ?? '';
  return line
    .trim()
    .split(/ +/)
    .reduce((sum, count) => sum + Number(count), 0);
}

t.test('devices, interrupts, listeners and descriptors are counted and told', async (t) => {
  const pair = createQueuePair(t, 2);
  const nic = ['-n', DEVICE, '-i', SECONDS];
  const before = receivedInterrupts();
  const tools = await start(t, pair.left, {
    netqtop: nic,
    nic_throughput: nic,
    softirqs: [],
    solisten: [],
    sofdsnoop: [],
  });
  const link = await linkCounters(pair.left);
  await sendThrough(pair, 1, 1000, 211);
  await sendThrough(pair, 0, 10, 7);
  await sendDatagrams(pair.left, '127.0.0.1', 10, 23);
  const { tx } = await linkCounters(pair.left);
  const server = await startProgram(pair.left, 'tcp-server', { port: TCP_PORT, backlog: 12 });
  await server.stop();
  const passer = await startPasser(pair.left, 'one', 3);
  const { names } = await passer.pass();
  await until(() => tools.sofdsnoop.objects().length >= 6, { what: 'each file, by both ends' });
  await passer.end();
  const told = await finish(t, tools);
  for (const [name, tool] of Object.entries(tools)) t.strictSame(missing(tool), [], name);
  for (const name of ['netqtop', 'nic_throughput'] as const) {
    const queues = told[name].filter((row) => row['network_io_direction'] === 'transmit');
    const packets = sumOf(queues, 'packets');
    t.strictSame([packets, sumOf(queues, 'bytes')], [218, 211 * 1042 + 7 * (10 + HEADER_BYTES)]);
    t.equal(packets, tx.packets - link.tx.packets, 'as the device counts them');
  }
  const interrupts = sumOf(
    told.softirqs.filter((row) => row['softirq'] === 'net_rx'),
    'events',
  );
  t.ok(interrupts > 0 && interrupts <= receivedInterrupts() - before, `${interrupts}`);
  const listener = { pid: server.pid, network_local_port: TCP_PORT, backlog: 12, error: null };
  t.match(told.solisten, [listener]);
  t.strictSame([told.solisten.length, told.sofdsnoop.length], [1, 6]);
  const files = told.sofdsnoop.map(({ action, file }) => [action, file]);
  const sent = names.map((name) => ['SEND', name]);
  t.strictSame(files, [...sent, ...names.map((name) => ['RECV', name])]);
});
