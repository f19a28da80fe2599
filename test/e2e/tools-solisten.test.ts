// solisten against calls of listen() that are known one by one: those that succeed, those that fail, those
// on a socket that listens already, and backlogs beyond what the kernel allows.
import t from 'tap';
import { createNamespace, type Namespace } from '../support/netns.js';
import { needsRoot } from '../support/skip.js';
import { startTool } from '../support/tool.js';
import { startProgram } from '../support/traffic.js';
import { until } from '../support/wait.js';

const skip = needsRoot;

/** net.core.somaxconn of the namespace. */
const MOST = 77;

const LIMITED = { sysctls: { 'core/somaxconn': MOST } };

/**
 * Calls of listen(), by perl, which is one process of one thread. Prints its pid and the port that
 * the kernel chose for the socket that was not bound.
 */
const CALLS = `use Socket qw(:all);
sub tcp { socket(my $s, $_[0], SOCK_STREAM, 0) or die $!; setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1); $s }
sub v4 { my ($host, $port) = @_; my $s = tcp(AF_INET); bind($s, pack_sockaddr_in($port, inet_aton($host))) or die $!; $s }
sub v6 { my ($host, $port) = @_; my $s = tcp(AF_INET6); bind($s, pack_sockaddr_in6($port, inet_pton(AF_INET6, $host))) or die $!; $s }
my $one = v4('127.0.0.1', 7001);
my $two = v4('127.0.0.1', 7001);
listen($one, 5);
listen($one, 12);
listen($two, 9);
my $six = v6('::1', 7002); listen($six, 1000);
my $any = v6('::', 7003); listen($any, -1);
my $mapped = v6('::ffff:127.0.0.1', 7004); listen($mapped, 0);
my $unbound = tcp(AF_INET); listen($unbound, 3);
my ($port) = unpack_sockaddr_in(getsockname($unbound));
socket(my $udp, AF_INET, SOCK_DGRAM, 0); listen($udp, 4);
socket(my $unix, AF_UNIX, SOCK_STREAM, 0); bind($unix, pack_sockaddr_un("\\0nwtest-$$")); listen($unix, 4);
print "$$ $port\\n";`;

async function call(namespace: Namespace): Promise<readonly [pid: number, port: number]> {
  const [pid, port] = (await namespace.exec('perl', ['-'], { input: CALLS }))
    .split(' ')
    .map(Number);
  return [pid ?? 0, port ?? 0];
}

t.test(
  'each call of listen() on TCP is told, with the backlog that counts',
  { skip },
  async (t) => {
    const namespace = createNamespace(t, LIMITED);
    const tool = await startTool(t, namespace, 'solisten', ['-o', 'json']);
    const [pid, port] = await call(namespace);
    t.strictSame(await tool.stop(), { code: 0, signal: null });
    const v4 = { network_type: 'ipv4', network_local_address: '127.0.0.1', error: null };
    const v6 = { network_type: 'ipv6', error: null };
    const wanted = [
      { ...v4, network_local_port: 7001, backlog: 5, backlog_requested: 5 },
      { ...v4, network_local_port: 7001, backlog: 12, backlog_requested: 12 },
      { ...v4, network_local_port: 7001, backlog: 9, error: 'EADDRINUSE' },
      { ...v6, network_local_address: '::1', network_local_port: 7002, backlog: MOST },
      { ...v6, network_local_address: '::', network_local_port: 7003, backlog: MOST },
      { ...v4, network_local_port: 7004, backlog: 0, backlog_requested: 0 },
      { ...v4, network_local_address: '0.0.0.0', network_local_port: port, backlog: 3 },
    ];
    const found = tool.objects();
    t.equal(found.length, wanted.length, 'no other socket');
    for (const [i, row] of found.entries())
      t.match(row, { pid, process: 'perl', netns: namespace.inode, ...wanted[i] }, `call ${i}`);
    t.match(found[3], { backlog_requested: 1000 });
    t.match(found[4], { backlog_requested: -1 }, 'as many as there may be');
  },
);

t.test('what solisten says is what ss says of the socket', { skip }, async (t) => {
  const namespace = createNamespace(t, LIMITED);
  const tool = await startTool(t, namespace, 'solisten', ['-o', 'json']);
  for (const backlog of [3, 500]) {
    const server = await startProgram(namespace, 'tcp-server', { port: 7001, backlog });
    const [, , limit] = (await namespace.exec('ss', ['-Hltn', 'sport', '=', ':7001'])).split(/ +/);
    await server.stop();
    t.equal(Number(limit), Math.min(backlog, MOST));
  }
  await tool.stop();
  t.strictSame(
    tool.objects().map(({ backlog }) => backlog),
    [3, MOST],
  );
});

t.test("the columns are bcc's, or with --ret those of libbpf-tools", { skip }, async (t) => {
  const namespace = createNamespace(t);
  const linesOf = async (...args: string[]): Promise<string[]> => {
    const tool = await startTool(t, namespace, 'solisten', args);
    const server = await startProgram(namespace, 'tcp-server', { port: 7001, backlog: 6 });
    await server.stop();
    await tool.stop();
    return tool.lines().map((line) => line.replaceAll(String(server.pid).padEnd(7), 'PID....'));
  };
  const address = '127.0.0.1'.padEnd(39);
  t.strictSame(await linesOf(), [
    `PID     COMM         PROTO  BACKLOG  PORT  ${'ADDR'.padEnd(39)}`,
    `PID.... node         TCPv4  6        7001  ${address}`,
  ]);
  t.strictSame(await linesOf('--show-netns'), [
    `PID     COMM         NETNS        PROTO  BACKLOG  PORT  ${'ADDR'.padEnd(39)}`,
    `PID.... node         ${String(namespace.inode).padEnd(12)} TCPv4  6        7001  ${address}`,
  ]);
  t.strictSame(await linesOf('--ret'), [
    `PID     COMM             RET BACKLOG PROTO PORT  ${'ADDR'.padEnd(32)}`,
    `PID.... node             0   6       TCPv4 7001  ${'127.0.0.1'.padEnd(32)}`,
  ]);
  const [head, row] = await linesOf('-t');
  t.match(head, /^TIME\(s\) {2}PID {5}COMM/);
  t.match(row, /^\d\d:\d\d:\d\d PID\.\.\.\. node/);
});

t.test('each option of solisten lets through what it says', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const other = createNamespace(t);
  const tools = await Promise.all(
    [
      ['-n', other.name],
      ['-n', `${other.inode},${namespace.inode}`],
      ['--port', '7002,7003'],
      ['-p', '1'],
    ].map((args) => startTool(t, namespace, 'solisten', ['-o', 'json', ...args])),
  );
  await call(namespace);
  await call(other);
  await Promise.all(tools.map((tool) => tool.stop()));
  t.strictSame(
    tools.map((tool) => tool.objects().length),
    // startTool names the first namespace already, and -n adds to it
    [14, 14, 2, 0],
  );
});

/** Calls listen() when it is told to. */
const WAITS = `use Socket; socket(my $s, AF_INET, SOCK_STREAM, 0);
$| = 1; print "ready\n"; <STDIN>; listen($s, 5); print "done\n"`;

t.test('processes are picked by their numbers', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const started = [1, 2, 3].map(() => namespace.spawn('perl', ['-e', WAITS]));
  t.teardown(() => started.forEach((child) => child.kill()));
  const said: string[] = [];
  for (const { stdout } of started)
    stdout?.setEncoding('utf8').on('data', (text: string) => said.push(text.trim()));
  await until(() => said.join() === 'ready,ready,ready', { what: 'all three wait' });
  const picked = started.slice(1).map(({ pid }) => pid);
  const tool = await startTool(t, namespace, 'solisten', ['-o', 'json', '-p', picked.join(',')]);
  for (const { stdin } of started) stdin?.end('\n');
  await until(() => said.length === 6, { what: 'all have called' });
  await tool.stop();
  const found = tool.objects().map(({ pid }) => pid);
  t.strictSame(new Set(found), new Set(picked));
});

/** Prints its pid; dies where the kernel has no MPTCP. */
const MPTCP = `use Socket; socket(my $s, AF_INET, SOCK_STREAM, 262) or die "no MPTCP\\n";
bind($s, pack_sockaddr_in(7005, inet_aton('127.0.0.1'))) or die $!; listen($s, 8) or die $!; print $$`;

t.test('who listens for MPTCP listens for TCP', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const tool = await startTool(t, namespace, 'solisten', ['-o', 'json']);
  const said = await namespace.exec('perl', ['-e', MPTCP]).catch((error: unknown) => String(error));
  await tool.stop();
  if (/no MPTCP/.test(said)) {
    t.pass('this kernel has no MPTCP');
    return;
  }
  const [row, ...rest] = tool.objects();
  t.match(row, { pid: Number(said), network_local_port: 7005, backlog: 8, network_type: 'ipv4' });
  t.strictSame(rest, []);
});
