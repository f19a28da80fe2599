// tcprtt and tcpsynbl: histograms of known traffic, each count of which has a witness.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { bucketRange } from '../../src/terminal/histogram.js';
import { bucketOf } from '../support/buckets.js';
import { provoke } from '../support/provoke.js';
import type { Json } from '../support/ndjson.js';
import { createNamespace, type Namespace, type Teardown } from '../support/netns.js';
import { needsRoot } from '../support/skip.js';
import { sockets, type SocketRow } from '../support/ss.js';
import { startTool, type RunningTool } from '../support/tool.js';
import { startProgram } from '../support/traffic.js';
import { until } from '../support/wait.js';

const skip = needsRoot;

interface Bucket {
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

const bucketsOf = (object: Json | undefined): readonly Bucket[] =>
  (object?.['buckets'] ?? []) as readonly Bucket[];
const countOf = (objects: readonly Json[]): number =>
  objects.flatMap(bucketsOf).reduce((sum, { count }) => sum + count, 0);

function temporary(t: Teardown): string {
  const folder = mkdtempSync(join(tmpdir(), 'netwatch-test-'));
  t.teardown(() => {
    rmSync(folder, { recursive: true });
  });
  return folder;
}

/** Connections that are open before and after the traffic: what has come in between is known. */
interface Held {
  /** Sends something; gives the segments that arrived meanwhile, of all that `wanted` names. */
  exchange(wanted: (socket: SocketRow) => boolean): Promise<{
    readonly segments: number;
    readonly sockets: readonly SocketRow[];
  }>;
}

async function hold(t: Teardown, namespace: Namespace): Promise<Held> {
  const start = async (host: string, port: number) => {
    const options = { host, port, requestBytes: 40_000, replyBytes: 300 };
    const server = await startProgram(namespace, 'tcp-server', options);
    const held = { connections: 2, rounds: 7, close: 'hold', connectFirst: true } as const;
    const client = await startProgram(namespace, 'tcp-client', { ...options, ...held });
    return { server, client };
  };
  const programs = [await start('127.0.0.1', 7501), await start('::1', 7502)];
  t.teardown(async () => {
    for (const { client, server } of programs) {
      await client.stop();
      await server.stop();
    }
  });
  /** All that are established, when nothing is under way any more. */
  const quiet = async (): Promise<readonly SocketRow[]> => {
    let before = '';
    return await until(
      async () => {
        const open = (await sockets(namespace)).filter(({ state }) => state === 'ESTAB');
        const text = JSON.stringify(open.map(({ segsIn, segsOut }) => [segsIn, segsOut]));
        const same = text === before;
        before = text;
        return same && open.every(({ sendQueue }) => sendQueue === 0) && open;
      },
      { what: 'all is quiet', everyMs: 100 },
    );
  };
  const segmentsOf = (open: readonly SocketRow[]): number =>
    open.reduce((sum, { segsIn }) => sum + segsIn, 0);
  return {
    exchange: async (wanted) => {
      const before = segmentsOf((await quiet()).filter(wanted));
      for (const { client } of programs) await client.go();
      const after = (await quiet()).filter(wanted);
      return { segments: segmentsOf(after) - before, sockets: after };
    },
  };
}

const isV4 = ({ local }: SocketRow): boolean => !local.address.includes(':');
const any = (): boolean => true;

t.test('tcprtt counts each segment that arrives once', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const held = await hold(t, namespace);
  const { expected, found, open } = await provoke(
    async () => {
      const tool = await startTool(t, namespace, 'tcprtt', ['-o', 'json', '-e']);
      const { segments, sockets: open } = await held.exchange(any);
      t.strictSame(await tool.stop(), { code: 0, signal: null });
      return { expected: segments, found: tool.objects(), open };
    },
    (result) => result.expected === countOf(result.found),
  );
  t.equal(open.length, 8);
  const [all, ...more] = found;
  t.strictSame(more, []);
  t.match(all, { unit: 'usecs', count: expected });
  t.equal(countOf(found), expected, 'as many as ss has counted');
  const ranges = bucketsOf(all);
  const average = Number(all?.['average_us']);
  t.ok(average >= (ranges[0]?.from ?? Infinity) && average <= (ranges.at(-1)?.to ?? 0));
});

t.test('the round-trip time is the one that ss shows', { skip }, async (t) => {
  const namespace = createNamespace(t);
  // who only receives measures nothing new: its time stays that of the handshake
  const sizes = { port: 7503, requestBytes: 50_000, replyBytes: 0 };
  const server = await startProgram(namespace, 'tcp-server', sizes);
  const options = { ...sizes, rounds: 5, close: 'hold', connectFirst: true } as const;
  const client = await startProgram(namespace, 'tcp-client', options);
  const tool = await startTool(t, namespace, 'tcprtt', ['-p', '7503', '-e', '-o', 'json']);
  await client.go();
  const all = await sockets(namespace, 'sport', '=', ':7503');
  const socket = all.find(({ state }) => state === 'ESTAB');
  await tool.stop();
  await client.stop();
  await server.stop();
  const rttUs = Math.round((socket?.srttMs ?? NaN) * 1000);
  const [found, ...more] = tool.objects();
  t.strictSame(more, []);
  t.equal(found?.['average_us'], rttUs);
  const { low, high } = bucketRange(bucketOf(rttUs));
  t.match(bucketsOf(found), [{ from: low, to: high, count: found?.['count'] }]);
});

interface OptionCase {
  readonly args: readonly string[];
  readonly keeps: (socket: SocketRow) => boolean;
}

const CASES: readonly OptionCase[] = [
  { args: [], keeps: any },
  { args: ['-m'], keeps: any },
  { args: ['-p', '7501'], keeps: ({ local }) => local.port === 7501 },
  { args: ['-P', '7502'], keeps: ({ peer }) => peer.port === 7502 },
  { args: ['--port', '7502'], keeps: (socket) => !isV4(socket) },
  { args: ['-a', '127.0.0.0/8'], keeps: isV4 },
  { args: ['-A', '::1'], keeps: (socket) => !isV4(socket) },
  { args: ['-4', '-b'], keeps: isV4 },
  { args: ['-6', '-B'], keeps: (socket) => !isV4(socket) },
  { args: ['--targ_sport', '7502'], keeps: ({ local }) => local.port === 7502 },
  { args: ['-a', '192.0.2.1'], keeps: () => false },
  { args: ['--sport', '7501'], keeps: ({ local }) => local.port === 7501 },
  { args: ['--pid', '1'], keeps: () => false },
];

t.test('each filter of tcprtt counts the segments of what it names', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const held = await hold(t, namespace);
  const found = await provoke(
    async () => {
      const tools: RunningTool[] = [];
      for (const { args } of CASES) {
        const interval = ['-i', '600', '-o', 'json'];
        tools.push(await startTool(t, namespace, 'tcprtt', [...interval, ...args]));
      }
      const before = await sockets(namespace);
      await held.exchange(any);
      const after = await sockets(namespace);
      for (const tool of tools) await tool.stop();
      return CASES.map(({ args, keeps }, i) => {
        const sum = (rows: readonly SocketRow[]): number =>
          rows
            .filter((row) => row.state === 'ESTAB' && keeps(row))
            .reduce((all, { segsIn }) => all + segsIn, 0);
        const objects = tools[i]?.objects() ?? [];
        return { args, objects, expected: sum(after) - sum(before), counted: countOf(objects) };
      });
    },
    (cases) => cases.every(({ expected, counted }) => expected === counted),
  );
  for (const { args, expected, counted } of found) t.equal(counted, expected, args.join(' '));
  const objectsOf = (...args: string[]): readonly Json[] =>
    found.find((one) => one.args.join() === args.join())?.objects ?? [];
  t.match(objectsOf('-m'), [{ unit: 'msecs', buckets: [{ from: 0, to: 1 }] }]);
  t.match(objectsOf('-4', '-b'), [{ network_local_address: '127.0.0.1' }]);
  t.match(objectsOf('-6', '-B'), [{ network_peer_address: '::1' }]);
});

const USECS = '     usecs               : count     distribution';
const CLOCK = /^\d\d:\d\d:\d\d$/;

t.test("tcprtt shows bcc's sections, its times, or the tutorial's form", { skip }, async (t) => {
  const namespace = createNamespace(t);
  const held = await hold(t, namespace);
  const plain = await startTool(t, namespace, 'tcprtt');
  const timed = await startTool(t, namespace, 'tcprtt', ['-T', '-B', '-e', '--millisecond']);
  const tutorial = await startTool(t, namespace, 'tcprtt', [
    '--targ_laddr_hist',
    '--targ_show_ext',
    '-i',
    '600',
  ]);
  const folder = temporary(t);
  const kept = await startTool(t, namespace, 'tcprtt', ['-m', '--data', folder]);
  const { segments } = await held.exchange(any);
  for (const tool of [plain, timed, tutorial, kept]) await tool.stop();

  const [banner, ...lines] = plain.lines();
  t.equal(banner, 'Tracing TCP RTT... Hit Ctrl-C to end.');
  t.strictSame(lines.slice(0, 4), ['', '', 'All Addresses = *******', USECS]);
  for (const line of lines.slice(4)) t.match(line, /^ +\d+ -> \d+ +: \d+ +\|[* ]{40}\|$/);

  const more = timed.lines();
  t.equal(more[1], '');
  t.match(more[2], CLOCK);
  const titles = more.filter((line) => / = /.test(line));
  t.equal(titles.length, 2);
  for (const address of ['127.0.0.1', '::1'])
    t.ok(
      titles.some((title) =>
        new RegExp(`^Remote Address = ${address} \\[AVG \\d+\\]$`).test(title),
      ),
      address,
    );
  t.ok(more.includes(USECS.replace('usecs', 'msecs')));

  const own = tutorial.lines();
  t.strictSame(own.filter((line) => line.startsWith('key')).sort(), [
    'key =  16777343',
    'key =  ::1',
  ]);
  const sum = own
    .flatMap((line) => /^cnt = (\d+)$/.exec(line)?.[1] ?? [])
    .reduce((all, count) => all + Number(count), 0);
  t.equal(sum, segments);
  t.ok(own.includes('     (unit)              : count    distribution'));

  const file = readFileSync(join(folder, 'tcprtt.prom'), 'utf8');
  t.match(file, `netwatch_tcp_segment_rtt_seconds_count ${segments}\n`);
  t.match(file, /netwatch_tcp_segment_rtt_seconds_sum 0\.\d+\n/);
});

t.test('tcprtt reports as often as its time is enough for', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const tool = await startTool(t, namespace, 'tcprtt', ['-T', '-i', '0.2', '-d', '0.6']);
  const loud = await startTool(t, namespace, 'tcprtt', ['-D', '-d', '0.1']);
  t.strictSame(await tool.exited, { code: 0, signal: null });
  t.equal(tool.lines().filter((line) => CLOCK.test(line)).length, 3);
  t.strictSame(await loud.exited, { code: 0, signal: null });
  t.match(loud.stderr(), /libbpf: /, '-D shows what libbpf says');
  t.notMatch(tool.stderr(), /libbpf: /);
});

/** More addresses than the table of tcprtt has room for, each of which receives a byte. */
const MANY_ADDRESSES = `
import socket, sys
server = socket.socket(); server.bind(('127.0.0.1', 7504)); server.listen(5)
for i in range(int(sys.argv[1])):
    client = socket.socket()
    client.bind((f'127.1.{i >> 8}.{i & 255}', 0))
    client.connect(('127.0.0.1', 7504))
    accepted = server.accept()[0]
    accepted.send(b'x'); client.recv(1)
    client.close(); accepted.close()
`;

t.test('what finds no room in the table is told, and counted', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const folder = temporary(t);
  const args = ['-b', '-o', 'json', '--data', folder];
  const tool = await startTool(t, namespace, 'tcprtt', args);
  await namespace.exec('python3', ['-c', MANY_ADDRESSES, '11000'], { timeoutMs: 60_000 });
  await tool.stop();
  const file = readFileSync(join(folder, 'tcprtt.prom'), 'utf8');
  const valueOf = (series: string): number =>
    Number(
      file
        .split('\n')
        .find((line) => line.startsWith(`${series} `))
        ?.split(' ')[1],
    );
  const lost = valueOf('netwatch_events_lost_total{source="tcprtt",stage="map_full"}');
  t.ok(lost > 0);
  t.match(tool.stderr(), `${lost} counts found no room in the kernel; filter more`);
  const shown = countOf(tool.objects());
  t.ok(shown > 10_000);
  t.equal(shown + lost, valueOf('netwatch_tcp_segment_rtt_seconds_count'));
});

/** Connects `count` times to a server that does not accept. */
interface Queue {
  readonly host: string;
  /** Where the server listens. */
  readonly serverHost: string;
  readonly port: number;
  readonly backlog: number;
  readonly count: number;
}

const QUEUES: readonly Queue[] = [
  // one more than the limit finds room
  { host: '127.0.0.1', serverHost: '127.0.0.1', port: 7601, backlog: 16, count: 17 },
  { host: '::1', serverHost: '::1', port: 7602, backlog: 40, count: 9 },
  { host: '127.0.0.1', serverHost: '::', port: 7603, backlog: 130, count: 5 },
];

async function fill(namespace: Namespace, queues: readonly Queue[]): Promise<void> {
  for (const { host, serverHost, port, backlog, count } of queues) {
    const server = await startProgram(namespace, 'tcp-server', {
      host: serverHost,
      port,
      backlog,
    });
    server.signal('SIGSTOP');
    const client = await startProgram(namespace, 'tcp-client', {
      host,
      port,
      connections: count,
      rounds: 0,
      close: 'hold',
      connectFirst: true,
    });
    server.signal('SIGCONT');
    await client.go();
    await client.stop();
    await server.stop();
  }
}

/** The first one finds nobody, the next one the first, and so on. */
function expectedOf({ backlog, count }: Queue): { limit: number; buckets: readonly Bucket[] } {
  const counts = new Map<number, number>();
  for (let length = 0; length < count; length++) {
    const bucket = bucketOf(length);
    counts.set(bucket, (counts.get(bucket) ?? 0) + 1);
  }
  const buckets = [...counts].map(([bucket, times]) => ({
    from: bucket === 1 ? 0 : 2 ** (bucket - 1),
    to: 2 ** bucket - 1,
    count: times,
  }));
  return { limit: backlog, buckets };
}

const foundIn = (tool: RunningTool) =>
  tool.objects().map((object) => ({ limit: object['backlog_max'], buckets: bucketsOf(object) }));

t.test('tcpsynbl tells what each connection found in the queue', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const cases: readonly (readonly [args: readonly string[], queues: readonly Queue[]])[] = [
    [[], QUEUES],
    // IPv4 at an IPv6 socket is IPv4
    [['-4'], QUEUES.filter(({ host }) => host === '127.0.0.1')],
    [['-6'], QUEUES.filter(({ host }) => host === '::1')],
    [['--port', '7603'], QUEUES.slice(2)],
  ];
  const results = await provoke(
    async () => {
      const tools: RunningTool[] = [];
      for (const [args] of cases)
        tools.push(await startTool(t, namespace, 'tcpsynbl', ['-o', 'json', ...args]));
      await fill(namespace, QUEUES);
      for (const tool of tools) t.strictSame(await tool.stop(), { code: 0, signal: null });
      return tools.map(foundIn);
    },
    (all) => JSON.stringify(all[0]) === JSON.stringify(QUEUES.map(expectedOf)),
  );
  for (const [i, [args, queues]] of cases.entries())
    t.strictSame(results[i], queues.map(expectedOf), args.join(' '));
});

t.test('tcpsynbl knows listeners that are older than itself', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const server = await startProgram(namespace, 'tcp-server', { port: 7604, backlog: 33 });
  server.signal('SIGSTOP');
  const tool = await startTool(t, namespace, 'tcpsynbl', ['-o', 'json']);
  const options = { port: 7604, connections: 3, connectFirst: true, rounds: 0 };
  const client = await startProgram(namespace, 'tcp-client', options);
  server.signal('SIGCONT');
  await client.go();
  await client.stop();
  await server.stop();
  await tool.stop();
  t.match(foundIn(tool), [{ limit: 33, buckets: [{ count: 2 }, { from: 2, to: 3, count: 1 }] }]);
});

t.test('tcpsynbl shows a histogram for each limit, as bcc does', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const folder = temporary(t);
  const tool = await startTool(t, namespace, 'tcpsynbl', ['--data', folder]);
  const timed = await startTool(t, namespace, 'tcpsynbl', ['-T', '0.2', '2']);
  await fill(namespace, QUEUES.slice(0, 1));
  await tool.stop();
  t.strictSame(await timed.exited, { code: 0, signal: null });
  t.equal(timed.lines().filter((line) => CLOCK.test(line)).length, 2);
  t.strictSame(tool.lines(), [
    'Tracing SYN backlog size. Ctrl-C to end.',
    '',
    '',
    'backlog_max = 16',
    '     backlog             : count     distribution',
    '         0 -> 1          : 2        |**********                              |',
    '         2 -> 3          : 2        |**********                              |',
    '         4 -> 7          : 4        |********************                    |',
    '         8 -> 15         : 8        |****************************************|',
    '        16 -> 31         : 1        |*****                                   |',
  ]);
  const name = 'netwatch_tcp_accept_queue_length_at_arrival';
  const file = readFileSync(join(folder, 'tcpsynbl.prom'), 'utf8');
  for (const [bound, count] of [
    ['1', 2],
    ['3', 4],
    ['7', 8],
    ['15', 16],
    ['31', 17],
    ['+Inf', 17],
  ] as const)
    t.match(
      file,
      new RegExp(`${name}_bucket{limit="16",le="${bound.replace('+', '\\+')}(\\.0)?"} ${count}\n`),
    );
  t.match(file, `${name}_sum{limit="16"} ${(16 * 17) / 2}\n`);
});
