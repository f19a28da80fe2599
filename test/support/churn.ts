/** Connections that come and go by the thousand, by perl; exactly counted. */
import type { Namespace, Teardown } from './netns.js';
import { until } from './wait.js';

export interface ChurnOptions {
  readonly port: number;
  readonly connections: number;
  /** Connections per second; default as fast as they go (about 10,000). */
  readonly rate?: number;
  /** Each n-th ends by a reset instead of a FIN; 0: none. Default 2. */
  readonly resetEvery?: number;
}

/** One client, one server; each connection carries one byte, and the next begins when it is over. */
const CHURN = `use strict; use warnings; use Socket qw(:all); use Time::HiRes qw(time sleep);
my ($port, $connections, $rate, $reset_every) = @ARGV;
my $where = pack_sockaddr_in($port, INADDR_LOOPBACK);
socket(my $listener, AF_INET, SOCK_STREAM, 0) or die $!;
setsockopt($listener, SOL_SOCKET, SO_REUSEADDR, 1);
bind($listener, $where) or die $!;
listen($listener, 128) or die $!;
my $pid = fork // die $!;
my $byte;
if (!$pid) {
  for (1 .. $connections) {
    accept(my $server, $listener) or die $!;
    1 while sysread($server, $byte, 1);
    close $server;
  }
  exit;
}
syswrite(STDOUT, "go\\n");
my $start = time;
for my $n (1 .. $connections) {
  sleep(0.001) while $rate && $n > (time - $start) * $rate;
  socket(my $client, AF_INET, SOCK_STREAM, 0) or die $!;
  connect($client, $where) or die $!;
  syswrite($client, 'x');
  setsockopt($client, SOL_SOCKET, SO_LINGER, pack('II', 1, 0)) if $reset_every && $n % $reset_every == 0;
  close $client;
}
waitpid $pid, 0;
exit($? >> 8);`;

/** Starts it; the promise of the promise: connections begin, and all are over. */
export async function startChurn(
  t: Teardown,
  namespace: Namespace,
  { port, connections, rate = 0, resetEvery = 2 }: ChurnOptions,
): Promise<{ readonly done: Promise<void> }> {
  const numbers = [port, connections, rate, resetEvery].map(String);
  const child = namespace.spawn('perl', ['-e', CHURN, ...numbers], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (said += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said += text));
  const done = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`the churn failed: ${said}`));
    });
  });
  done.catch(() => undefined); // whoever waits is told
  t.teardown(() => child.kill('SIGKILL'));
  await until(() => said !== '' || child.exitCode !== null, { what: 'the churn runs', everyMs: 2 });
  return { done };
}

/** Runs one from start to end. */
export async function churn(
  t: Teardown,
  namespace: Namespace,
  options: ChurnOptions,
): Promise<void> {
  await (
    await startChurn(t, namespace, options)
  ).done;
}
