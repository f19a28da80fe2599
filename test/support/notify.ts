/** A service manager for tests: hears what a service says through its NOTIFY_SOCKET. */
import { spawn } from 'node:child_process';
import { chmodSync } from 'node:fs';
import type { Teardown } from './netns.js';
import { until } from './wait.js';

/** Node.js has no datagram sockets of the Unix kind; perl has. Prints each datagram, then a line `.` */
const LISTEN = `use Socket; my $name = shift; $name =~ s/^@/\\0/; $| = 1;
socket(my $socket, AF_UNIX, SOCK_DGRAM, 0) or die $!;
bind($socket, pack_sockaddr_un($name)) or die $!;
print "listening\\n.\\n";
while (defined recv($socket, my $message, 65536, 0)) { print "$message.\\n" }`;

export interface Manager {
  /** What was said, in order; each as its lines. */
  said(): readonly (readonly string[])[];
  /** Waits until a line has come `times` times. */
  hears(line: string, times?: number): Promise<void>;
}

/** Listens at a path, or at an abstract name (`@x`); `wrapper`: where, as a command that runs it. */
export async function startManager(
  t: Teardown,
  address: string,
  wrapper: readonly string[] = [],
): Promise<Manager> {
  const line = [...wrapper, 'perl', '-e', LISTEN, address];
  const child = spawn(line[0] ?? '', line.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part));
  const all = (): string[][] =>
    text
      .split('\n.\n')
      .slice(0, -1)
      .map((message) => message.split('\n'));
  await until(() => all().length > 0, { what: 'the manager listens' });
  if (address.startsWith('/')) chmodSync(address, 0o777);
  const said = (): string[][] => all().slice(1);
  return {
    said,
    async hears(line, times = 1) {
      const heard = (): boolean =>
        said().filter((message) => message.includes(line)).length >= times;
      await until(heard, { what: `the manager hears ${line} ${times} times` });
    },
  };
}
