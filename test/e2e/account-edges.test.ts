// Where the account of records is hardest to keep: sockets in TIME_WAIT, several kinds of records in
// one ring, a disk that is full to the end.
import { closeSync, openSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { countLines, countPackets, logLines, packetAccount, PROM } from '../support/account.js';
import { blast } from '../support/blast.js';
import { startCollector } from '../support/collector.js';
import { mountDisk } from '../support/disk.js';
import { createNamespace } from '../support/netns.js';
import { difference, onTheWire, packetLines, SAME } from '../support/packets.js';
import { total, type Sample } from '../support/samples.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { startCapture } from '../support/tcpdump.js';
import { runHttp, TCP_PORT } from '../support/traffic.js';
import { until } from '../support/wait.js';

type Role = 'client' | 'server';

const skip = needsRoot || needsCommands('tcpdump', 'perl', 'nstat', 'mount');

/**
 * The client closes first and whole; the server closes when it has seen that, a little later. It
 * acknowledges at once (TCP_QUICKACK): no timer that may come while a program runs changes a state.
 */
const CLIENT_CLOSES_FIRST = `use strict; use warnings; use Socket qw(:all);
my ($family, $port, $connections) = @ARGV;
my $v6 = $family == 6;
my $where = $v6 ? pack_sockaddr_in6($port, inet_pton(AF_INET6, '::1'))
                : pack_sockaddr_in($port, INADDR_LOOPBACK);
socket(my $listener, $v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0) or die $!;
bind($listener, $where) or die $!;
listen($listener, 8) or die $!;
for (1 .. $connections) {
  socket(my $client, $v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0) or die $!;
  connect($client, $where) or die $!;
  accept(my $server, $listener) or die $!;
  setsockopt($server, IPPROTO_TCP, 12, 1) or die $!;
  close($client);
  sysread($server, my $byte, 1);
  select(undef, undef, undef, 0.05);
  close($server);
}`;

/** Of such a connection, what its sockets have; the rest is TIME_WAIT's. */
const SEGMENTS = { transmit: { client: 3, server: 3 }, receive: { client: 2, server: 4 } };

/** Of so many connections, the ends whose closing is in no total. */
function unseenEnds(samples: readonly Sample[], connections: number): Record<Role, number> {
  const family = 'netwatch_tcp_connection_duration_seconds_count';
  const unseen = (role: Role): number =>
    connections - total(samples, family, { network_tcp_handshake_role: role });
  return { client: unseen('client'), server: unseen('server') };
}

for (const options of [['-q'], ['-q', '-t']]) {
  t.test(
    `what TIME_WAIT answers with is a packet, too (${options.join(' ')})`,
    { skip },
    async (t) => {
      const namespace = createNamespace(t);
      const collector = await startCollector(t, namespace, options);
      const capture = await startCapture(t, namespace);
      const connections = 7;
      for (const family of [4, 6]) {
        const args = ['-e', CLIENT_CLOSES_FIRST, family, TCP_PORT, connections].map(String);
        await namespace.exec('perl', args);
      }
      const { packets } = await capture.stop();
      t.match(await collector.stop(), { code: 0 });
      const seen = packets.map(onTheWire);
      t.equal(seen.length, 2 * 7 * connections, 'handshake, two FINs, two answers');
      const lines = packetLines(collector.samples('packets.log'));
      const samples = collector.samples(PROM);
      const unseen = unseenEnds(samples, 2 * connections);
      // some kernels skip a program while certain processes run (README, limits), and count it or not
      t.ok(
        unseen.client + unseen.server <= 1,
        `ends that no program saw: ${JSON.stringify(unseen)}`,
      );
      for (const received of [false, true]) {
        const own = lines.filter((line) => line.received === received).map(onTheWire);
        t.strictSame(difference(seen, own), SAME, received ? 'received' : 'sent');
        const direction = received ? 'receive' : 'transmit';
        const labels = { network_io_direction: direction };
        const counted = total(samples, 'netwatch_tcp_segments_total', labels);
        const { client, server } = SEGMENTS[direction];
        const missing = unseen.client * client + unseen.server * server;
        t.equal(counted + missing, seen.length, `segments: ${direction}`);
      }
    },
  );
}

t.test(
  'lost packets and lost HTTP records are counted apart, each exactly',
  { skip },
  async (t) => {
    const namespace = createNamespace(t);
    const options = ['-q', '-i', '--interval', '0.2', '--ring', '65536'];
    const collector = await startCollector(t, namespace, options);
    const seen = await countPackets(namespace);
    process.kill(collector.pid, 'SIGSTOP');
    const requests = 2003;
    await runHttp(namespace, { connections: 3, total: requests });
    process.kill(collector.pid, 'SIGCONT');
    const all = await seen();
    t.match(await collector.stop(), { code: 0 });
    const samples = collector.samples(PROM);
    const { accepted, written, lostInRing, lostInFile } = packetAccount(samples);
    t.equal(accepted + lostInRing, all, 'packets');
    t.equal(written + lostInFile, accepted);
    t.equal(total(samples, 'netwatch_events_total', { source: 'packet' }), all);
    t.equal(logLines(collector.dataFolder, 'packets.log').length, written);
    // at both ends two heads and one exchange for each
    t.equal(total(samples, 'netwatch_events_total', { source: 'http' }), 6 * requests);
    const lost = total(samples, 'netwatch_events_lost_total', { source: 'http', stage: 'ringbuf' });
    t.ok(lostInRing > 0 && lost > 0);
    t.match(collector.stderr(), new RegExp(`lost: .*${lost} http records \\(ring buffer\\)`));
  },
);

/** Takes all room that is left on a disk, and gives its size. */
function fillUp(folder: string): number {
  const path = join(folder, 'ballast');
  const file = openSync(path, 'a');
  for (let bytes = 65_536; bytes > 0;) {
    try {
      writeSync(file, Buffer.alloc(bytes));
    } catch {
      bytes >>= 1;
    }
  }
  closeSync(file);
  return statSync(path).size;
}

t.test('a stop on a full disk: the last words are true', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const disk = mountDisk(t, 24 * 2 ** 20);
  const dataFolder = join(disk.folder, 'data');
  const rotation = ['--rotate-size', '500000', '--gzip', '--keep-files', '500'];
  const options = ['-q', '--interval', '1', ...rotation];
  const collector = await startCollector(t, namespace, options, { dataFolder });
  await collector.waitFor(PROM, (all) => all.length > 0, 'a first version');
  const seen = await countPackets(namespace);
  await blast(t, namespace, { port: TCP_PORT, rounds: 2003 });
  t.ok(fillUp(disk.folder) > 2 ** 20);
  await blast(t, namespace, { port: TCP_PORT + 1, rounds: 8009 });
  const told = (): boolean => /cannot write \S+netwatch\.prom: ENOSPC/.test(collector.stderr());
  await until(told, { what: 'it is told that netwatch.prom is not written' });
  t.match(await collector.stop(), { code: 0 });
  const lines = countLines(dataFolder, 'packets.log');
  t.equal(logLines(dataFolder, 'packets.log').length, lines, 'whole lines only');
  const said = (pattern: RegExp): number => Number(pattern.exec(collector.stderr())?.[1]);
  t.equal(said(/^netwatch: lines written: .*?(\d+) in packets\.log/m), lines);
  t.equal(said(/^netwatch: lost: .*?(\d+) lines of packets\.log/m), (await seen()) - lines);
  t.ok(said(/^netwatch: lost: .*?(\d+) writes of netwatch\.prom \(ENOSPC\)/m) > 0);
  t.notMatch(collector.stderr(), /nothing lost/);
});
