// A reader that sleeps until a record comes is woken by each, however closely its falling asleep and the
// record meet; without the longest sleep, which would hide a wake-up that is missing.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { RingSleep } from '../../src/kernel/ring-sleep.js';
import { withDeadline } from '../../src/sinks/deadline.js';
import { ConnectionSource } from '../../src/sources/connection.js';
import { NO_FILTER } from '../../src/sources/filter.js';
import { createNamespace } from '../support/netns.js';
import { needsRoot } from '../support/skip.js';

const NEVER = -1;
const DEADLINE_MS = 30_000;

/** Makes a connection to itself and closes both ends, for each line it reads. */
const CONNECT = `use strict; use warnings; use Socket qw(:all);
$| = 1;
my $where = pack_sockaddr_in(7001, INADDR_LOOPBACK);
socket(my $listener, AF_INET, SOCK_STREAM, 0) or die $!;
bind($listener, $where) or die $!;
listen($listener, 8) or die $!;
while (<STDIN>) {
  socket(my $client, AF_INET, SOCK_STREAM, 0) or die $!;
  connect($client, $where) or die $!;
  accept(my $server, $listener) or die $!;
  close($client);
  close($server);
  print "done\\n";
}`;

t.test('each record wakes a reader that sleeps', { skip: needsRoot }, async (t) => {
  const namespace = createNamespace(t);
  const source = new ConnectionSource({
    filter: { ...NO_FILTER, namespaces: [namespace.inode] },
    retrans: false,
    ring: { bytes: 1 << 16, loseEvery: 0 },
  });
  const sleep = new RingSleep([source.source], NEVER);
  t.teardown(() => {
    sleep.close();
    source.source.close();
  });
  const peer = namespace.spawn('perl', ['-e', CONNECT], { stdio: ['pipe', 'pipe', 'inherit'] });
  let sleeps = 0;
  let closed = 0;
  const read = (): void => {
    source.drain((record) => {
      if (record.kind === 'close') closed++;
    });
  };
  const woken = (): Promise<void> =>
    new Promise((resolve) => {
      sleeps++;
      sleep.begin(resolve);
    });
  const connections = 500;
  for (let i = 1; i <= connections; i++) {
    peer.stdin?.write('\n');
    // the reader falls asleep at another moment of what happens each time
    const until = performance.now() + (i % 50) / 250;
    while (performance.now() < until);
    read();
    while (closed < 2 * i) {
      if (!(await withDeadline(woken(), DEADLINE_MS))) {
        t.fail(`asleep after ${closed} of ${2 * i} ends and ${sleeps} sleeps`);
        peer.kill();
        return;
      }
      read();
    }
  }
  t.equal(closed, 2 * connections);
  t.ok(sleeps > 0, 'it did sleep');
  t.comment(`${sleeps} sleeps`);
  peer.stdin?.end();
});

t.test('a sleep does not keep the process from ending', { skip: needsRoot }, async (t) => {
  const module = join(import.meta.dirname, '../../src/kernel/ring-sleep.ts');
  const script = `
    const { RingSleep } = await import(${JSON.stringify(module)});
    new RingSleep([], ${NEVER}).begin(() => undefined);
    setImmediate(() => process.exit(7));`;
  const args = [...process.execArgv, '--input-type=module', '-e', script];
  const ended = promisify(execFile)(process.execPath, args, { timeout: 30_000 });
  await t.rejects(ended, { code: 7 });
});
