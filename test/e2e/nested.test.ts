// Connections on a CPU that is interrupted all the time: the programs that count them are at work for one
// when the next event comes.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { startCollector, temporaryFolder, type Collector } from '../support/collector.js';
import { compile } from '../support/compile.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { receiveOn } from '../support/rps.js';
import { losses, total } from '../support/samples.js';
import { needsCommands, needsRoot, unless } from '../support/skip.js';
import { untilWhole } from '../support/tries.js';

const PORTS = [7101, 7102] as const;
const SECONDS = 3;
const load = compile(join(import.meta.dirname, '../../scripts/bench/load.c'), temporaryFolder(t));
const skip =
  needsRoot ||
  needsCommands('bpftool', 'unshare') ||
  unless(cpus().length > 1, 'one CPU is not interrupted by another') ||
  (load === null && 'no C compiler (cc or clang) on this machine');

/** Short connections to both ports, as many as go; how many there were. */
async function connectAll(namespace: Namespace, folder: string): Promise<number> {
  const run = async (port: number): Promise<number> => {
    const args = ['churn', String(port), String(SECONDS), '0', '1000000', join(folder, `${port}`)];
    const said = await namespace.exec(load ?? '', args, { timeoutMs: 60_000 });
    return Number(/^done (\d+)/m.exec(said)?.[1]);
  };
  const counts = await Promise.all(PORTS.map(run));
  return counts.reduce((sum, count) => sum + count, 0);
}

interface KernelProgram {
  readonly id: number;
  readonly name?: string;
  readonly recursion_misses?: number;
}

/** Numbers of the BPF programs that a process holds. */
function programsOf(pid: number): Set<number> {
  const folder = `/proc/${pid}/fdinfo`;
  const texts = readdirSync(folder).map((fd) => readFileSync(join(folder, fd), 'latin1'));
  return new Set(texts.map((text) => Number(/^prog_id:\s*(\d+)/m.exec(text)?.[1])));
}

/** How often the kernel left a program of this process out because it was at work, as bpftool tells. */
function leftOut(pid: number, name: string): number {
  const own = programsOf(pid);
  const said = execFileSync('bpftool', ['-j', 'prog', 'show'], { maxBuffer: 1 << 26 });
  return (JSON.parse(String(said)) as KernelProgram[])
    .filter((program) => program.name === name && own.has(program.id))
    .reduce((sum, { recursion_misses: misses = 0 }) => sum + misses, 0);
}

interface Found {
  readonly connections: number;
  readonly leftOut: number;
  readonly closed: Record<'client' | 'server', number>;
  readonly lost: Record<string, number>;
}

const closedEnds = (collector: Collector): Found['closed'] => {
  const samples = collector.samples('netwatch.prom');
  const of = (role: string): number =>
    total(samples, 'netwatch_tcp_connection_duration_seconds_count', {
      network_tcp_handshake_role: role,
    });
  return { client: of('client'), server: of('server') };
};

for (const options of [['-q'], ['-q', '-t', '-i']])
  t.test(`no end of a connection is missed (${options.join(' ')})`, { skip }, async (t) => {
    const found = await untilWhole(
      t,
      async (t): Promise<Found> => {
        const namespace = createNamespace(t);
        receiveOn(namespace, 1);
        const collector = await startCollector(t, namespace, [
          ...options,
          ...['--packets', 'none', '--ring', '134217728'],
        ]);
        const connections = await connectAll(namespace, collector.dataFolder);
        const misses = leftOut(collector.pid, 'inet_sock_set_state');
        await collector.stop('SIGINT', 60_000);
        const lost = losses(collector.samples('netwatch.prom'));
        return { connections, leftOut: misses, closed: closedEnds(collector), lost };
      },
      ({ connections, closed }) => closed.client === connections && closed.server === connections,
    );
    const { connections, closed, lost } = found;
    t.comment(`${connections} connections, left out ${found.leftOut} times`);
    t.ok(connections > 1000, 'the load was one');
    t.ok(found.leftOut > 0, 'the kernel did leave the program out');
    t.strictSame(closed, { client: connections, server: connections });
    t.strictSame(lost, {}, 'and nothing is said to be lost');
  });
