/** Packets faster than a Node program sends them: ping-pong of single bytes by perl, exactly counted. */
import type { Namespace, Teardown } from './netns.js';
import { until } from './wait.js';

export interface BlastOptions {
  /** Of its server; each blast of a namespace needs its own. */
  readonly port: number;
  /** Round trips; default: until `stop`, at most five minutes. */
  readonly rounds?: number;
  /** Round trips per second; default as fast as they go (about 50,000). */
  readonly rate?: number;
  /** Both ends run on this CPU only. */
  readonly cpu?: number;
  /** What the client sends is stamped to leave so much later, as pacing does it (TCP_TX_DELAY). */
  readonly delayUs?: number;
}

export interface Blast {
  /** The work is done when it ends; how many round trips it was. */
  readonly done: Promise<number>;
  /** Ends it after the round trip that is under way. */
  stop(): Promise<number>;
}

/** Segments of one round trip that are seen: each of the two is sent and received. */
export const SEGMENTS_PER_ROUND = 4;

/** Both ends on one connection; prints "go" when it stands and at the end the number of rounds. */
const PING_PONG = `use strict; use warnings; use Socket qw(:all); use Time::HiRes qw(time sleep);
my ($port, $rounds, $rate, $delay) = @ARGV;
my $where = pack_sockaddr_in($port, INADDR_LOOPBACK);
socket(my $listener, AF_INET, SOCK_STREAM, 0) or die $!;
setsockopt($listener, SOL_SOCKET, SO_REUSEADDR, 1);
bind($listener, $where) or die $!;
listen($listener, 8) or die $!;
my $pid = fork // die $!;
my $byte;
if (!$pid) {
  $SIG{TERM} = 'IGNORE';
  accept(my $server, $listener) or die $!;
  setsockopt($server, IPPROTO_TCP, TCP_NODELAY, 1);
  syswrite($server, $byte) while sysread($server, $byte, 1);
  exit;
}
my $over = 0;
$SIG{TERM} = sub { $over = 1 };
socket(my $client, AF_INET, SOCK_STREAM, 0) or die $!;
connect($client, $where) or die $!;
setsockopt($client, IPPROTO_TCP, TCP_NODELAY, 1);
!$delay or setsockopt($client, IPPROTO_TCP, 37, pack('i', $delay)) or die $!;
syswrite(STDOUT, "go\\n");
my $n = 0;
my $start = time;
while (!$over && $n < $rounds && time - $start < 300) {
  my $due = $rate ? int((time - $start) * $rate) + 1 : $n + 64;
  $due = $rounds if $due > $rounds;
  while ($n < $due && !$over) {
    syswrite($client, 'x');
    1 until sysread($client, $byte, 1);
    $n++;
  }
  sleep(0.001) if $rate;
}
close $client;
waitpid $pid, 0;
syswrite(STDOUT, "$n\\n");`;

const WITHOUT_END = 2 ** 31;

/** Starts it and returns when its connection stands. */
export async function startBlast(
  t: Teardown,
  namespace: Namespace,
  { port, rounds = WITHOUT_END, rate = 0, cpu, delayUs = 0 }: BlastOptions,
): Promise<Blast> {
  const numbers = [port, rounds, rate, delayUs].map(String);
  const pin = cpu === undefined ? [] : ['taskset', '-c', String(cpu)];
  const [command = '', ...args] = [...pin, 'perl', '-e', PING_PONG, ...numbers];
  const child = namespace.spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  let errors = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (said += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const done = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => {
      const count = /^go\n(\d+)\n$/.exec(said)?.[1];
      if (count === undefined) reject(new Error(`the blast failed: ${said}${errors}`));
      else resolve(Number(count));
    });
  });
  done.catch(() => undefined); // whoever waits is told
  t.teardown(() => child.kill('SIGKILL'));
  await until(() => said !== '' || child.exitCode !== null, { what: 'the blast runs', everyMs: 2 });
  return {
    done,
    stop: () => {
      child.kill('SIGTERM');
      return done;
    },
  };
}

/** Runs one from start to end; the number of its rounds. */
export async function blast(
  t: Teardown,
  namespace: Namespace,
  options: BlastOptions & { readonly rounds: number },
): Promise<number> {
  return (await startBlast(t, namespace, options)).done;
}
