// Connections on a CPU that is interrupted all the time: the programs that count them are at work for one
// when the next event comes.
import { cpus } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { heldPrograms } from '../support/bpf.js';
import { startCollector, temporaryFolder } from '../support/collector.js';
import { compile } from '../support/compile.js';
import { createNamespace, type Namespace, type Teardown } from '../support/netns.js';
import { receiveOn } from '../support/rps.js';
import { losses, total, type Sample } from '../support/samples.js';
import { needsCommands, needsRoot, unless } from '../support/skip.js';
import { untilWhole } from '../support/tries.js';

const PORTS = [7101, 7102] as const;
/** Of each port, in a round. */
const CONNECTIONS = 500;
const MOST_ROUNDS = 80;
const load = compile(join(import.meta.dirname, '../../scripts/bench/load.c'), temporaryFolder(t));
const skip =
  needsRoot ||
  needsCommands('bpftool', 'unshare') ||
  unless(cpus().length > 1, 'one CPU is not interrupted by another') ||
  (load === null && 'no C compiler (cc or clang) on this machine');

/** Short connections to both ports, as fast as they go. */
async function connectAll(namespace: Namespace, folder: string): Promise<void> {
  const run = (port: number): Promise<string> => {
    const args = ['churn', String(port), '60', '0', String(CONNECTIONS), join(folder, `${port}`)];
    return namespace.exec(load ?? '', args, { timeoutMs: 120_000 });
  };
  await Promise.all(PORTS.map(run));
}

/** How often the kernel left a program of this process out because it was at work. */
const leftOut = (pid: number, name: string): number =>
  heldPrograms(pid)
    .filter((program) => program.name === name)
    .reduce((sum, { recursion_misses: misses = 0 }) => sum + misses, 0);

interface Found {
  readonly connections: number;
  readonly leftOut: number;
  readonly closed: Record<'client' | 'server', number>;
  /** What the kernel has left out for good; a ring may be full, the totals do not mind. */
  readonly lost: Record<string, number>;
}

const closedEnds = (samples: readonly Sample[]): Found['closed'] => {
  const of = (role: string): number =>
    total(samples, 'netwatch_tcp_connection_duration_seconds_count', {
      network_tcp_handshake_role: role,
    });
  return { client: of('client'), server: of('server') };
};

/** Connections until the kernel has left a program out at least once. */
async function interrupt(t: Teardown, options: readonly string[]): Promise<Found> {
  const namespace = createNamespace(t);
  receiveOn(namespace, 1);
  const collector = await startCollector(t, namespace, [
    ...options,
    ...['--packets', 'none', '--ring', '134217728'],
  ]);
  let [rounds, misses] = [0, 0];
  while (misses === 0 && rounds < MOST_ROUNDS) {
    await connectAll(namespace, collector.dataFolder);
    rounds++;
    misses = leftOut(collector.pid, 'inet_sock_set_state');
  }
  await collector.stop('SIGINT');
  const samples = collector.samples('netwatch.prom');
  const connections = rounds * PORTS.length * CONNECTIONS;
  const lost = Object.fromEntries(
    Object.entries(losses(samples)).filter(([where]) => where.endsWith(' recursion')),
  );
  return { connections, leftOut: misses, closed: closedEnds(samples), lost };
}

/** False: less than there was, and nothing said to be lost. */
const isTold = ({ connections, closed, lost }: Found): boolean =>
  Object.keys(lost).length > 0 || Math.min(closed.client, closed.server) >= connections;

for (const options of [['-q'], ['-q', '-t', '-i']])
  t.test(`no end of a connection is missed (${options.join(' ')})`, { skip }, async (t) => {
    const found = await untilWhole(t, (t) => interrupt(t, options), isTold);
    const { connections, closed, lost } = found;
    t.comment(`${connections} connections, left out ${found.leftOut} times`);
    t.ok(found.leftOut > 0, 'the kernel did leave the program out');
    t.strictSame(closed, { client: connections, server: connections });
    t.strictSame(lost, {}, 'and nothing is said to be lost');
  });
