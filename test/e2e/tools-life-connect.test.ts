// tcpconnect, tcpconnlat, tcpaccept and tcp_connection on known traffic: exact rows, every option.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import t, { type Test } from 'tap';
import { dropPackets } from '../../scripts/traffic/faults.js';
import type { TcpClientTotals } from '../../scripts/traffic/programs.js';
import {
  checkVariants,
  connectAndWait,
  watched,
  type BlockingConnect,
  type Variant,
} from '../support/life.js';
import { provoke } from '../support/provoke.js';
import { answersNames } from '../support/name-server.js';
import type { Json } from '../support/ndjson.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { needsCommands, needsRoot, unless } from '../support/skip.js';
import { startTool } from '../support/tool.js';
import { CLOSED_PORT, runTcp, startProgram, TCP_PORT } from '../support/traffic.js';
import { until } from '../support/wait.js';

const skip = needsRoot || needsCommands('nft');
const HOSTS = ['127.0.0.1', '::1'] as const;
const UID = 4711;

const json = (args: readonly string[] = []): string[] => ['-o', 'json', ...args];

/** Local ports of the connections that a client made. */
const portsOf = ({ connections }: TcpClientTotals): number[] =>
  connections.map(({ localPort }) => localPort);

for (const host of HOSTS) {
  t.test(`each connection to ${host} is one row of each tool`, { skip }, async (t) => {
    const namespace = createNamespace(t);
    const common = { port: TCP_PORT, host };
    const server = await startProgram(namespace, 'tcp-server', common);
    const client = await startProgram(
      namespace,
      'tcp-client',
      { ...common, connections: 5 },
      { comm: 'caller' },
    );
    const names = ['tcpconnect', 'tcpconnlat', 'tcpaccept', 'tcp_connection'];
    const run = async (): Promise<{ readonly ports: number[]; readonly rows: Json[][] }> => {
      const tools = await Promise.all(names.map((name) => startTool(t, namespace, name, json())));
      const ports = portsOf(await client.go());
      await Promise.all(tools.map((tool) => tool.stop()));
      return { ports, rows: tools.map((tool) => tool.objects()) };
    };
    const found = await provoke(run, ({ rows }) => rows.flat().length === 25);
    const [connect = [], latency = [], accept = [], both = []] = found.rows;
    const caller = { pid: client.pid, process: 'caller', network_local_address: host };
    const called = { pid: server.pid, network_peer_address: host, network_local_port: TCP_PORT };
    for (const rows of [connect, latency, both.filter((row) => row['direction'] === 'connect')]) {
      t.strictSame(
        rows.map((row) => row['network_local_port']),
        found.ports,
      );
      for (const row of rows) t.match(row, { ...caller, network_peer_port: TCP_PORT });
    }
    for (const rows of [accept, both.filter((row) => row['direction'] === 'accept')]) {
      t.strictSame(
        rows.map((row) => row['network_peer_port']),
        found.ports,
      );
      for (const row of rows) t.match(row, called);
    }
    t.equal(both.length, 10);
    for (const row of latency) {
      t.equal(row['outcome'], 'established');
      t.ok(Number(row['duration_ms']) > 0);
    }
    await client.stop();
    await server.stop();
  });
}

t.test('IPv4 at an IPv6 socket is IPv4, as its packets are', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const rows = await provoke(
    async () => {
      const traffic = (): Promise<unknown> => runTcp(namespace, {}, { host: '::' });
      return (await watched(t, namespace, 'tcpaccept', json(['-4']), traffic)).objects();
    },
    ({ length }) => length === 1,
  );
  t.match(rows, [
    { network_type: 'ipv4', network_local_address: '127.0.0.1', network_peer_address: '127.0.0.1' },
  ]);
});

t.test(
  'a connection that is refused: tried and answered, accepted by none',
  { skip },
  async (t) => {
    const namespace = createNamespace(t);
    const names = ['tcpconnect', 'tcpconnlat', 'tcpaccept', 'tcp_connection'];
    const run = async (): Promise<Json[][]> => {
      const tools = await Promise.all(names.map((name) => startTool(t, namespace, name, json())));
      await connectAndWait(t, namespace, '127.0.0.1', CLOSED_PORT).exited;
      // nothing leads there: connect() itself fails, and nothing is sent
      await connectAndWait(t, namespace, '192.0.2.1', CLOSED_PORT).exited;
      await Promise.all(tools.map((tool) => tool.stop()));
      return tools.map((tool) => tool.objects());
    };
    const [connect, latency, accept, both] = await provoke(run, (rows) => rows.flat().length === 3);
    const row = { network_peer_address: '127.0.0.1', network_peer_port: CLOSED_PORT };
    t.match(connect, [row]);
    t.match(latency, [{ ...row, outcome: 'refused' }]);
    t.match(both, [{ ...row, direction: 'connect' }]);
    t.strictSame([connect?.length, latency?.length, accept, both?.length], [1, 1, [], 1]);
  },
);

t.test('connect() that nobody answers is shown before its end', { skip }, async (t) => {
  const namespace = createNamespace(t);
  dropPackets(namespace, { to: TCP_PORT, only: 'syn' });
  const tool = await startTool(t, namespace, 'tcpconnect', json());
  const latency = await startTool(t, namespace, 'tcpconnlat', json());
  const states = await startTool(t, namespace, 'tcpstates', json());
  // this one does not wait in connect()
  const client = await startProgram(namespace, 'tcp-client', { port: TCP_PORT, timeoutMs: 60_000 });
  const gone = client.go();
  gone.catch(() => undefined);
  await until(() => tool.objects().some(({ pid }) => pid === client.pid), { what: 'at once' });
  const beganMs = Date.now();
  const waiting = connectAndWait(t, namespace, '127.0.0.1', TCP_PORT);
  const rowOf = ({ pid }: BlockingConnect): Json | undefined =>
    tool.objects().find((row) => row['pid'] === pid);
  await until(() => rowOf(waiting) !== undefined, { what: 'with the second SYN' });
  const row = rowOf(waiting);
  t.match(row, { process: 'bash', network_peer_port: TCP_PORT });
  t.ok(Number(row?.['network_local_port']) > 0);
  const toldMs = Date.now();
  t.ok(toldMs - beganMs >= 900, 'the kernel waits a second for the answer');
  t.ok(Date.parse(String(row?.['time'])) < toldMs - 500, 'the time is that of connect()');
  await tool.stop();
  t.equal(tool.objects().length, 2, 'each once, however many SYNs');
  await latency.stop();
  t.strictSame(latency.objects(), [], 'there was no answer');
  await states.stop();
  t.strictSame(
    states.objects().map((row) => [row['pid'], row['network_local_port']]),
    tool.objects().map((row) => [row['pid'], row['network_local_port']]),
    'tcpstates shows both with their ports',
  );
  for (const row of states.objects()) {
    t.match(row, { state_before: 'CLOSE', state: 'SYN_SENT', duration_ms: null });
    t.ok(Date.parse(String(row['time'])) < toldMs - 500, 'the time is that of connect()');
  }
});

t.test('tcpconnlat: the wait for the answer, and a minimum for it', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const run = async (): Promise<Json[][]> => {
    const lost = dropPackets(namespace, { to: TCP_PORT, only: 'syn', kth: 2 });
    const tools = await Promise.all(
      [[], ['500'], ['5000']].map((args) => startTool(t, namespace, 'tcpconnlat', json(args))),
    );
    await runTcp(namespace, { connections: 3 });
    await Promise.all(tools.map((tool) => tool.stop()));
    lost.remove();
    return tools.map((tool) => tool.objects());
  };
  const [all = [], slow, none] = await provoke(run, (rows) => rows.flat().length === 4);
  t.equal(all.length, 3);
  const times = all.map((row) => Number(row['duration_ms']));
  // the second SYN came a second after the first
  t.strictSame(
    times.map((ms) => ms >= 900),
    [false, true, false],
  );
  t.equal(slow?.length, 1);
  t.equal(slow?.[0]?.['network_local_port'], all[1]?.['network_local_port']);
  t.strictSame(none, []);
});

t.test('each filter keeps exactly what it should', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const port = 7301;
  const server = await startProgram(namespace, 'tcp-server', { port });
  const client = await startProgram(namespace, 'tcp-client', { port });
  const localPort = 7350;
  const traffic = async (): Promise<void> => {
    const six = { host: '::1', port: 7302 };
    await runTcp(namespace, { ...six, localPort, connections: 2 }, six);
    await client.go();
    await connectAndWait(t, namespace, '127.0.0.1', port, UID).exited;
  };
  const family: readonly Variant[] = [
    { args: ['-4'], keeps: (row) => row['network_type'] === 'ipv4' },
    { args: ['-6'], keeps: (row) => row['network_type'] === 'ipv6' },
  ];
  const ofPid = (pid: number): Variant => ({
    args: ['-p', `${pid}`],
    keeps: (row) => row['pid'] === pid,
  });
  const local = (...ports: readonly number[]): Variant => ({
    args: ['-P', ports.join(',')],
    keeps: (row) => ports.includes(Number(row['network_local_port'])),
  });
  const either = (port: number): Variant => ({
    args: ['--either-port', `${port}`],
    keeps: (row) => [row['network_local_port'], row['network_peer_port']].includes(port),
  });
  const byDirection = (direction: string): Variant => ({
    args: ['-r', direction],
    keeps: (row) => row['direction'] === direction,
  });
  const cases: Readonly<Record<string, readonly Variant[]>> = {
    tcpconnect: [
      ...family,
      ofPid(client.pid),
      { args: ['-P', '7302'], keeps: (row) => row['network_peer_port'] === 7302 },
      either(7302),
      { args: ['-u', `${UID}`], keeps: (row) => row['uid'] === UID },
    ],
    tcpconnlat: [
      ...family,
      ofPid(client.pid),
      { args: ['--port', `${localPort}`], keeps: (row) => row['network_local_port'] === localPort },
    ],
    tcpaccept: [...family, ofPid(server.pid), local(port, 1), either(localPort)],
    tcp_connection: [
      ...family,
      ofPid(client.pid),
      local(localPort, localPort + 1),
      either(localPort),
      byDirection('accept'),
      byDirection('connect'),
    ],
  };
  for (const [name, variants] of Object.entries(cases)) {
    const length = name === 'tcp_connection' ? 8 : 4;
    await checkVariants(t, namespace, [name, length], variants, traffic);
  }
  await client.stop();
  await server.stop();
});

t.test('tcpconnect -c: how many from where to where, at the end', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const traffic = async (): Promise<void> => {
    await runTcp(namespace, { connections: 3 });
    const six = { host: '::1', port: 7302 };
    await runTcp(namespace, { ...six, connections: 4 }, six);
    for (let i = 0; i < 2; i++) await connectAndWait(t, namespace, '127.0.0.1', CLOSED_PORT).exited;
  };
  const wanted = [
    'Tracing connect ... Hit Ctrl-C to end',
    '',
    'LADDR                     RADDR                     RPORT                CONNECTS  ',
    '127.0.0.1                 127.0.0.1                 7000                 3         ',
    '127.0.0.1                 127.0.0.1                 7999                 2         ',
    '::1                       ::1                       7302                 4         ',
  ];
  const count = async (args: readonly string[]): Promise<string[]> =>
    (await watched(t, namespace, 'tcpconnect', args, traffic)).lines();
  const isWhole = (lines: readonly string[]): boolean => lines.join('\n') === wanted.join('\n');
  t.strictSame(await provoke(() => count(['-c']), isWhole), wanted);
  const rows = await provoke(
    () => count(['-c', '-o', 'csv']),
    (lines) => lines.length === 4,
  );
  t.strictSame(rows[0], 'LADDR,RADDR,RPORT,CONNECTS');
  t.strictSame(rows[1], '127.0.0.1,127.0.0.1,7000,3');
  const [object] = await provoke(
    async () => (await watched(t, namespace, 'tcpconnect', json(['-c', '-s']), traffic)).objects(),
    ([object]) => (object?.['connects'] as unknown[]).length === 9,
  );
  const counts = object?.['connects'] as Json[];
  t.equal(counts.length, 9, 'each local port by itself');
  t.ok(counts.every((row) => row['connects'] === 1 && Number(row['network_local_port']) > 0));
});

t.test('tcpconnect -d: the name that led to the connection', { skip }, async (t) => {
  const namespace = createNamespace(t);
  await answersNames(t, namespace, { 'www.example.org': '127.0.0.7', 'six.example.org': '::1' });
  const traffic = async (): Promise<void> => {
    await namespace.exec(process.execPath, ['-e', ASK_AND_CONNECT]);
  };
  const wanted: Readonly<Record<string, string | null>> = {
    '127.0.0.7': 'www.example.org',
    '::1': 'six.example.org',
    '127.0.0.1': null,
    '127.0.0.8': null,
  };
  const rows = await provoke(
    async () => (await watched(t, namespace, 'tcpconnect', json(['-d']), traffic)).objects(),
    ({ length }) => length === 4,
  );
  const names = rows.map((row) => [row['network_peer_address'], row['dns_question_name']]);
  t.strictSame(Object.fromEntries(names), wanted);
  const table = await watched(t, namespace, 'tcpconnect', ['-d'], traffic);
  const cells = table.lines().map((line) => line.slice(65));
  t.equal(table.lines()[1]?.slice(65), 'QUERY');
  t.ok(cells.some((cell) => /^www\.example\.org( \(\d+\.\d{3}ms\))?$/.test(cell)));
  t.ok(cells.includes('localhost') && cells.includes('No DNS Query'));
});

/** Asks the namespace's own name server, then connects to what it says and to others. */
const ASK_AND_CONNECT = `
const { Resolver } = require('node:dns').promises;
const { connect } = require('node:net');
const resolver = new Resolver();
resolver.setServers(['127.0.0.1:53']);
const tried = (host) => new Promise((resolve) =>
  connect(${CLOSED_PORT}, host).on('error', resolve).on('connect', resolve));
(async () => {
  await tried((await resolver.resolve4('www.example.org'))[0]);
  await tried((await resolver.resolve6('six.example.org'))[0]);
  await tried('127.0.0.1');
  await tried('127.0.0.8');
})();`;

interface Shape {
  readonly name: string;
  readonly args: readonly string[];
  readonly banner?: string;
  readonly head: string;
  readonly row: RegExp;
}

const FROM = String.raw`127\.0\.0\.1 {8}`;
const COMM = String.raw`node {9}4  `;
const PID = String.raw`\d+ +`;

const SHAPES: readonly Shape[] = [
  {
    name: 'tcpconnect',
    args: [],
    banner: 'Tracing connect ... Hit Ctrl-C to end',
    head: 'PID     COMM         IP SADDR            DADDR            DPORT ',
    row: new RegExp(`^${PID}${COMM}${FROM}${FROM}7000  $`),
  },
  {
    name: 'tcpconnect',
    args: ['-t', '-U', '-L'],
    banner: 'Tracing connect ... Hit Ctrl-C to end',
    head: 'TIME(s)  UID   PID     COMM         IP SADDR            LPORT  DADDR            DPORT ',
    row: new RegExp(`^0\\.000    0     ${PID}${COMM}${FROM}\\d+ +${FROM}7000  $`),
  },
  {
    name: 'tcpconnect',
    args: ['-s'],
    banner: 'Tracing connect ... Hit Ctrl-C to end',
    head: 'PID     COMM         IP SADDR            SPORT  DADDR            DPORT ',
    row: new RegExp(`^${PID}${COMM}${FROM}\\d+ +${FROM}7000  $`),
  },
  {
    name: 'tcpconnlat',
    args: [],
    head: 'PID     COMM         IP SADDR            DADDR            DPORT LAT(ms)',
    row: new RegExp(`^${PID}${COMM}${FROM}${FROM}7000  \\d+\\.\\d\\d$`),
  },
  {
    name: 'tcpconnlat',
    args: ['-t', '-L'],
    head: 'TIME(s)  PID     COMM         IP SADDR            LPORT  DADDR            DPORT LAT(ms)',
    row: new RegExp(`^0\\.000    ${PID}${COMM}${FROM}\\d+ +${FROM}7000  \\d+\\.\\d\\d$`),
  },
  {
    name: 'tcpaccept',
    args: [],
    head: 'PID     COMM         IP RADDR            RPORT LADDR            LPORT',
    row: new RegExp(`^${PID}${COMM}${FROM}\\d+ +${FROM}7000 $`),
  },
  {
    name: 'tcpaccept',
    args: ['-T', '-t'],
    head: 'TIME     TIME(s)  PID     COMM         IP RADDR            RPORT LADDR            LPORT',
    row: new RegExp(`^\\d\\d:\\d\\d:\\d\\d 0\\.000    ${PID}${COMM}${FROM}\\d+ +${FROM}7000 $`),
  },
  {
    name: 'tcp_connection',
    args: ['-r', 'connect'],
    head: 'TIME      PID     COMM         IP DADDR            DPORT SADDR            SPORT  DIRECTION',
    row: new RegExp(`^\\d\\d:\\d\\d:\\d\\d  ${PID}${COMM}${FROM}7000  ${FROM}\\d+ +connect$`),
  },
];

for (const { name, args, banner, head, row } of SHAPES) {
  t.test(`${name} ${args.join(' ')}: the original’s columns to the byte`, { skip }, async (t) => {
    const namespace = createNamespace(t);
    const heads = banner === undefined ? [head] : [banner, head];
    const lines = await provoke(
      async () => (await watched(t, namespace, name, args, () => runTcp(namespace))).lines(),
      ({ length }) => length === heads.length + 1,
    );
    t.strictSame(lines.slice(0, -1), heads);
    t.match(lines.at(-1), row);
  });
}

/** A pinned hash of u64 keys, gone after the test. */
function pinnedSet(t: Test, name: string, valueBytes: number, key: number): string {
  const path = `/sys/fs/bpf/nwtest-${process.pid}-${name}`;
  const bytes = (value: number, count: number): string[] =>
    Array.from({ length: count }, (_, i) => String(Math.floor(value / 256 ** i) % 256));
  const sizes = ['key', '8', 'value', String(valueBytes), 'entries', '16'];
  execFileSync('bpftool', ['map', 'create', path, 'type', 'hash', ...sizes, 'name', name]);
  t.teardown(() => rmSync(path, { force: true }));
  const entry = ['key', ...bytes(key, 8), 'value', ...bytes(1, valueBytes)];
  execFileSync('bpftool', ['map', 'update', 'pinned', path, ...entry]);
  return path;
}

const needsPinning =
  skip || needsCommands('bpftool') || unless(existsSync('/sys/fs/bpf'), 'needs a BPF file system');

/** The id of the cgroup (v2) that this process and its children are in. */
function ownCgroup(): number {
  const mounts = readFileSync('/proc/self/mounts', 'utf8');
  const root = / (\S+) cgroup2 /.exec(mounts)?.[1] ?? '/sys/fs/cgroup';
  const path = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1] ?? '/';
  return statSync(`${root}${path}`).ino;
}

/** Of no cgroup. */
const NO_CGROUP = 2 ** 40;

/** Connects and accepts in a mount namespace of its own, and out of it. */
async function insideAndOutside(namespace: Namespace): Promise<void> {
  const line = `import socket
s = socket.create_server(('127.0.0.1', 7400)); c = socket.create_connection(('127.0.0.1', 7400))
a, _ = s.accept(); c.close(); a.close()`;
  await namespace.exec('unshare', ['-m', 'python3', '-c', line]);
  await namespace.exec('python3', ['-c', line.replaceAll('7400', '7401')]);
}

t.test(
  '--cgroupmap and --mntnsmap: only processes in a pinned set',
  { skip: needsPinning },
  async (t) => {
    const namespace = createNamespace(t);
    const own = statSync('/proc/self/ns/mnt').ino;
    const maps = {
      mounts: pinnedSet(t, 'mounts', 4, own),
      cgroup: pinnedSet(t, 'cgroup', 8, ownCgroup()),
      none: pinnedSet(t, 'none', 8, NO_CGROUP),
    };
    const wanted: Readonly<Record<string, readonly string[]>> = {
      tcpconnect: ['connect'],
      tcpaccept: ['accept'],
      tcptracer: ['connect', 'accept', 'close', 'close'],
    };
    for (const [name, events] of Object.entries(wanted)) {
      const variants = [
        ['--mntnsmap', maps.mounts],
        ['--cgroupmap', maps.cgroup],
        ['--cgroupmap', maps.none],
      ];
      const run = async (): Promise<number[][]> => {
        const tools = await Promise.all(
          variants.map((args) => startTool(t, namespace, name, json(args))),
        );
        await insideAndOutside(namespace);
        await Promise.all(tools.map((tool) => tool.stop()));
        const count = (rows: readonly Json[], port: number): number =>
          rows.filter((row) => Object.values(row).includes(port)).length;
        return tools.map((tool) => [count(tool.objects(), 7400), count(tool.objects(), 7401)]);
      };
      const { length } = events;
      const right = [
        [0, length],
        [length, length],
        [0, 0],
      ];
      const found = await provoke(run, (found) => JSON.stringify(found) === JSON.stringify(right));
      t.strictSame(found, right, name);
    }
  },
);

t.test('what contradicts itself is one sentence and exit code 2', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const wrong = (name: string, ...args: readonly string[]): Promise<unknown> =>
    startTool(t, namespace, name, args);
  await t.rejects(wrong('tcpconnect', '-c', '-d'), {
    message: /ended \(2\): netwatch: you may not specify -d\/--dns with -c\/--count\n/,
  });
  await t.rejects(wrong('tcpconnlat', '-1'), { message: /ended \(2\)/ });
  await t.rejects(wrong('tcpconnlat', 'soon'), { message: /It should be milliseconds/ });
  await t.rejects(wrong('tcpaccept', '-4', '-6'), { message: /cannot be used with/ });
  await t.rejects(wrong('tcp_connection', '-r', 'both'), { message: /accept, connect/ });
  await t.rejects(wrong('tcptracer', '-u', 'root'), { message: /number of a user/ });
});
