// `netwatch tcppktlat`: one row for each read, and how long the oldest data that it takes has waited.
import { isDeepStrictEqual } from 'node:util';
import t from 'tap';
import { provoke } from '../support/provoke.js';
import type { Json } from '../support/ndjson.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { needsRoot } from '../support/skip.js';
import { startTool } from '../support/tool.js';
import { runTcp, startProgram } from '../support/traffic.js';

const skip = needsRoot;

const PORT = 7400;
const CONNECTIONS = 2;
const ROUNDS = 7;

t.test('each read is a row, with the process that reads', { skip }, async (t) => {
  for (const host of ['127.0.0.1', '::1']) {
    const namespace = createNamespace(t);
    const found = await provoke(
      async () => {
        const running = await startTool(t, namespace, 'tcppktlat', ['-o', 'json']);
        const server = await startProgram(namespace, 'tcp-server', { port: PORT, host });
        const options = { port: PORT, host, connections: CONNECTIONS, rounds: ROUNDS };
        const client = await startProgram(namespace, 'tcp-client', options);
        const startMs = performance.now();
        await client.go();
        const elapsedUs = (performance.now() - startMs) * 1000;
        await client.stop();
        await server.stop();
        await running.stop();
        return { rows: running.objects(), client: client.pid, server: server.pid, elapsedUs };
      },
      ({ rows }) => rows.length === 2 * CONNECTIONS * ROUNDS,
    );
    const { rows, client, server, elapsedUs } = found;
    t.equal(rows.length, 2 * CONNECTIONS * ROUNDS);
    const atServer = rows.filter((row) => row['network_local_port'] === PORT);
    const atClient = rows.filter((row) => row['network_peer_port'] === PORT);
    t.equal(atServer.length, CONNECTIONS * ROUNDS);
    t.ok(atServer.every(({ pid, tid }) => pid === server && tid === server));
    t.equal(atClient.length, CONNECTIONS * ROUNDS);
    t.ok(atClient.every(({ pid }) => pid === client));
    t.ok(rows.every((row) => row['network_local_address'] === host));
    const waits = rows.map((row) => Number(row['latency_us']));
    t.ok(
      waits.every((us) => us > 0 && us < elapsedUs),
      'no wait is longer than all of it',
    );
  }
});

/** Writes to itself in pieces of 10 bytes, 0.1 s apart, then reads: 5 bytes, what is left, all. */
const LATE = `use IO::Socket::INET; use Socket qw(IPPROTO_TCP TCP_NODELAY); my $pieces = shift;
my $listener = IO::Socket::INET->new(Listen => 1, ReuseAddr => 1, LocalAddr => '127.0.0.1', LocalPort => ${PORT});
my $out = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => ${PORT});
setsockopt($out, IPPROTO_TCP, TCP_NODELAY, 1);
my $in = $listener->accept;
sub later { for (1..$pieces) { syswrite($out, 'x' x 10); select(undef, undef, undef, 0.1) } }
later; sysread($in, my $some, 5); sysread($in, my $rest, 10 * $pieces - 5);
later; sysread($in, my $all, 10 * $pieces);
syswrite($out, 'x'); select(undef, undef, undef, 0.01); sysread($in, my $last, 1);`;

async function readLate(namespace: Namespace, pieces: number): Promise<void> {
  await namespace.exec('perl', ['-e', LATE, String(pieces)]);
}

const waitsOf = (rows: readonly Json[]): number[] => rows.map((row) => Number(row['latency_us']));

t.test('the oldest data that a read takes says how long it was', { skip }, async (t) => {
  const namespace = createNamespace(t);
  // more than the kernel side tells apart, too
  for (const pieces of [1, 3, 11]) {
    const startMs = performance.now();
    const waits = await provoke(
      async () => {
        const running = await startTool(t, namespace, 'tcppktlat', ['-o', 'json']);
        await readLate(namespace, pieces);
        await running.stop();
        return waitsOf(running.objects());
      },
      (found) => found.length >= 3,
    );
    const mostUs = (performance.now() - startMs) * 1000;
    const allUs = pieces * 100_000;
    // of several pieces, the first read takes no whole one: its row comes with the second
    const long = waits.filter((us) => us >= allUs);
    t.ok(long.length >= 2, `${pieces} pieces: ${waits.join(' ')}`);
    t.ok(waits.every((us) => us > 0 && us < mostUs));
    t.ok(Number(waits.at(-1)) >= 10_000 && Number(waits.at(-1)) < allUs, 'the last was new');
  }
});

/** Arguments, and how many rows they leave of the traffic below. */
type Case = readonly [args: readonly string[], rows: number];

function casesFor(client: number, server: number): readonly Case[] {
  const one = CONNECTIONS * ROUNDS;
  return [
    [[], 2 * one],
    [['-p', String(server)], one],
    [['-p', `${server},${client}`], 2 * one],
    [['-t', String(client)], one],
    [['-t', '1'], 0],
    [['-l', String(PORT)], one],
    [['-r', `${PORT},1`], one],
    [['-r', String(PORT), '-p', String(server)], 0],
    [['--port', String(PORT)], 2 * one],
    [['--port', '1'], 0],
    [['-4'], 2 * one],
    [['-6'], 0],
    [['10000000'], 0],
  ];
}

t.test('each filter keeps what it should', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const { found, wanted } = await provoke(
    async () => {
      const server = await startProgram(namespace, 'tcp-server', { port: PORT });
      const options = { port: PORT, rounds: ROUNDS, connections: CONNECTIONS };
      const client = await startProgram(namespace, 'tcp-client', options);
      const cases = casesFor(client.pid, server.pid);
      const running = await Promise.all(
        cases.map(([args]) => startTool(t, namespace, 'tcppktlat', [...args, '-o', 'json'])),
      );
      await client.go();
      await client.stop();
      await server.stop();
      await Promise.all(running.map((tool) => tool.stop()));
      const rows = running.map((tool) => tool.objects().length);
      const named = (count: number, i: number): string => `${cases[i]?.[0].join(' ')}: ${count}`;
      return { found: rows.map(named), wanted: cases.map(([, count], i) => named(count, i)) };
    },
    ({ found, wanted }) => isDeepStrictEqual(found, wanted),
  );
  t.strictSame(found, wanted);
});

t.test('a minimum leaves out what waited less', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const waits = await provoke(
    async () => {
      const running = await startTool(t, namespace, 'tcppktlat', ['50000', '-o', 'json']);
      await readLate(namespace, 1);
      await running.stop();
      return waitsOf(running.objects());
    },
    (found) => found.length === 2,
  );
  t.equal(waits.length, 2, 'two reads were late, the last was not');
});

t.test('the table is that of the original', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const table = async (...args: string[]): Promise<string[]> => {
    const running = await startTool(t, namespace, 'tcppktlat', args);
    await runTcp(namespace, { port: PORT }, { port: PORT });
    await running.stop();
    return running.lines();
  };
  const narrow = await table();
  t.equal(
    narrow[0],
    'PID     TID     COMM             LADDR           LPORT RADDR           RPORT US',
  );
  t.match(narrow[1], /^\d+ +\d+ +node {13}127\.0\.0\.1 {7}\d+ +127\.0\.0\.1 {7}\d+ +\d+\.\d\d$/);
  const wide = await table('-T', '-w', '-r', String(PORT));
  t.equal(
    wide[0],
    `TIME(s)  PID     TID     COMM             LADDR${' '.repeat(34)} LPORT RADDR${' '.repeat(34)} RPORT US`,
  );
  t.match(wide[1], /^\d\d:\d\d:\d\d \d+ +\d+ +node +127\.0\.0\.1 {31}\d+ +127\.0\.0\.1 {31}7400 /);
});
