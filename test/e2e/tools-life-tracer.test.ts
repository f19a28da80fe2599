// tcptracer on known traffic: each connection once as C, A and X, by its process; every option.
import t from 'tap';
import { checkVariants, connectAndWait, watched, type Variant } from '../support/life.js';
import { provoke } from '../support/provoke.js';
import type { Json } from '../support/ndjson.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { needsRoot } from '../support/skip.js';
import { runTcp, startProgram, TCP_PORT } from '../support/traffic.js';

const skip = needsRoot;
const HOSTS = ['127.0.0.1', '::1'] as const;
const UID = 4711;
const JSON_LINES = ['-o', 'json'] as const;

/** What is told of each end, in words. */
const eventsOf = (rows: readonly Json[], pid: number): unknown[] =>
  rows.filter((row) => row['pid'] === pid).map((row) => row['event']);

for (const close of ['fin', 'reset', 'wait'] as const) {
  t.test(`connect, accept and two closes for each connection: ${close}`, { skip }, async (t) => {
    const namespace = createNamespace(t);
    for (const host of HOSTS) {
      const common = { port: TCP_PORT, host, replyBytes: 1, requestBytes: 1 };
      const mode = close === 'wait' ? 'close' : 'respond';
      const server = await startProgram(namespace, 'tcp-server', { ...common, mode });
      const rounds = close === 'wait' ? 0 : 1;
      const client = await startProgram(namespace, 'tcp-client', {
        ...{ ...common, connections: 3, rounds, close },
      });
      const rows = await provoke(
        async () =>
          (await watched(t, namespace, 'tcptracer', JSON_LINES, () => client.go())).objects(),
        ({ length }) => length === 12,
      );
      const times = (event: string): string[] => Array<string>(3).fill(event);
      const called = [...times('accept'), ...times('close')].sort();
      const caller = [...times('connect'), ...times('close')].sort();
      t.strictSame(eventsOf(rows, client.pid).sort(), caller, host);
      t.strictSame(eventsOf(rows, server.pid).sort(), called, host);
      for (const row of rows)
        t.match(row, { network_local_address: host, network_namespace: namespace.inode, uid: 0 });
      await client.stop();
      await server.stop();
    }
  });
}

t.test('the end of a connection that is older than it, by its owner', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const server = await startProgram(namespace, 'tcp-server', { port: TCP_PORT });
  const rows = await provoke(
    async () => {
      const held = { port: TCP_PORT, connectFirst: true } as const;
      const client = await startProgram(namespace, 'tcp-client', held);
      const tool = await watched(t, namespace, 'tcptracer', JSON_LINES, () => client.go());
      await client.stop();
      return tool.objects().map((row) => [row['event'], row['pid'] === client.pid, row['pid']]);
    },
    ({ length }) => length === 2,
  );
  t.strictSame(
    rows.map(([event, isClient]) => [event, isClient]),
    [
      ['close', true],
      ['close', false],
    ],
  );
  t.equal(rows[1]?.[2], server.pid);
  await server.stop();
});

/** Connections that every filter parts. */
async function variety(namespace: Namespace): Promise<void> {
  const six = { host: '::1', port: 7302 };
  await runTcp(namespace, { ...six, connections: 2 }, six);
}

t.test('each filter keeps exactly what it should', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const port = 7301;
  const server = await startProgram(namespace, 'tcp-server', { port });
  const client = await startProgram(namespace, 'tcp-client', { port });
  const traffic = async (): Promise<void> => {
    await variety(namespace);
    await client.go();
    await connectAndWait(t, namespace, '127.0.0.1', port, UID).exited;
  };
  const variants: readonly Variant[] = [
    { args: ['-4'], keeps: (row) => row['network_type'] === 'ipv4' },
    { args: ['-6'], keeps: (row) => row['network_type'] === 'ipv6' },
    { args: ['-p', `${client.pid}`], keeps: (row) => row['pid'] === client.pid },
    { args: ['-u', `${UID}`], keeps: (row) => row['uid'] === UID },
    {
      args: ['--port', '7302'],
      keeps: (row) => row['network_local_port'] === 7302 || row['network_peer_port'] === 7302,
    },
  ];
  await checkVariants(t, namespace, ['tcptracer', 16], variants, traffic);
  await client.stop();
  await server.stop();
});

t.test('-N takes the number of a network namespace', { skip }, async (t) => {
  const [mine, other] = [createNamespace(t), createNamespace(t)];
  const traffic = async (): Promise<void> => {
    await runTcp(mine);
    await runTcp(other);
  };
  // --netns is the same option: what is typed last is added
  const args = [...JSON_LINES, '-N', String(mine.inode)];
  const rows = await provoke(
    async () => (await watched(t, mine, 'tcptracer', args, traffic)).objects(),
    ({ length }) => length === 4,
  );
  t.equal(rows.length, 4);
  t.ok(rows.every((row) => row['network_namespace'] === mine.inode));
});

interface Shape {
  readonly args: readonly string[];
  readonly host: string;
  readonly head: string;
  readonly row: RegExp;
}

const V4 = String.raw`127\.0\.0\.1 {8}`;
const V6 = String.raw`\[::1\] {12}`;
const COMM = String.raw`node {13}`;

const SHAPES: readonly Shape[] = [
  {
    args: [],
    host: '127.0.0.1',
    head: 'T  PID    COMM             IP SADDR            DADDR            SPORT  DPORT ',
    row: new RegExp(`^C  \\d+ +${COMM}4  ${V4}${V4}\\d+ +7000  $`),
  },
  {
    args: [],
    host: '::1',
    head: 'T  PID    COMM             IP SADDR            DADDR            SPORT  DPORT ',
    row: new RegExp(`^C  \\d+ +${COMM}6  ${V6}${V6}\\d+ +7000  $`),
  },
  {
    args: ['-t', '-U'],
    host: '127.0.0.1',
    head: 'TIME(s)  UID   T  PID    COMM             IP SADDR            DADDR            SPORT  DPORT ',
    row: new RegExp(`^0\\.000    0     C  \\d+ +${COMM}4  ${V4}${V4}\\d+ +7000  $`),
  },
  {
    // the namespace is said on the command line, and left out
    args: ['-v', '-t'],
    host: '127.0.0.1',
    head: 'TIME(ns)      TYPE         PID    COMM             IP SADDR            DADDR            SPORT  DPORT  ',
    row: new RegExp(`^0 {13}connect {6}\\d+ +${COMM}4  ${V4}${V4}\\d+ +7000   $`),
  },
];

for (const { args, host, head, row } of SHAPES) {
  t.test(`${args.join(' ')} ${host}: bcc’s columns to the byte`, { skip }, async (t) => {
    const namespace = createNamespace(t);
    const lines = await provoke(
      async () =>
        (
          await watched(t, namespace, 'tcptracer', args, () =>
            runTcp(namespace, { host }, { host }),
          )
        ).lines(),
      ({ length }) => length === 6,
    );
    t.strictSame(lines.slice(0, 2), ['Tracing TCP established connections. Ctrl-C to end.', head]);
    t.match(lines[2], row);
    t.equal(lines.length, 6);
  });
}
