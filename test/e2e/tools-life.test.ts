// tcpstates and tcplife on known traffic: exact rows, the same as those of Debian's libbpf-tools; every option.
import { existsSync, mkdirSync, rmdirSync } from 'node:fs';
import { spawn } from 'node:child_process';
import t, { type Test } from 'tap';
import type { TcpClientOptions } from '../../scripts/traffic/programs.js';
import { PROGRAM, temporaryFolder } from '../support/collector.js';
import { checkVariants, rowsOf, startWitness, watched, type Variant } from '../support/life.js';
import { provoke } from '../support/provoke.js';
import type { Json } from '../support/ndjson.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { startManager } from '../support/notify.js';
import { needsRoot, unless } from '../support/skip.js';
import { startTool } from '../support/tool.js';
import { CLOSED_PORT, runTcp, startProgram, TCP_PORT } from '../support/traffic.js';
import { until } from '../support/wait.js';

const skip = needsRoot;
const hasWitness = (name: string): string | false =>
  skip || unless(existsSync(`/usr/sbin/${name}`), `needs ${name} of libbpf-tools`);

const SIZES = { requestBytes: 5003, replyBytes: 1024 } as const;
const HOSTS = ['127.0.0.1', '::1'] as const;

const CLIENT = ['CLOSE', 'SYN_SENT', 'ESTABLISHED', 'FIN_WAIT1', 'FIN_WAIT2', 'CLOSE'];
const SERVER = ['LISTEN', 'SYN_RECV', 'ESTABLISHED', 'CLOSE_WAIT', 'LAST_ACK', 'CLOSE'];

/** The states that one socket went through. */
function pathOf(rows: readonly Json[]): unknown[] {
  return [rows[0]?.['state_before'], ...rows.map((row) => row['state'])];
}

t.test('tcpstates: all changes of both ends, by their processes', { skip }, async (t) => {
  const namespace = createNamespace(t);
  for (const host of HOSTS) {
    const common = { port: TCP_PORT, host, ...SIZES };
    const server = await startProgram(namespace, 'tcp-server', common);
    const client = await startProgram(namespace, 'tcp-client', common, { comm: 'caller' });
    const rows = await provoke(
      async () =>
        (await watched(t, namespace, 'tcpstates', ['-o', 'json'], () => client.go()))
          .objects()
          // close() after shutdown(), before the last ACK, is told as LAST_ACK -> LAST_ACK
          .filter((row) => row['state_before'] !== row['state']),
      ({ length }) => length === 10,
    );
    const of = (pid: number): Json[] => rows.filter((row) => row['pid'] === pid);
    t.strictSame(pathOf(of(client.pid)), CLIENT, host);
    t.strictSame(pathOf(of(server.pid)), SERVER, host);
    t.ok(of(client.pid).every((row) => row['process'] === 'caller'));
    const [first, ...later] = of(client.pid);
    t.equal(first?.['duration_ms'], null, 'how long it was closed before is not known');
    t.ok(later.every((row) => Number(row['duration_ms']) > 0));
    const [localPort] = new Set(of(client.pid).map((row) => row['network_local_port']));
    t.ok(
      Number(localPort) > 0 &&
        of(client.pid).every((row) => row['network_local_port'] === localPort),
    );
    const type = host === '::1' ? 'ipv6' : 'ipv4';
    for (const row of rows)
      t.match(row, { network_type: type, network_local_address: host, time: /^20.*Z$/ });
    await client.stop();
    await server.stop();
  }
});

t.test('tcpstates: a listener and a connection that is refused', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const rows = await provoke(
    async () => {
      const traffic = async (): Promise<void> => {
        const server = await startProgram(namespace, 'tcp-server', { port: TCP_PORT });
        await server.stop();
        await startAndRefuse(namespace);
      };
      return (await watched(t, namespace, 'tcpstates', ['-o', 'json'], traffic)).objects();
    },
    ({ length }) => length === 4,
  );
  t.strictSame(
    rows.map((row) => [row['state_before'], row['state'], row['network_peer_port']]),
    [
      ['CLOSE', 'LISTEN', 0],
      ['LISTEN', 'CLOSE', 0],
      ['CLOSE', 'SYN_SENT', CLOSED_PORT],
      ['SYN_SENT', 'CLOSE', CLOSED_PORT],
    ],
  );
});

async function startAndRefuse(namespace: Namespace): Promise<void> {
  const client = await startProgram(namespace, 'tcp-client', { port: CLOSED_PORT });
  await client.go();
  await client.stop();
}

/** A connection whose both ports are known before, so that a witness can be told to watch it alone. */
async function betweenPorts(
  namespace: Namespace,
  ports: readonly [number, number],
  options: Partial<TcpClientOptions> = {},
): Promise<void> {
  const [localPort, port] = ports;
  for (const [i, host] of HOSTS.entries())
    await runTcp(
      namespace,
      { ...SIZES, host, port: port + i, localPort: localPort + i, ...options },
      { port: port + i },
    );
}

const WITNESS_PORTS = ['-D', '41530,41531,41540,41541'] as const;

/** What both tools show of the same traffic, without what only ours knows right, or only theirs. */
async function besides(
  t: Test,
  name: string,
  options: Partial<TcpClientOptions>,
): Promise<{ readonly ours: string[][]; readonly theirs: string[][] }> {
  const namespace = createNamespace(t);
  const witness = await startWitness(t, name, WITNESS_PORTS);
  const traffic = (): Promise<void> => betweenPorts(namespace, [41530, 41540], options);
  const tool = await watched(t, namespace, name, WITNESS_PORTS, traffic);
  const ours = rowsOf(tool.stdout());
  await until(() => witness.rows().length >= ours.length, { what: 'the witness has all' }).catch(
    () => undefined,
  );
  await witness.stop();
  return { ours, theirs: witness.rows() };
}

t.test(
  'tcpstates: the rows of libbpf-tools’ tcpstates',
  { skip: hasWitness('tcpstates') },
  async (t) => {
    // softirqs have no process: its PID and COMM are those that were interrupted
    const bare = (rows: readonly string[][]): string[] =>
      rows.map(([socket, , , ...rest]) => [socket, ...rest.slice(0, -1)].join(' ')).sort();
    const { ours, theirs } = await provoke(
      () => besides(t, 'tcpstates', {}),
      ({ ours, theirs }) => ours.length === 20 && theirs.length === 20,
    );
    t.equal(ours.length, 20);
    t.strictSame(bare(ours), bare(theirs));
  },
);

t.test('tcplife: the rows of libbpf-tools’ tcplife', { skip: hasWitness('tcplife') }, async (t) => {
  const bare = (rows: readonly string[][]): string[] =>
    rows
      .map(([, , ...rest]) => [
        ...rest.slice(0, 4),
        // it shows hundredths of KiB
        ...rest.slice(4, 6).map((kib) => Math.floor(Number(kib))),
      ])
      .map((cells) => cells.join(' '))
      .sort();
  const { ours, theirs } = await provoke(
    () => besides(t, 'tcplife', { requestBytes: 300_007 }),
    ({ ours, theirs }) => ours.length === 4 && theirs.length === 4,
  );
  t.equal(ours.length, 4);
  t.strictSame(bare(ours), bare(theirs));
});

const V4_PORT = 7101;
const V6_PORT = 7102;
const V6_LOCAL_PORT = 7150;

/** Connections that every filter of both tools parts. */
async function variety(namespace: Namespace): Promise<void> {
  await runTcp(namespace, { ...SIZES, port: V4_PORT, connections: 2 }, { port: V4_PORT });
  const six = { host: '::1', port: V6_PORT };
  await runTcp(namespace, { ...SIZES, ...six, localPort: V6_LOCAL_PORT }, six);
}

const hasPort = (row: Json, port: number): boolean =>
  row['network_local_port'] === port || row['network_peer_port'] === port;

function filters(pid: number): readonly Variant[] {
  return [
    { args: ['-4'], keeps: (row) => row['network_type'] === 'ipv4' },
    { args: ['-6'], keeps: (row) => row['network_type'] === 'ipv6' },
    {
      args: ['-L', `${V4_PORT},${V6_LOCAL_PORT}`],
      keeps: ({ network_local_port }) =>
        network_local_port === V4_PORT || network_local_port === V6_LOCAL_PORT,
    },
    { args: ['-D', `${V6_PORT}`], keeps: (row) => row['network_peer_port'] === V6_PORT },
    { args: ['--port', `${V4_PORT}`], keeps: (row) => hasPort(row, V4_PORT) },
    { args: ['-p', `${pid}`], keeps: (row) => row['pid'] === pid },
  ];
}

// four connections, and for the states two listeners that the traffic brings
for (const [name, length] of [
  ['tcpstates', 4 * 10 + 2 * 2],
  ['tcplife', 4 * 2],
] as const) {
  t.test(`${name}: each filter keeps exactly what it should`, { skip }, async (t) => {
    const namespace = createNamespace(t);
    const options = { ...SIZES, port: 7103 };
    const server = await startProgram(namespace, 'tcp-server', options);
    const client = await startProgram(namespace, 'tcp-client', options);
    await checkVariants(t, namespace, [name, length], filters(client.pid), async () => {
      await variety(namespace);
      await client.go();
    });
    await client.stop();
    await server.stop();
  });
}

t.test('tcplife: volume, duration and owner of both ends', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const pauseMs = 120;
  const options = { ...SIZES, port: TCP_PORT, rounds: 3, pauseMs };
  const server = await startProgram(namespace, 'tcp-server', options);
  const client = await startProgram(namespace, 'tcp-client', options, { comm: 'caller' });
  const rows = await provoke(
    async () =>
      (await watched(t, namespace, 'tcplife', ['-o', 'json'], () => client.go())).objects(),
    ({ length }) => length === 2,
  );
  const [called, caller] = [server.pid, client.pid].map((pid) =>
    rows.find((row) => row['pid'] === pid),
  );
  t.match(caller, { bytes_sent: 15_009, bytes_received: 3072, process: 'caller' });
  t.match(called, { bytes_sent: 3072, bytes_received: 15_009, network_local_port: TCP_PORT });
  for (const row of rows) {
    t.ok(Number(row['duration_ms']) >= 2 * pauseMs, `${String(row['duration_ms'])} ms`);
    t.ok(Number(row['handshake_ms']) > 0);
  }
  await client.stop();
  await server.stop();
});

t.test(
  'tcplife: the worker that accepts owns it, not the one that listens',
  { skip },
  async (t) => {
    const namespace = createNamespace(t);
    const options = { port: TCP_PORT, workers: 3, scheduling: 'none' } as const;
    const run = async () => {
      const server = await startProgram(namespace, 'cluster-server', options);
      const client = await startProgram(namespace, 'tcp-client', {
        port: TCP_PORT,
        connections: 9,
      });
      const args = ['-o', 'json', '-L', String(TCP_PORT)];
      const tool = await watched(t, namespace, 'tcplife', args, () => client.go());
      await client.stop();
      return { rows: tool.objects(), served: await server.stop() };
    };
    const { rows, served } = await provoke(run, ({ rows }) => rows.length === 9);
    const owners = (list: readonly (readonly [port: unknown, pid: unknown])[]): string[] =>
      list.map(([port, pid]) => `${String(port)} ${String(pid)}`).sort();
    t.strictSame(
      owners(rows.map((row) => [row['network_peer_port'], row['pid']])),
      owners(served.connections.map(({ peerPort, pid }) => [peerPort, pid])),
    );
    t.equal(rows.length, 9);
  },
);

t.test('tcplife: a connection that is refused, and one older than it', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const server = await startProgram(namespace, 'tcp-server', { port: TCP_PORT });
  const held = { port: TCP_PORT, connectFirst: true } as const;
  const rows = await provoke(
    async () => {
      const client = await startProgram(namespace, 'tcp-client', held);
      const traffic = async (): Promise<void> => {
        await client.go();
        await client.stop();
        await startAndRefuse(namespace);
      };
      return (await watched(t, namespace, 'tcplife', ['-o', 'json'], traffic)).objects();
    },
    ({ length }) => length === 1,
  );
  t.match(rows, [{ network_peer_port: CLOSED_PORT, bytes_sent: 0, bytes_received: 0 }]);
  t.equal(rows.length, 1, 'of the older one nobody knows how long it took');
  t.equal(rows[0]?.['handshake_ms'], null);
  await server.stop();
});

interface Shape {
  readonly name: string;
  readonly args: readonly string[];
  readonly head: string;
  readonly row: RegExp;
}

const IPV4 = String.raw`127\.0\.0\.1`;
/** Of a client, which has one by the time its row is shown. */
const PORT = String.raw`[1-9]\d{3,4} {0,1}`;
const TEN = String.raw`node {6} `;
const SIXTEEN = String.raw`node {12} `;
const CLOCK = String.raw`\d\d:\d\d:\d\d`;

const SHAPES: readonly Shape[] = [
  {
    name: 'tcpstates',
    args: [],
    head: 'SKADDR           C-PID C-COMM     LADDR           LPORT RADDR           RPORT OLDSTATE    -> NEWSTATE    MS',
    row: new RegExp(
      `^ffff[0-9a-f]{12} \\d+ +${TEN}${IPV4} {7}${PORT} ${IPV4} {7}7000  CLOSE       -> SYN_SENT    0\\.000$`,
    ),
  },
  {
    name: 'tcpstates',
    args: ['-w', '-T', '-t'],
    head: `TIME     TIME(s)   SKADDR           C-PID C-COMM           IP ${'LADDR'.padEnd(39)} LPORT ${'RADDR'.padEnd(39)} RPORT OLDSTATE    -> NEWSTATE    MS`,
    row: new RegExp(`^${CLOCK} \\d+\\.\\d{6}  ffff[0-9a-f]{12} \\d+ +${SIXTEEN}4  ${IPV4} {31}`),
  },
  {
    name: 'tcpstates',
    args: ['-stT'],
    head: 'TIME,TIME(s),SKADDR,C-PID,C-COMM,IP,LADDR,LPORT,RADDR,RPORT,OLDSTATE,NEWSTATE,MS',
    row: new RegExp(
      `^${CLOCK},\\d+\\.\\d{6},ffff[0-9a-f]{12},\\d+,node,4,${IPV4},[1-9]\\d+,${IPV4},7000,CLOSE,SYN_SENT,0\\.000$`,
    ),
  },
  {
    name: 'tcplife',
    args: [],
    head: 'PID   COMM       LADDR           LPORT RADDR           RPORT TX_KB RX_KB MS',
    row: new RegExp(`^\\d+ +${TEN}${IPV4} {7}\\d+ +${IPV4} {7}7000 {6}4 {5}1 \\d+\\.\\d\\d$`),
  },
  {
    name: 'tcplife',
    args: ['-w', '-T', '-t'],
    head: `TIME     TIME(s)   PID   COMM             IP ${'LADDR'.padEnd(39)} LPORT ${'RADDR'.padEnd(39)} RPORT  TX_KB  RX_KB MS`,
    row: new RegExp(
      `^${CLOCK} \\d+\\.\\d{6}  \\d+ +${SIXTEEN}4  ${IPV4} {31}\\d+ +${IPV4} {31}7000 {7}4 {6}1 \\d`,
    ),
  },
  {
    name: 'tcplife',
    args: ['-s'],
    head: 'PID,COMM,IP,LADDR,LPORT,RADDR,RPORT,TX_KB,RX_KB,MS',
    row: new RegExp(`^\\d+,node,4,${IPV4},\\d+,${IPV4},7000,4,1,\\d+\\.\\d\\d$`),
  },
];

for (const { name, args, head, row } of SHAPES) {
  t.test(`${name} ${args.join(' ')}: bcc’s columns to the byte`, { skip }, async (t) => {
    const namespace = createNamespace(t);
    const lines = await provoke(
      async () =>
        (
          await watched(t, namespace, name, ['-D', `${TCP_PORT}`, ...args], () =>
            runTcp(namespace, SIZES),
          )
        ).lines(),
      (lines) => lines.some((line) => row.test(line)),
    );
    t.equal(lines[0], head);
    t.match(lines[1], row);
  });
}

t.test('tcpstates -Y: an entry in the journal for each row', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const folder = temporaryFolder(t);
  const manager = await startManager(t, `${folder}/socket`);
  const place = '/run/systemd/journal';
  const isMissing = !existsSync(place);
  if (isMissing) mkdirSync(place, { recursive: true });
  if (isMissing) t.teardown(() => rmdirSync(place));
  // the system's own journal stays untouched: its place is ours in here alone
  const script = `mount --bind ${folder} ${place} && exec "$@"`;
  const line = [process.execPath, PROGRAM, 'tcpstates', '-Y', '--netns', namespace.name];
  const child = spawn('unshare', ['-m', 'sh', '-c', script, 'sh', ...line]);
  t.teardown(() => child.kill('SIGKILL'));
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  await until(() => / ready /.test(stderr), { what: 'it is ready' });
  const { client } = await runTcp(namespace, SIZES);
  const port = client.connections[0]?.localPort;
  await until(() => manager.said().length >= 10, { what: 'the entries' }).catch(() => undefined);
  child.kill('SIGINT');
  await new Promise((resolve) => child.once('close', resolve));
  const rows = stdout.split('\n').length - 2;
  t.equal(manager.said().length, rows);
  t.ok(rows >= 10, `${rows} rows`);
  const entry = manager.said().find((lines) => lines.includes('OBJECT_TCP_NEW_STATE=FIN_WAIT1'));
  const wanted = [
    'SYSLOG_IDENTIFIER=tcpstates',
    'PRIORITY=5',
    'OBJECT_IPV4_SOURCE_ADDRESS=127.0.0.1',
    `OBJECT_TCP_SOURCE_PORT=${port}`,
    'OBJECT_IPV4_DESTINATION_ADDRESS=127.0.0.1',
    `OBJECT_TCP_DESTINATION_PORT=${TCP_PORT}`,
    'OBJECT_TCP_OLD_STATE=ESTABLISHED',
  ];
  for (const field of wanted) t.ok(entry?.includes(field), field);
  t.ok(entry?.some((field) => /^OBJECT_PID=\d+$/.test(field)));
  t.ok(entry?.some((field) => /^OBJECT_TCP_SPAN_TIME=\d+$/.test(field)));
  t.ok(entry?.includes(`MESSAGE=node 127.0.0.1 ${port} → 127.0.0.1 7000 ESTABLISHED → FIN_WAIT1`));
});

t.test('without a journal tcpstates -Y says so', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const wrong = startTool(t, namespace, 'tcpstates', ['-Y']);
  if (existsSync('/run/systemd/journal/socket')) await wrong;
  else await t.rejects(wrong, { message: /ended \(3\): netwatch: no journal listens at / });
});
