/**
 * What a program costs, as the kernel counts it (BPF_ENABLE_STATS), beside an empty program at the
 * same hook in the same run: the statistics themselves cost two clock readings per run.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { libbpf } from '../../src/kernel/libbpf.js';
import { openCgroupRoot } from '../../src/kernel/host.js';
import { BpfObject } from '../../src/kernel/object.js';
import { programInfo } from '../../src/kernel/program-info.js';
import { CACHE, ROOT } from './lab.js';
import type { Hook } from './table.js';
import { programsOf, type RunCount } from './process.js';

const OBJECT = join(CACHE, 'twin.bpf.o');
const BPF_STATS_RUN_TIME = 0;

/** Name and section of every program in netwatch's objects that hangs on a hook. */
function hooks(): Map<string, string> {
  const names = readdirSync(join(ROOT, 'bpf')).filter((name) => name.endsWith('.bpf.o'));
  const programs = names.flatMap((name) => {
    const object = BpfObject.open(join(ROOT, 'bpf', name));
    const found = object.programs.map(
      ({ name: program, section }) => [program, section.replace('?', '')] as const,
    );
    object.close();
    return found;
  });
  return new Map(programs.filter(([, section]) => !section.startsWith('iter/')));
}

let isCompiled = false;

/** Once in a run: the hooks do not change meanwhile. */
function compile(): void {
  if (isCompiled) return;
  const lines = [...hooks()].map(([name, section]) =>
    section.startsWith('cgroup')
      ? `CGROUP_HOOK(${name}, "${section}")`
      : `HOOK(${name}, "${section}")`,
  );
  writeFileSync(join(CACHE, 'hooks.h'), `${lines.join('\n')}\n`);
  const source = join(import.meta.dirname, 'twin.bpf.c');
  const flags = ['-g', '-O2', '-target', 'bpf', '-Wall', '-Werror', `-I${CACHE}`];
  execFileSync(process.env['CLANG'] ?? 'clang', [...flags, '-c', source, '-o', OBJECT]);
  isCompiled = true;
}

/** Names by id of the programs in the kernel. */
function programNames(): Map<number, string> {
  const json = execFileSync('bpftool', ['-j', 'prog', 'show'], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  const list = JSON.parse(json) as readonly { readonly id: number; readonly name?: string }[];
  return new Map(list.map(({ id, name = '' }) => [id, name]));
}

/** What the kernel has counted, by program name. */
type Reading = ReadonlyMap<string, RunCount>;

/** A collector's or tool's programs and the empty ones. */
export interface Readings {
  readonly ours: Reading;
  readonly twin: Reading;
}

export interface KernelMeter {
  read(): Readings;
  close(): void;
}

/**
 * Attaches an empty program beside each program of a collector and turns the kernel's statistics on,
 * until `close`.
 * @param pid of the collector
 */
export function openKernelMeter(pid: number): KernelMeter {
  compile();
  const names = programNames();
  const nameOf = (id: number): string => names.get(id) ?? `program ${id}`;
  const ours = new Set([...programsOf(pid).keys()].map(nameOf));
  const twin = BpfObject.open(OBJECT);
  twin.load({
    wants: (name) => ours.has(name),
    rodata: [],
    mapSizes: new Map(),
    pinnedMaps: new Map(),
  });
  const cgroup = openCgroupRoot();
  const twins = twin.programs.filter(({ fd }) => fd >= 0);
  for (const { name } of twins) twin.attach(name, cgroup);
  const stats = libbpf.enableStats(BPF_STATS_RUN_TIME);
  if (stats < 0) throw new Error('the kernel gives no statistics of BPF programs');
  return {
    read: () => ({
      ours: new Map([...programsOf(pid)].map(([id, counts]) => [nameOf(id), counts])),
      twin: new Map(
        twins.map(({ name, fd }) => {
          const { runTimeNs = 0, runCount = 0 } = programInfo(fd) ?? {};
          return [name, { ns: runTimeNs, runs: runCount }];
        }),
      ),
    }),
    close: () => {
      closeSync(stats);
      closeSync(cgroup);
      twin.close();
    },
  };
}

/** One program between two readings, and its twin. */
export interface Cost {
  readonly program: string;
  readonly runs: number;
  /** ns per run */
  readonly ours: number;
  /** ns per run of the empty program */
  readonly twin: number;
}

/** ns per run and runs between two readings of one program. */
function between(
  before: Reading,
  after: Reading,
  name: string,
): { readonly runs: number; readonly nsPerRun: number } {
  const from = before.get(name) ?? { ns: 0, runs: 0 };
  const to = after.get(name) ?? from;
  const runs = to.runs - from.runs;
  return { runs, nsPerRun: runs > 0 ? (to.ns - from.ns) / runs : 0 };
}

/** Runs and ns per run of every program that ran between two readings, with its twin's. */
export function costs(before: Readings, after: Readings): Cost[] {
  return [...after.twin.keys()]
    .map((program) => {
      const { runs, nsPerRun } = between(before.ours, after.ours, program);
      const twin = between(before.twin, after.twin, program).nsPerRun;
      return { program, runs, ours: nsPerRun, twin };
    })
    .filter(({ runs }) => runs > 0);
}

/** Sum in ns of what a list of {@link costs} took beyond the empty programs. */
export function netNs(list: readonly Cost[]): number {
  return list.reduce((sum, { runs, ours, twin }) => sum + runs * (ours - twin), 0);
}

/** A list of {@link costs} for the table, runs divided by `packets`. */
export function hooksOf(list: readonly Cost[], packets: number): Hook[] {
  return list.map(({ program, runs, ours, twin }) => ({
    program,
    runsPerPacket: runs / packets,
    ours,
    twin,
  }));
}
