// Each filter alone, all at the same time over the same traffic: what it lets through is exactly what it
// should of what a collector without a filter has seen.
import { readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { countPackets } from '../support/account.js';
import { createCgroup } from '../support/cgroup.js';
import { startCollector, type Collector } from '../support/collector.js';
import { createNamespace } from '../support/netns.js';
import {
  difference,
  onTheWire,
  packetLines,
  portOf,
  SAME,
  type PacketLine,
} from '../support/packets.js';
import { select, total } from '../support/samples.js';
import { needsRoot } from '../support/skip.js';
import { runTcp, startProgram } from '../support/traffic.js';

/** One end of a connection. */
interface Socket {
  readonly src: string;
  readonly dst: string;
  readonly pid: number;
  readonly comm: string;
  readonly server: boolean;
}

const isIPv6 = ({ src }: { src: string }): boolean => src.startsWith('[');

const SERVERS = [
  { comm: 'srv-a', port: 7001, host: '127.0.0.1' },
  { comm: 'srv-b', port: 7002, host: '::' },
  { comm: 'srv-c', port: 7003, host: '127.0.0.1' },
] as const;

/** Ports from `localPort` on; `to` is the server. */
const CLIENTS = [
  {
    comm: 'cli-a',
    localAddress: '127.0.0.2',
    localPort: 10_001,
    connections: 3,
    to: 0,
    host: '127.0.0.1',
  },
  { comm: 'cli-b', localAddress: '::1', localPort: 10_011, connections: 2, to: 1, host: '::1' },
  {
    comm: 'cli-a-and-more',
    localAddress: '127.0.0.1',
    localPort: 10_021,
    connections: 5,
    to: 2,
    host: '127.0.0.1',
  },
  {
    comm: 'cli-d',
    localAddress: '127.0.0.5',
    localPort: 10_031,
    connections: 2,
    to: 1,
    host: '127.0.0.1',
  },
  {
    comm: 'cli-e',
    localAddress: 'fd77::9',
    localPort: 10_041,
    connections: 1,
    to: 1,
    host: 'fd77::9',
  },
] as const;

/** Its workers accept what the primary listens on. */
const CLUSTER = {
  port: 7004,
  client: 'cli-f',
  localAddress: '127.0.0.9',
  localPort: 10_051,
  connections: 7,
};

type Pids = ReadonlyMap<string, number>;

interface FilterCase {
  readonly args: (pids: Pids, cgroup: string) => readonly string[];
  readonly lets: (socket: Socket) => boolean;
  /** Packets that belong to no process pass no filter by process. */
  readonly process?: true;
  /** Whose a connection is shows when it is accepted; what came before is not seen. */
  readonly late?: true;
}

const having = (address: string) => (endpoint: string) => endpoint.startsWith(`${address}:`);

const FILTERS: Readonly<Record<string, FilterCase>> = {
  '-p of a client': {
    args: (pids) => ['-p', String(pids.get('cli-a'))],
    lets: ({ comm }) => comm === 'cli-a',
    process: true,
  },
  '-p of a server and another client': {
    args: (pids) => ['-p', `${pids.get('srv-b')},${pids.get('cli-a-and-more')}`],
    lets: ({ comm }) => comm === 'srv-b' || comm === 'cli-a-and-more',
    process: true,
  },
  '-p of the workers of a cluster': {
    args: (pids) => ['-p', `${pids.get('worker 0')},${pids.get('worker 1')}`],
    lets: ({ dst, server }) => server && having(CLUSTER.localAddress)(dst),
    process: true,
    late: true,
  },
  '--comm': {
    args: () => ['--comm', 'cli-a'],
    lets: ({ comm }) => comm === 'cli-a',
    process: true,
  },
  '-s of a server': { args: () => ['-s', '7001'], lets: ({ src }) => portOf(src) === 7001 },
  '-s of some clients': {
    args: () => ['-s', '10002,10011', '-s', '10025'],
    lets: ({ src }) => [10_002, 10_011, 10_025].includes(portOf(src)),
  },
  '-d': {
    args: () => ['-d', '7003,7002'],
    lets: ({ dst }) => [7002, 7003].includes(portOf(dst)),
  },
  '--saddr': { args: () => ['--saddr', '127.0.0.2'], lets: ({ src }) => having('127.0.0.2')(src) },
  '--saddr with a prefix': {
    args: () => ['--saddr', '127.0.0.4/30,fd77::/16'],
    lets: ({ src }) => having('127.0.0.5')(src) || having('[fd77::9]')(src),
  },
  '--daddr': {
    args: () => ['--daddr', '127.0.0.2,::1'],
    lets: ({ dst }) => having('127.0.0.2')(dst) || having('[::1]')(dst),
  },
  '--daddr with a prefix': {
    args: () => ['--daddr', '127.0.0.0/31'],
    lets: ({ dst }) => having('127.0.0.1')(dst),
  },
  '-4': { args: () => ['-4'], lets: (socket) => !isIPv6(socket) },
  '-6': { args: () => ['-6'], lets: isIPv6 },
  '--cgroup': {
    args: (_, cgroup) => ['--cgroup', cgroup],
    lets: ({ comm }) => comm === 'cli-a-and-more',
    process: true,
  },
  'several filters': {
    args: () => ['-4', '-d', '7002,7003', '--saddr', '127.0.0.0/8', '--comm', 'cli-d'],
    lets: ({ comm }) => comm === 'cli-d',
    process: true,
  },
  'a filter that lets nothing through': { args: () => ['-s', '7009'], lets: () => false },
};

t.test('a filter lets exactly its own through', { skip: needsRoot }, async (t) => {
  const namespace = createNamespace(t);
  namespace.execSync('ip', ['addr', 'add', 'fd77::9/128', 'dev', 'lo', 'nodad']);
  const cgroup = createCgroup(t, 'inner');
  const pids = new Map<string, number>();
  const servers = [];
  for (const { comm, ...options } of SERVERS) {
    const server = await startProgram(namespace, 'tcp-server', options, { comm });
    servers.push(server);
    pids.set(comm, server.pid);
  }
  const cluster = await startProgram(namespace, 'cluster-server', { port: CLUSTER.port });
  for (const [i, pid] of cluster.ready.workers.entries()) pids.set(`worker ${i}`, pid);
  const workerComm = readFileSync(`/proc/${cluster.ready.workers[0]}/comm`, 'utf8').trimEnd();
  const clients = [];
  for (const { comm, to, ...options } of CLIENTS) {
    const port = SERVERS[to].port;
    const client = await startProgram(
      namespace,
      'tcp-client',
      { ...options, port, rounds: 3 },
      { comm },
    );
    clients.push(client);
    pids.set(comm, client.pid);
  }
  const { client: clusterComm, ...clusterOptions } = CLUSTER;
  const caller = await startProgram(
    namespace,
    'tcp-client',
    { ...clusterOptions, concurrency: 3 },
    { comm: clusterComm },
  );
  clients.push(caller);
  writeFileSync(`${cgroup}/inner/cgroup.procs`, String(pids.get('cli-a-and-more')));
  const reference = await startCollector(t, namespace, ['-q']);
  const collectors = await Promise.all(
    Object.values(FILTERS).map(({ args }) =>
      startCollector(t, namespace, ['-q', ...args(pids, cgroup)]),
    ),
  );
  for (const client of clients) await client.go();
  for (const client of clients) await client.stop();
  for (const server of servers) await server.stop();
  const served = (await cluster.stop()).connections;
  await reference.stop();
  await Promise.all(collectors.map((collector) => collector.stop('SIGINT')));

  const at = (address: string, port: number): string =>
    address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  const pair = (
    ours: string,
    theirs: string,
    client: string,
    server: string,
    pid: number,
  ): Socket[] => [
    { src: ours, dst: theirs, pid: pids.get(client) ?? caller.pid, comm: client, server: false },
    { src: theirs, dst: ours, pid, comm: server, server: true },
  ];
  const sockets = CLIENTS.flatMap(({ comm, localAddress, localPort, connections, to, host }) =>
    Array.from({ length: connections }, (_, i) => {
      const { comm: server, port } = SERVERS[to];
      const ours = at(localAddress, localPort + i);
      return pair(ours, at(host, port), comm, server, pids.get(server) ?? 0);
    }).flat(),
  );
  for (const { pid, peerPort } of served) {
    const ours = at(CLUSTER.localAddress, peerPort);
    sockets.push(...pair(ours, at('127.0.0.1', CLUSTER.port), clusterComm, workerComm, pid));
  }
  const all = linesOf(reference);
  t.equal(new Set(all.map(wayOf)).size, sockets.length);
  t.strictSame(difference(sockets.map(describe), ownersIn(reference)), SAME, 'without a filter');
  for (const [i, [name, { lets, process = false, late = false }]] of Object.entries(
    FILTERS,
  ).entries()) {
    await t.test(name, (t) => {
      const own = sockets.filter(lets);
      const collector = collectors[i] as Collector;
      t.strictSame(difference(own.map(describe), ownersIn(collector)), SAME, 'connections');
      const ways = new Set(own.map(wayOf));
      const wanted = all.filter((line) => ways.has(wayOf(line)) && !(process && line.sock === '-'));
      const isNeeded = ({ received, bytes }: PacketLine): boolean =>
        !late || (!received && bytes > 0);
      const found = linesOf(collector);
      const { missing } = difference(wanted.filter(isNeeded).map(full), found.map(full));
      const { surplus } = difference(wanted.map(full), found.map(full));
      t.strictSame({ missing, surplus }, SAME, 'packets');
      if (late) return void t.end();
      const state = collector.samples('netwatch.prom');
      for (const role of ['client', 'server'])
        t.equal(
          total(state, 'netwatch_tcp_connections_total', { network_tcp_handshake_role: role }),
          own.filter(({ server }) => server === (role === 'server')).length,
          role,
        );
      t.end();
    });
  }
});

const linesOf = (collector: Collector): PacketLine[] =>
  packetLines(collector.samples('packets.log'));
const wayOf = ({ src, dst }: { src: string; dst: string }): string => `${src} ${dst}`;
const full = (line: PacketLine): string => `${line.received ? 'rx' : 'tx'} ${onTheWire(line)}`;
const describe = ({ src, dst, pid, comm }: Socket): string => `${src} ${dst} ${pid} ${comm}`;
const ownersIn = (collector: Collector): string[] =>
  select(collector.samples('connects.log'), 'netwatch_connection_info').map(
    ({ labels: { src, dst, pid, process } }) => `${src} ${dst} ${pid} ${process}`,
  );

t.test(
  '--netns confines to a name, a path, an inode, or several',
  { skip: needsRoot },
  async (t) => {
    const namespaces = [createNamespace(t), createNamespace(t), createNamespace(t)];
    const [a, b, c] = namespaces as [
      (typeof namespaces)[0],
      (typeof namespaces)[0],
      (typeof namespaces)[0],
    ];
    const cases: readonly (readonly [netns: readonly string[], seen: readonly number[]])[] = [
      [[a.name], [7001]],
      [[b.path], [7002]],
      [[String(c.inode)], [7003]],
      [
        [a.name, c.path],
        [7001, 7003],
      ],
    ];
    const collectors = await Promise.all(
      cases.map(([netns]) => startCollector(t, a, ['-q', '-x', '-t', '-i'], { netns })),
    );
    const packets = new Map<number, number>();
    for (const [i, namespace] of namespaces.entries()) {
      const port = 7001 + i;
      const counted = await countPackets(namespace);
      await runTcp(namespace, { port, connections: 3 }, { port });
      packets.set(port, await counted());
    }
    await Promise.all(collectors.map((collector) => collector.stop()));
    for (const [i, [, seen]] of cases.entries()) {
      const collector = collectors[i] as Collector;
      const ports = (ends: readonly { src: string; dst: string }[]): number[] =>
        [...new Set(ends.map(({ src, dst }) => Math.min(portOf(src), portOf(dst))))].sort();
      const lines = linesOf(collector);
      t.strictSame(ports(lines), seen);
      t.equal(
        lines.length,
        seen.reduce((sum, port) => sum + (packets.get(port) ?? 0), 0),
      );
      const connections = select(collector.samples('connects.log'), 'netwatch_connection_info');
      t.equal(connections.length, seen.length * 6);
      const state = collector.samples('netwatch.prom');
      t.equal(total(state, 'netwatch_tcp_connections_total'), seen.length * 6);
    }
  },
);
