/** Passes descriptors through a unix socket, by perl and bare system calls, and says which. */
import { createInterface } from 'node:readline';
import type { Namespace } from './netns.js';

/** Numbers of system calls. */
const CALLS: Readonly<Record<string, readonly number[]>> = {
  x64: [46, 47, 307, 299],
  arm64: [211, 212, 269, 243],
};

/**
 * sendmsg, recvmsg, sendmmsg, recvmmsg as in C. `hold` must live as long as the pointers to it.
 * What is done is printed as JSON: who, through which sockets, which files.
 */
const PROGRAM = `use Socket;
my ($way, $count, $sendmsg, $recvmsg, $sendmmsg, $recvmmsg) = @ARGV;
$| = 1;
print "ready\\n"; <STDIN>;
socketpair(my $left, my $right, AF_UNIX, SOCK_SEQPACKET, 0) or die $!;
open(my $file, '<', '/proc/self/exe') or die $!;
pipe(my $out, my $in) or die $!;
my @files = map { fileno $_ } ($file, $out, $left);
my @sent = map { $files[$_ % 3] } 0 .. $count - 1;
my @hold;
sub keep { push @hold, $_[0]; unpack 'Q', pack('P', $hold[-1]) }
# a message with one byte of data, and a control message before which another one stands
sub message {
  my ($control) = @_;
  my $vector = keep(pack('QQ', keep('x'), 1));
  pack('QQQQQQQ', 0, 0, $vector, 1, keep($control), length $control, 0);
}
sub rights { my $c = pack('QLLl*', 16 + 4 * @_, 1, 1, @_); $c . "\\0" x (-length($c) % 8) }
my $credentials = pack('QLLLLL', 28, 1, 2, $$, $<, 0 + $() . "\\0" x 4;
my $room = "\\0" x 2048;
if ($way eq 'many') {
  my $out = message(rights(@sent)) . pack('Q', 0) . message(rights($sent[0])) . pack('Q', 0);
  syscall($sendmmsg, fileno $left, $out, 2, 0) == 2 or die "sendmmsg: $!";
  my $in = message($room) . pack('Q', 0) . message($room . '') . pack('Q', 0);
  syscall($recvmmsg, fileno $right, $in, 2, 0, 0) == 2 or die "recvmmsg: $!";
} elsif ($way eq 'lots') {
  my $out = join '', map { message(rights(@sent)) . pack('Q', 0) } 1 .. 40;
  syscall($sendmmsg, fileno $left, $out, 40, 0) == 40 or die "sendmmsg: $!";
} elsif ($way eq 'fails') {
  my $out = message(rights(@sent, 9999));
  syscall($sendmsg, fileno $left, $out, 0) < 0 or die 'it was sent';
  my $plain = message($credentials);
  syscall($sendmsg, fileno $left, $plain, 0) == 1 or die "sendmsg: $!";
} else {
  my $out = message($credentials . rights(@sent));
  syscall($sendmsg, fileno $left, $out, 0) == 1 or die "sendmsg: $!";
  my $in = message($room);
  syscall($recvmsg, fileno $right, $in, 0) == 1 or die "recvmsg: $!";
}
sub name { readlink "/proc/self/fd/$_[0]" }
my $list = join ',', @sent;
my $names = join ',', map { '"' . name($_) . '"' } @files;
my ($l, $r) = map { '[' . fileno($_) . ',"' . name(fileno $_) . '"]' } ($left, $right);
print qq({"pid":$$,"sent":[$list],"names":[$names],"left":$l,"right":$r}\\n);
<STDIN>;`;

/** What a process has done. */
export interface Passed {
  readonly pid: number;
  /** Numbers of the files that were sent. */
  readonly sent: readonly number[];
  /** Names of the three files that `sent` is made of: a file, a pipe, the socket itself. */
  readonly names: readonly string[];
  /** The socket that sent, and the one that received: descriptor and name. */
  readonly left: readonly [number, string];
  readonly right: readonly [number, string];
}

/**
 * one: sendmsg() and recvmsg(); many: sendmmsg() and recvmmsg(); lots: one sendmmsg() of 40 messages, each
 * with all of them; fails: what passes nothing.
 */
export type Way = 'one' | 'many' | 'lots' | 'fails';

export interface Passer {
  readonly pid: number;
  /** Passes `count` descriptors; what is passed stays open until `end`. */
  pass(): Promise<Passed>;
  end(): Promise<void>;
}

/** Starts a process that passes descriptors to itself when it is told to. */
export async function startPasser(namespace: Namespace, way: Way, count: number): Promise<Passer> {
  const numbers = CALLS[process.arch];
  if (!numbers) throw new Error(`numbers of system calls on ${process.arch} are not known`);
  const args = ['-e', PROGRAM, way, String(count), ...numbers.map(String)];
  const child = namespace.spawn('perl', args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const { stdin, stdout, pid } = child;
  if (!stdin || !stdout || pid === undefined) throw new Error('cannot start perl');
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  const line = async (): Promise<string> => String((await lines.next()).value);
  const ended = new Promise((resolve) => child.once('exit', resolve));
  if ((await line()) !== 'ready') throw new Error('perl has ended');
  return {
    pid,
    pass: async () => {
      stdin.write('\n');
      return JSON.parse(await line()) as Passed;
    },
    end: async () => {
      stdin.end();
      await ended;
    },
  };
}
