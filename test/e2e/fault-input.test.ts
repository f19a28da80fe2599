// Input that strangers choose: process names, HTTP bytes, secrets, ports and pids that are used again, and
// clocks that are not those of the kernel. Nothing of it may break a line or be told of somebody else.
import { readdirSync } from 'node:fs';
import t, { type Test } from 'tap';
import { dropPackets } from '../../scripts/traffic/faults.js';
import { countPackets, PROM } from '../support/account.js';
import { hashEntries } from '../support/bpf.js';
import { startCollector, temporaryFolder, type Collector } from '../support/collector.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { packetLines, portOf } from '../support/packets.js';
import { parseExposition, select, type Sample } from '../support/samples.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import {
  runHttp,
  runTcp,
  SECRET_REQUESTS,
  SECRETS,
  startProgram,
  TCP_PORT,
} from '../support/traffic.js';
import { until } from '../support/wait.js';

const skip = needsRoot || needsCommands('perl', 'nstat', 'bpftool');
const ALL = ['-a', '-x', '-r', '-t', '-i', '-e', '--interval', '0.1'];

/** Everything it has put out, by where. */
function outputs(collector: Collector): Record<string, string> {
  const files = readdirSync(collector.dataFolder);
  return {
    stdout: collector.stdout(),
    stderr: collector.stderr(),
    ...Object.fromEntries(files.map((file) => [file, collector.read(file)])),
  };
}

/** Cc but LF. */
const CONTROL = /(?!\n)\p{Cc}/u;

/** Strictly parsed, all of it; and nothing that a terminal would obey. */
function checkClean(t: Test, collector: Collector): void {
  for (const [name, text] of Object.entries(outputs(collector))) {
    t.notMatch(text, CONTROL, `no control characters in ${name}`);
    t.notMatch(text, /^netwatch_fake/m);
    if (/\.(log|prom)$/.test(name)) parseExposition(text, { log: name.endsWith('.log') });
  }
}

const COMMS: readonly (readonly [given: string | Buffer, read: string])[] = [
  ['a"b\\c\nd', 'a"b\\c\nd'],
  ['\x1b[2J', '\ufffd[2J'],
  ['{}=,', '{}=,'],
  ['abcdefghijklm日', 'abcdefghijklm\ufffd'], // cut by the kernel after 15 bytes
  [Buffer.from('ff:\xff\xfe', 'latin1'), 'ff:\ufffd\ufffd'],
  ['x"} 1\nnetwatch', 'x"} 1\nnetwatch'],
  ['日本語 é', '日本語 é'],
];

// Table 34
t.test('process names are told as they are and break nothing', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ALL);
  const expected: string[] = [];
  for (const [i, [comm, read]] of COMMS.entries()) {
    const port = TCP_PORT + i;
    const server = await startProgram(namespace, 'tcp-server', { port }, { comm });
    const options = { port, connectFirst: true, close: 'hold' } as const;
    const client = await startProgram(namespace, 'tcp-client', options, { comm });
    await client.go();
    expected.push(`${server.pid} ${port} 1 ${read}`, `${client.pid} ${port} 0 ${read}`);
  }
  const found = (samples: readonly Sample[]): string[] => {
    const infos = select(samples, 'netwatch_connection_info').map(({ labels }) => {
      const { pid = '', src = '', dst = '', is_server = '', process = '' } = labels;
      const port = is_server === '1' ? portOf(src) : portOf(dst);
      return portOf(dst) === 0 ? '' : `${pid} ${port} ${is_server} ${process}`;
    });
    return [...new Set(infos.filter(Boolean))].sort();
  };
  expected.sort();
  const all = (samples: readonly Sample[]): boolean => found(samples).length >= expected.length;
  t.strictSame(found(await collector.waitFor(PROM, all, 'all in the state')), expected);
  t.strictSame(found(await collector.waitFor('connects.log', all, 'all in the log')), expected);
  t.match(await collector.stop(), { code: 0 });
  checkClean(t, collector);
});

/** One connection per request: its bytes, an answer, both as given. */
const EXCHANGE = `use strict; use warnings; use Socket qw(:all);
my ($port, $answer) = (shift, pack 'H*', shift);
socket(my $listener, AF_INET, SOCK_STREAM, 0) or die $!;
setsockopt($listener, SOL_SOCKET, SO_REUSEADDR, 1);
bind($listener, pack_sockaddr_in($port, INADDR_LOOPBACK)) or die $!;
listen($listener, 8) or die $!;
for my $request (map { chomp; pack 'H*', $_ } <STDIN>) {
  my $pid = fork // die $!;
  if (!$pid) {
    accept(my $server, $listener) or die $!;
    my $got = 0;
    while ($got < length $request) { $got += sysread($server, my $part, 1 << 20) || die $! }
    syswrite($server, $answer);
    exit;
  }
  socket(my $client, AF_INET, SOCK_STREAM, 0) or die $!;
  connect($client, pack_sockaddr_in($port, INADDR_LOOPBACK)) or die $!;
  my $sent = 0;
  $sent += syswrite($client, $request, length($request) - $sent, $sent) while $sent < length $request;
  1 while sysread($client, my $part, 1 << 20);
  waitpid $pid, 0;
  die 'server' if $?;
}`;

const latin1 = (text: string): string => Buffer.from(text, 'latin1').toString('hex');
const utf8 = (text: string): string => Buffer.from(text).toString('hex');

/** Requests, and what is shown of each. */
const REQUESTS: readonly (readonly [hex: string, shown: string | null])[] = [
  [utf8('GET /q"u\\o{}=,te HTTP/1.1\r\n\r\n'), 'GET /q"u\\o{}=,te HTTP/1.1'],
  [utf8('GET /日本 HTTP/1.1\r\nHost: x\r\n\r\n'), 'GET /日本 HTTP/1.1'],
  [latin1('GET /\xff\xfe HTTP/1.1\r\n\r\n'), 'GET /\ufffd\ufffd HTTP/1.1'],
  [utf8('GET /\x1b[2J\x07\x7f\x85 HTTP/1.1\r\n\r\n'), 'GET /\ufffd[2J\ufffd\ufffd\ufffd HTTP/1.1'],
  [utf8('GET /h HTTP/1.1\r\nX: y\r\nnetwatch_fake 1\r\n\r\n'), 'GET /h HTTP/1.1'],
  [utf8('GET /x\nnetwatch_fake 1\n HTTP/1.1\r\n\r\n'), null],
  [utf8('GET /y\rnetwatch_fake 1\r HTTP/1.1\r\n\r\n'), null],
];

const LONG = 64 << 10;
const LONGEST_SHOWN = 256;

// Table 35
t.test('HTTP bytes cannot make lines, and long ones are cut with a mark', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ALL);
  const seen = await countPackets(namespace);
  const path = (bytes: number): string => '/l0ng.'.repeat(bytes / 6);
  const long = `GET ${path(LONG - 100)} HTTP/1.1\r\n\r\n`;
  const tooLong = `GET ${path(LONG)}/too HTTP/1.1\r\n\r\n`; // more than 64 KiB are not HTTP
  const header = `GET /z HTTP/1.1\r\nX: ${'v'.repeat(LONG)}\r\n\r\n`;
  const requests = [...REQUESTS.map(([hex]) => hex), utf8(long), utf8(tooLong), utf8(header)];
  const answer = utf8('HTTP/1.1 200 O\x1b[31mK "\\\r\nContent-Length: 0\r\n\r\n');
  const input = `${requests.join('\n')}\n`;
  await namespace.exec('perl', ['-e', EXCHANGE, String(TCP_PORT), answer], { input });
  t.match(await collector.stop(), { code: 0 });
  checkClean(t, collector);
  const lines = packetLines(collector.samples('packets.log'));
  t.equal(lines.length, await seen());
  const shown = new Set(lines.map(({ http }) => http));
  for (const [, text] of REQUESTS) if (text !== null) t.ok(shown.has(text), text);
  t.ok(shown.has('GET /z HTTP/1.1'));
  t.ok(shown.has('HTTP/1.1 200 O\ufffd[31mK "\\'));
  const cut = [...shown].filter((text) => text?.startsWith('GET /l0ng.'));
  t.equal(cut.length, 1);
  t.match(cut[0], /^GET (\/l0ng\.)+[/l0ng.]*…$/);
  t.ok((cut[0]?.length ?? 0) <= LONGEST_SHOWN);
  const rows = collector.stdout().split('\n');
  t.equal(rows.length, lines.length + 2, 'one row for each packet, a header and the last end');
});

// Table 36
t.test('what happens twice is told twice, and once in the state', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const options = [...ALL, '--quiet', '--max-connections', '10000'];
  const collector = await startCollector(t, namespace, options);
  const seen = await countPackets(namespace);
  const versions = watchVersions(collector);
  const rule = dropPackets(namespace, { to: TCP_PORT, only: 'data', every: 5 });
  await runTcp(namespace, { rounds: 23 });
  t.ok(rule.dropped() > 2);
  const again = { port: 7100, localPort: 40_000, close: 'reset' } as const;
  const server = await startProgram(namespace, 'tcp-server', { port: 7100 });
  const reused = 23;
  for (let i = 0; i < reused; i++) {
    const client = await startProgram(namespace, 'tcp-client', again);
    t.equal((await client.go()).completed, 1);
    await client.stop();
  }
  await server.stop();
  t.match(await collector.stop(), { code: 0 });
  t.strictSame(versions.stop(), [], 'each version of the state passes a strict parser');
  const lines = packetLines(collector.samples('packets.log'));
  t.equal(lines.length, await seen(), 'each transmission has its line');
  const infos = select(collector.samples('connects.log'), 'netwatch_connection_info');
  const clients = infos.filter(({ labels }) => labels['src'] === '127.0.0.1:40000');
  t.equal(clients.length, reused, 'each connection has its line');
  t.equal(new Set(clients.map(({ labels }) => labels['pid'])).size, reused);
});

/** Parses every version of netwatch.prom that it sees; `stop` gives what was wrong with them. */
function watchVersions(collector: Collector): { stop(): unknown[] } {
  const problems: unknown[] = [];
  let text = '';
  const timer = setInterval(() => {
    const now = collector.read(PROM);
    if (now === text) return;
    text = now;
    try {
      parseExposition(text);
    } catch (error) {
      problems.push(error);
    }
  }, 20);
  return {
    stop: () => {
      clearInterval(timer);
      return problems;
    },
  };
}

// Table 44
t.test('secrets of HTTP reach no file and no screen', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, [...ALL, '--verbose']);
  const totals = await runHttp(namespace, {
    total: 3 * SECRET_REQUESTS.length,
    connections: 3,
    requests: SECRET_REQUESTS,
  });
  t.equal(totals.server.requests, 3 * SECRET_REQUESTS.length);
  t.match(await collector.stop(), { code: 0 });
  const all = outputs(collector);
  t.match(all['stderr'], /libbpf: /, 'it was verbose');
  for (const where of ['stdout', 'packets.log'])
    t.match(all[where], /GET \/bytes\/1\?token=\*&page=/, `requests are in ${where}`);
  for (const [kind, secret] of Object.entries(SECRETS))
    for (const [where, text] of Object.entries(all))
      t.notOk(text.includes(secret), `no ${kind} secret in ${where}`);
  t.notMatch(Object.values(all).join(''), /S3CR3T/i);
});

/** Shared by the programs below. */
const SOCKETS = `use strict; use warnings; use Socket qw(:all); $^F = 255; $| = 1;
sub name { open my $comm, '>', '/proc/self/comm' or die $!; print $comm $_[0]; close $comm }
sub listener {
  socket(my $s, AF_INET, SOCK_STREAM, 0) or die $!;
  setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1);
  bind($s, pack_sockaddr_in($_[0], INADDR_LOOPBACK)) or die $!;
  listen($s, 512) or die $!;
  return $s;
}
sub client {
  socket(my $s, AF_INET, SOCK_STREAM, 0) or die $!;
  bind($s, pack_sockaddr_in($_[1], INADDR_LOOPBACK)) or die $! if $_[1];
  connect($s, pack_sockaddr_in($_[0], INADDR_LOOPBACK)) or die $!;
  return $s;
}
`;

/** A perl program that says "go" when its sockets stand and ends when its input does. */
async function startPerl(
  t: Test,
  namespace: Namespace,
  program: string,
): Promise<{ readonly pid: number; readonly said: string; end(): Promise<void> }> {
  const child = namespace.spawn('perl', ['-e', SOCKETS + program], { stdio: 'pipe' });
  let said = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (said += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said += text));
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  t.teardown(() => child.kill('SIGKILL'));
  const ready = (): boolean => said.includes('go\n') || child.exitCode !== null;
  await until(ready, { what: 'perl is ready' });
  return {
    pid: child.pid ?? 0,
    said,
    async end() {
      child.stdin?.end();
      t.equal(await ended, 0, said);
    },
  };
}

/** Who has the client's end of the connection from `port`, wherever it is said. */
function ownersOf(samples: readonly Sample[], port: number): string[] {
  const infos = select(samples, 'netwatch_connection_info', { src: `127.0.0.1:${port}` });
  return [
    ...new Set(infos.map(({ labels }) => `${labels['pid'] ?? ''} ${labels['process'] ?? ''}`)),
  ];
}

// Table 45
t.test('a connection keeps the name it was opened under, through an exec', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ALL.concat('--quiet'));
  await startProgram(namespace, 'tcp-server', { port: TCP_PORT });
  const perl = await startPerl(
    t,
    namespace,
    `if (@ARGV) {
      open my $kept, '+<&=', $ARGV[0] or die $!;
      name('after');
      my $new = client(${TCP_PORT}, 40002);
      syswrite($_, 'x') for $kept, $new;
      sysread($_, my $byte, 1) for $kept, $new;
      print "go\\n";
      <STDIN>;
      exit;
    }
    name('before');
    my $old = client(${TCP_PORT}, 40001);
    open my $self, '<', '/proc/self/cmdline' or die $!;
    my @command = split /\\0/, join '', <$self>;
    exec @command, fileno $old;`,
  );
  const both = (all: readonly Sample[]): boolean => ownersOf(all, 40002).length > 0;
  const samples = await collector.waitFor(PROM, both, 'both connections');
  t.strictSame(ownersOf(samples, 40001), [`${perl.pid} before`]);
  t.strictSame(ownersOf(samples, 40002), [`${perl.pid} after`]);
  await perl.end();
  t.match(await collector.stop(), { code: 0 });
  const log = collector.samples('connects.log');
  t.strictSame(ownersOf(log, 40001), [`${perl.pid} before`]);
  t.strictSame(ownersOf(log, 40002), [`${perl.pid} after`]);
});

t.test('a pid that is used again does not take over connections', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ALL.concat('--quiet'));
  await startProgram(namespace, 'tcp-server', { port: TCP_PORT });
  const perl = await startPerl(
    t,
    namespace,
    `pipe(my $wait, my $hold) or die $!;
    my $first = fork // die $!;
    if (!$first) {
      close $hold;
      name('first');
      my $socket = client(${TCP_PORT}, 40001);
      exit if fork; # the child keeps the connection
      <$wait>;
      exit;
    }
    close $wait;
    waitpid $first, 0;
    my $ids = pack 'L', $first;
    my $args = pack 'Q11', 0, 0, 0, 0, 17, 0, 0, 0, unpack('Q', pack 'P', $ids), 1, 0;
    my $second = syscall 435, $args, length $args; # clone3 with set_tid: a fork with this pid
    die "clone3: $!" if $second < 0;
    if (!$second) {
      name('second');
      my $socket = client(${TCP_PORT}, 40002);
      print "$first go\\n";
      <STDIN>;
      exit;
    }
    die if $second != $first;
    waitpid $second, 0;`,
  );
  const pid = Number.parseInt(perl.said);
  let versions = 0;
  await collector.waitFor(
    PROM,
    (all) => {
      if (ownersOf(all, 40002).length === 0) return false;
      t.strictSame(ownersOf(all, 40001), [`${pid} first`]);
      t.strictSame(ownersOf(all, 40002), [`${pid} second`]);
      return ++versions > 20;
    },
    'both connections for a while',
  );
  await perl.end();
  t.match(await collector.stop(), { code: 0 });
  const log = collector.samples('connects.log');
  t.strictSame(ownersOf(log, 40001), [`${pid} first`]);
  t.strictSame(ownersOf(log, 40002), [`${pid} second`]);
});

t.test('nobody gets a connection that another one accepted too late', { skip }, async (t) => {
  const connections = 199;
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ALL.concat('--quiet'));
  const perl = await startPerl(
    t,
    namespace,
    `my $late = fork // die $!;
    if (!$late) {
      name('late');
      my $listener = listener(7001);
      my @clients = map { client(7001) } 1 .. ${connections};
      setsockopt($_, SOL_SOCKET, SO_LINGER, pack 'II', 1, 0) for @clients;
      close $_ for @clients; # reset, before anybody has accepted
      for (1 .. ${connections}) { accept(my $server, $listener) or die $! }
      exit;
    }
    waitpid $late, 0;
    name('later');
    my $listener = listener(7002);
    my @clients = map { client(7002) } 1 .. ${connections};
    my @servers = map { accept(my $server, $listener) or die $!; $server } 1 .. ${connections};
    print "go\\n";
    <STDIN>;`,
  );
  const servers = (samples: readonly Sample[]): string[] =>
    select(samples, 'netwatch_connection_info', { src: '127.0.0.1:7002', is_server: '1' }).map(
      ({ labels }) => labels['process'] ?? '',
    );
  const there = (all: readonly Sample[]): boolean => servers(all).length >= connections;
  const samples = await collector.waitFor(PROM, there, 'all connections');
  t.strictSame([...new Set(servers(samples))], ['later']);
  t.equal(hashEntries(collector.pid)['shared_accepted'], 0, 'nothing waits for the next one');
  await perl.end();
  t.match(await collector.stop(), { code: 0 });
  t.strictSame([...new Set(servers(collector.samples('connects.log')))], ['later']);
});

// Table 46: steps of the clock are tested on a fake one (engine.test.ts).
t.test('times are those of this host, also in a time namespace', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const day = '86400';
  const wrappers = [[], ['unshare', '--time', '--monotonic', day, '--boottime', day]];
  for (const wrapper of wrappers) {
    const startMs = Date.now();
    const options = { wrapper, dataFolder: temporaryFolder(t) };
    const collector = await startCollector(t, namespace, ALL.concat('--quiet'), options);
    await runTcp(namespace, { rounds: 11, connections: 3, pauseMs: 2 });
    const lines = (): Sample[] => [...collector.samples('connects.log')];
    const last = (all: readonly Sample[]): boolean =>
      select(all, 'netwatch_connection_duration_seconds').length === 6;
    await collector.waitFor('connects.log', last, 'all have closed');
    t.match(await collector.stop(), { code: 0 });
    const endMs = Date.now();
    const durations = select(lines(), 'netwatch_connection_duration_seconds');
    t.ok(durations.every(({ value }) => value > 0 && value < (endMs - startMs) / 1000));
    const packets = packetLines(collector.samples('packets.log')); // throws at a negative time
    const stamps = [...lines(), ...packets].map(({ timestampMs }) => timestampMs ?? NaN);
    t.ok(stamps.length > 100);
    t.ok(
      stamps.every((stamp) => stamp >= startMs - 1 && stamp <= endMs),
      `${Math.min(...stamps) - startMs} ms after the start, ${endMs - Math.max(...stamps)} before the end`,
    );
  }
});
