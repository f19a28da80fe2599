// tcptop, tcp_bytes and tcpsubnet: every byte of known traffic, by process and connection, exactly.
import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import {
  countsOfRows,
  exchange,
  sameCounts,
  type ByteCounts,
  type Exchange,
} from '../support/byte-counts.js';
import { provoke } from '../support/provoke.js';
import type { Json } from '../support/ndjson.js';
import { createNamespace, type Teardown } from '../support/netns.js';
import { needsRoot } from '../support/skip.js';
import { sockets } from '../support/ss.js';
import { startTool } from '../support/tool.js';
import { startProgram } from '../support/traffic.js';
import { moveUnusually } from '../support/unusual-bytes.js';
import { until } from '../support/wait.js';

const skip = needsRoot;

const V4: Exchange = {
  port: 7301,
  host: '127.0.0.1',
  connections: 3,
  rounds: 4,
  requestBytes: 70_001,
  replyBytes: 311,
};
const V6: Exchange = { ...V4, port: 7302, host: '::1', connections: 2, requestBytes: 3 };
const MAPPED: Exchange = { ...V4, port: 7303, serverHost: '::', connections: 1, requestBytes: 999 };

t.test('tcptop counts every byte of each process, of closed ones too', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const { expected, found } = await provoke(
    async () => {
      const tool = await startTool(t, namespace, 'tcptop', ['600', '-o', 'json']);
      let counts: ByteCounts = {};
      for (const traffic of [V4, V6, MAPPED])
        counts = { ...counts, ...(await exchange(namespace, traffic)).counts };
      t.strictSame(await tool.stop(), { code: 0, signal: null });
      return { expected: counts, found: countsOfRows(tool.objects()) };
    },
    (result) => sameCounts(result.expected, result.found),
  );
  t.strictSame(found, expected);
  t.equal(Object.keys(found).length, 2 * (3 + 2 + 1), 'both ends of each connection');
});

t.test('no byte is lost between two reports while traffic goes on', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const traffic = { ...V4, connections: 4, concurrency: 4, rounds: 600, pauseMs: 1 };
  const { times, expected, found } = await provoke(
    async () => {
      const tool = await startTool(t, namespace, 'tcptop', ['0.1', '-o', 'json']);
      const { counts } = await exchange(namespace, { ...traffic, requestBytes: 5000 });
      await tool.stop();
      const rows = tool.objects();
      return {
        times: new Set(rows.map(({ time }) => time)).size,
        expected: counts,
        found: countsOfRows(rows),
      };
    },
    (result) => sameCounts(result.expected, result.found),
  );
  t.ok(times >= 5, `the traffic was cut into ${times} reports`);
  t.strictSame(found, expected);
});

function temporary(t: Teardown): string {
  const folder = mkdtempSync(join(tmpdir(), 'netwatch-test-'));
  t.teardown(() => {
    rmSync(folder, { recursive: true });
  });
  return folder;
}

t.test('splice, sendfile, a look ahead and a partial write count as moved', { skip }, async (t) => {
  const namespace = createNamespace(t);
  for (const host of ['127.0.0.1', '::1']) {
    const { expected, found } = await provoke(
      async () => {
        const tool = await startTool(t, namespace, 'tcptop', ['600', '-o', 'json']);
        const counts = await moveUnusually(t, namespace, host);
        await tool.stop();
        return { expected: counts, found: countsOfRows(tool.objects()) };
      },
      (result) => sameCounts(result.expected, result.found),
    );
    t.strictSame(found, expected, host);
    const [sender, receiver] = Object.values(expected);
    t.equal(sender?.[0], receiver?.[1], 'what one end sent the other has received');
  }
});

t.test('the counts are those that ss has for the same connections', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const { port, requestBytes, replyBytes } = V4;
  const sizes = { port, requestBytes, replyBytes };
  const serving = await startProgram(namespace, 'tcp-server', sizes);
  const tool = await startTool(t, namespace, 'tcp_bytes', ['-i', '600', '-o', 'json']);
  const client = { ...sizes, rounds: 5, connections: 2, close: 'hold' } as const;
  const calling = await startProgram(namespace, 'tcp-client', client);
  await calling.go();
  const rows = await until(
    async () => {
      const open = (await sockets(namespace)).filter(({ state }) => state === 'ESTAB');
      return open.every(({ sendQueue }) => sendQueue === 0) && open;
    },
    { what: 'all is acknowledged' },
  );
  await tool.stop();
  await calling.stop();
  await serving.stop();
  const told = Object.fromEntries(
    Object.entries(countsOfRows(tool.objects())).map(([key, counts]) => [
      key.replace(/^\d+ /, ''),
      counts,
    ]),
  );
  const seen = rows.map(({ local, peer, bytesSent, bytesReceived, bytesRetrans }) => [
    `${local.address}:${local.port} ${peer.address}:${peer.port}`,
    [bytesSent - bytesRetrans, bytesReceived],
  ]);
  t.equal(rows.length, 4);
  t.strictSame(told, Object.fromEntries(seen));
});

interface OptionCase {
  readonly args: readonly string[];
  readonly keeps: (row: Json) => boolean;
}

/** A pinned set of one number, as bcc's tools take it. */
function pinnedSet(t: Teardown, name: string, valueBytes: number, member: number): string {
  const path = `/sys/fs/bpf/${name}-${process.pid}`;
  const sizes = ['key', '8', 'value', String(valueBytes), 'entries', '8', 'name', 'test_set'];
  execFileSync('bpftool', ['map', 'create', path, 'type', 'hash', ...sizes]);
  t.teardown(() => {
    rmSync(path);
  });
  const bytes = (value: bigint, count: number): string[] =>
    Array.from({ length: count }, (_, i) => String((value >> BigInt(8 * i)) & 255n));
  const key = bytes(BigInt(member), 8);
  const value = bytes(1n, valueBytes);
  execFileSync('bpftool', ['map', 'update', 'pinned', path, 'key', ...key, 'value', ...value]);
  return path;
}

function cgroupOf(t: Teardown): string {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  const root = mounts.map((line) => line.split(' ')).find(([, , type]) => type === 'cgroup2')?.[1];
  const path = `${root ?? ''}/nwtest-traffic-${process.pid}`;
  mkdirSync(path);
  t.teardown(async () => {
    writeFileSync(`${path}/cgroup.kill`, '1');
    const gone = (): boolean => {
      rmdirSync(path);
      return true;
    };
    await until(gone, { what: `${path} is removed` });
  });
  return path;
}

t.test('each filter of tcptop keeps what it names and leaves out the rest', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const cgroup = cgroupOf(t);
  const sizes = { requestBytes: 5001, replyBytes: 77 };
  const server = await startProgram(namespace, 'tcp-server', { ...sizes, port: 7301 });
  const server6 = await startProgram(namespace, 'tcp-server', {
    ...sizes,
    port: 7302,
    host: '::1',
  });
  const client = await startProgram(namespace, 'tcp-client', { ...sizes, port: 7301 });
  const client6 = await startProgram(namespace, 'tcp-client', {
    ...sizes,
    port: 7302,
    host: '::1',
  });
  writeFileSync(`${cgroup}/cgroup.procs`, String(client.pid));
  const isV6 = ({ network_local_address }: Json): boolean =>
    String(network_local_address).includes(':');
  const isClient = ({ pid }: Json): boolean => pid === client.pid;
  const inode = (path: string): number => statSync(path).ino;
  const cgroups = pinnedSet(t, 'nwtest-cgroups', 8, inode(cgroup));
  const mounts = pinnedSet(t, 'nwtest-mounts', 4, inode(`/proc/${client.pid}/ns/mnt`));
  const none = pinnedSet(t, 'nwtest-none', 4, 1);
  const cases: readonly OptionCase[] = [
    { args: [], keeps: () => true },
    { args: ['-p', String(client.pid)], keeps: isClient },
    {
      args: ['-p', `${client.pid},${server6.pid}`],
      keeps: (row) => isClient(row) || row['pid'] === server6.pid,
    },
    { args: ['-4'], keeps: (row) => !isV6(row) },
    { args: ['-6'], keeps: isV6 },
    { args: ['--port', '7302'], keeps: isV6 },
    { args: ['-c', cgroup], keeps: isClient },
    { args: ['--cgroup', cgroup, '-6'], keeps: () => false },
    { args: ['--cgroupmap', cgroups], keeps: isClient },
    { args: ['--mntnsmap', mounts], keeps: () => true },
    { args: ['--mntnsmap', none], keeps: () => false },
  ];
  const tools = [];
  for (const { args } of cases)
    tools.push(await startTool(t, namespace, 'tcptop', ['600', '-o', 'json', ...args]));
  for (const program of [client, client6]) await program.go();
  for (const program of [client, client6, server, server6]) await program.stop();
  for (const tool of tools) await tool.stop();
  const [all = []] = tools.map((tool) => tool.objects());
  t.equal(all.length, 4);
  for (const [i, { args, keeps }] of cases.entries())
    t.strictSame(
      countsOfRows(tools[i]?.objects() ?? []),
      countsOfRows(all.filter(keeps)),
      args.join(' '),
    );
});

const HEAD = 'PID     COMM         LADDR                 RADDR                  RX_KB  TX_KB';
const ROW = /^\d+ +bytes-(client|server)\s+127\.0\.0\.1:\d+\s+127\.0\.0\.1:\d+ +\d+ +\d+$/;

t.test(
  'the table of tcptop is that of bcc, sorted, with as many rows as asked',
  { skip },
  async (t) => {
    const namespace = createNamespace(t);
    const args = ['-C', '-s', 'sent', '-r', '3', '600'];
    const tool = await startTool(t, namespace, 'tcptop', args);
    const bare = await startTool(t, namespace, 'tcptop', ['--noclear', '--nosummary', '600']);
    await exchange(namespace, V4);
    await tool.stop();
    await bare.stop();
    const [banner, empty, summary, alsoEmpty, head, ...rows] = tool.lines();
    t.equal(banner, 'Tracing... Output every 600 secs. Hit Ctrl-C to end');
    t.match([empty, alsoEmpty], ['', '']);
    t.match(summary, /^\d\d:\d\d:\d\d loadavg: \d+\.\d+ \d+\.\d+ \d+\.\d+ \d+\/\d+ \d+$/);
    t.equal(head, HEAD);
    t.equal(rows.length, 3, 'the three that send most, which are the clients');
    for (const row of rows) {
      t.match(row, ROW);
      t.match(row, /^\d+ +bytes-client.* 1 +273$/, 'whole KBytes, rounded down');
    }
    t.match(bare.lines().slice(0, 3), [banner, '', HEAD]);
    t.equal(bare.lines().length, 3 + 6);
  },
);

t.test('tcptop ends by itself after as many reports as were asked for', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const tool = await startTool(t, namespace, 'tcptop', ['-C', '0.2', '2']);
  t.strictSame(await tool.exited, { code: 0, signal: null });
  t.equal(tool.lines().filter((line) => / loadavg: /.test(line)).length, 2);
});

t.test('the table of tcp_bytes is that of lmp', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const tool = await startTool(t, namespace, 'tcp_bytes', ['-i', '600']);
  const four = await startTool(t, namespace, 'tcp_bytes', ['-4', '-i', '600']);
  const six = await startTool(t, namespace, 'tcp_bytes', ['-6', '-i', '600']);
  const port = await startTool(t, namespace, 'tcp_bytes', ['--port', `${V6.port}`, '-i', '600']);
  const other = await startTool(t, namespace, 'tcp_bytes', ['-p', '1', '-i', '600']);
  const few = await startTool(t, namespace, 'tcp_bytes', ['-c', '2', '-i', '0.2']);
  await exchange(namespace, V4);
  const { serverPid } = await exchange(namespace, { ...V6, connections: 1 });
  for (const running of [tool, four, six, port, other]) await running.stop();
  t.strictSame(await few.exited, { code: 0, signal: null });

  const lines = tool.lines();
  t.match(lines[0], /^\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}$/);
  t.equal(lines[1], HEAD.replace('LADDR', 'SADDR').replace('RADDR', 'DADDR'));
  for (const line of lines.slice(2, 8)) t.match(line, ROW);
  const wide = (text: string): string => text.padEnd(40);
  t.strictSame(lines.slice(8, 10), [
    '',
    `PID     COMM         ${wide('SADDR6')} ${wide('DADDR6')}  RX_KB  TX_KB`,
  ]);
  t.ok(lines[10]?.startsWith(`${serverPid}`.padEnd(8) + 'bytes-server ') ?? false);
  t.equal(lines.at(-1), '-'.repeat(60));
  t.equal(lines.length, 8 + 2 + 2 + 1);

  t.strictSame(four.lines().slice(1, -1), lines.slice(1, 8));
  t.strictSame(six.lines().slice(1, -1), lines.slice(8, -1));
  t.strictSame(port.lines().slice(1, -1), lines.slice(8, -1));
  t.equal(other.lines().length, 2, 'no rows: the time and a line');
  t.equal(few.lines().filter((line) => line === '-'.repeat(60)).length, 2);
});

/** Addresses of the namespace, each of which talks with itself. */
const ADDRESSES = ['127.0.0.1', '10.1.2.3', '10.9.9.9', '192.0.2.7', '::1'];

t.test('tcpsubnet counts what was sent to the first subnet that fits', { skip }, async (t) => {
  const namespace = createNamespace(t);
  for (const address of ADDRESSES.slice(1, 4))
    await namespace.exec('ip', ['address', 'add', `${address}/32`, 'dev', 'lo']);
  const chosen = '10.1.0.0/16,10.0.0.0/8,::/0';
  const start = (...args: string[]) => startTool(t, namespace, 'tcpsubnet', ['-i', '600', ...args]);
  const json = await start('-o', 'json');
  const table = await start('-f', 'K');
  const bits = await start('-f', 'b', chosen);
  const own = await start('-J', '-f', 'k', chosen);
  const csv = await start('-o', 'csv', chosen, '--port', '7405');
  const folder = temporary(t);
  const kept = await start('--data', folder, chosen);
  const bytes: Record<string, number> = {};
  for (const [i, host] of ADDRESSES.entries()) {
    const sizes = { requestBytes: 10_000 * (i + 1), replyBytes: 24 };
    await exchange(namespace, { ...V4, ...sizes, host, port: 7401 + i, connections: 1, rounds: 1 });
    bytes[host] = sizes.requestBytes + sizes.replyBytes;
  }
  for (const tool of [json, table, bits, own, csv, kept]) await tool.stop();
  const of = (...hosts: string[]): number => hosts.reduce((sum, host) => sum + bytes[host]!, 0);
  const sent = json.objects().map(({ subnet, bytes_sent }) => [subnet, bytes_sent]);
  t.strictSame(sent, [
    ['10.0.0.0/8', of('10.1.2.3', '10.9.9.9')],
    ['0.0.0.0/0', of('192.0.2.7')],
    ['127.0.0.1/32', of('127.0.0.1')],
  ]);
  const kilobytes = (count: number): string => String(Math.floor(count / 1024)).padStart(6);
  const [banner, time, ...rows] = table.lines();
  t.equal(banner, 'Tracing... Output every 600 secs. Hit Ctrl-C to end');
  t.match(time, /^\[\d\d\/\d\d\/\d\d \d\d:\d\d:\d\d\]$/);
  t.strictSame(
    rows,
    sent.map(([subnet, count]) => `${String(subnet).padEnd(21)} ${kilobytes(Number(count))}`),
  );
  t.strictSame(bits.lines().slice(2), [
    `${'::/0'.padEnd(21)} ${8 * of('::1')}`,
    `${'10.0.0.0/8'.padEnd(21)} ${8 * of('10.9.9.9')}`,
    `${'10.1.0.0/16'.padEnd(21)} ${8 * of('10.1.2.3')}`,
  ]);
  const [object, ...more] = own.objects();
  t.strictSame(more, []);
  t.match(object, { date: /^\d\d\/\d\d\/\d\d$/, time: /^\d\d:\d\d:\d\d$/ });
  t.strictSame(object?.['entries'], {
    '::/0': of('::1') / 128,
    '10.0.0.0/8': of('10.9.9.9') / 128,
    '10.1.0.0/16': of('10.1.2.3') / 128,
  });
  const [head, row, ...rest] = csv.lines();
  t.equal(head, 'TIME,SUBNET,SENT');
  t.match(row, new RegExp(`^[^,]+Z,::/0,${of('::1')}$`));
  t.strictSame(rest, [], 'the other ports are left out');
  const file = readFileSync(join(folder, 'tcpsubnet.prom'), 'utf8');
  t.match(file, `netwatch_tcp_subnet_bytes_total{subnet="10.0.0.0/8"} ${of('10.9.9.9')}\n`);
});

t.test('what processes moved is kept in a .prom file, by their names', { skip }, async (t) => {
  const namespace = createNamespace(t);
  for (const name of ['tcptop', 'tcp_bytes']) {
    const folder = temporary(t);
    const interval = name === 'tcptop' ? ['0.1'] : ['-i', '0.1'];
    const tool = await startTool(t, namespace, name, [...interval, '--data', folder]);
    await exchange(namespace, V4);
    await tool.stop();
    const file = readFileSync(join(folder, `${name}.prom`), 'utf8');
    const requests = V4.connections * V4.rounds * V4.requestBytes;
    const replies = V4.connections * V4.rounds * V4.replyBytes;
    for (const [process, direction, bytes] of [
      ['bytes-client', 'transmit', requests],
      ['bytes-client', 'receive', replies],
      ['bytes-server', 'transmit', replies],
      ['bytes-server', 'receive', requests],
    ] as const) {
      const labels = `tool="${name}",process="${process}",network_io_direction="${direction}"`;
      t.match(file, `netwatch_tcp_process_bytes_total{${labels}} ${bytes}\n`);
    }
    t.match(file, `netwatch_events_lost_total{source="${name}",stage="map_full"} 0\n`);
  }
});
