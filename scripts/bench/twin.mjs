/**
 * What a program costs, as the kernel counts it (BPF_ENABLE_STATS), beside an empty program at the
 * same hook in the same run: the statistics themselves cost two clock readings per run.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { libbpf } from '../../build/kernel/ffi.js';
import { openCgroupRoot } from '../../build/kernel/host.js';
import { BpfObject } from '../../build/kernel/object.js';
import { programInfo } from '../../build/kernel/program-info.js';
import { CACHE, ROOT } from './lab.mjs';
import { programsOf } from './process.mjs';

const OBJECT = join(CACHE, 'twin.bpf.o');
const BPF_STATS_RUN_TIME = 0;

/** Name and section of every program in netwatch's objects that hangs on a hook. */
function hooks() {
  const names = readdirSync(join(ROOT, 'bpf')).filter((name) => name.endsWith('.bpf.o'));
  const programs = names.flatMap((name) => {
    const object = BpfObject.open(join(ROOT, 'bpf', name));
    const found = object.programs.map((program) => [
      program.name,
      program.section.replace('?', ''),
    ]);
    object.close();
    return found;
  });
  return new Map(programs.filter(([, section]) => !section.startsWith('iter/')));
}

function compile() {
  const lines = [...hooks()].map(([name, section]) =>
    section.startsWith('cgroup')
      ? `CGROUP_HOOK(${name}, "${section}")`
      : `HOOK(${name}, "${section}")`,
  );
  writeFileSync(join(CACHE, 'hooks.h'), `${lines.join('\n')}\n`);
  const source = join(import.meta.dirname, 'twin.bpf.c');
  const flags = ['-g', '-O2', '-target', 'bpf', '-Wall', '-Werror', `-I${CACHE}`];
  execFileSync(process.env.CLANG ?? 'clang', [...flags, '-c', source, '-o', OBJECT]);
}

/** Names by id of the programs in the kernel. */
function programNames() {
  const json = execFileSync('bpftool', ['-j', 'prog', 'show'], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  return new Map(JSON.parse(json).map((/** @type {any} */ { id, name }) => [id, name]));
}

/** @typedef {Map<string, {ns: number, runs: number}>} Reading by program name */

/**
 * Attaches an empty program beside each program of a collector and turns the kernel's statistics on,
 * until `close`.
 * @param {number} pid of the collector
 */
export function openKernelMeter(pid) {
  compile();
  const names = programNames();
  const nameOf = (/** @type {number} */ id) => names.get(id) ?? `program ${id}`;
  const ours = new Set([...programsOf(pid).keys()].map(nameOf));
  const twin = BpfObject.open(OBJECT);
  twin.load({ wants: (name) => ours.has(name), rodata: [], mapSizes: new Map() });
  const cgroup = openCgroupRoot();
  const twins = twin.programs.filter(({ fd }) => fd >= 0);
  for (const { name } of twins) twin.attach(name, cgroup);
  const stats = libbpf.enableStats(BPF_STATS_RUN_TIME);
  if (stats < 0) throw new Error('the kernel gives no statistics of BPF programs');
  return {
    /** @returns {{ours: Reading, twin: Reading}} */
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

/** ns per run and runs between two readings of one program. */
function between(
  /** @type {Reading} */ before,
  /** @type {Reading} */ after,
  /** @type {string} */ name,
) {
  const from = before.get(name) ?? { ns: 0, runs: 0 };
  const to = after.get(name) ?? from;
  const runs = to.runs - from.runs;
  return { runs, nsPerRun: runs > 0 ? (to.ns - from.ns) / runs : 0 };
}

/**
 * Runs and ns per run of every program that ran between two readings, with its twin's.
 * @param {ReturnType<ReturnType<typeof openKernelMeter>['read']>} before
 * @param {ReturnType<ReturnType<typeof openKernelMeter>['read']>} after
 */
export function costs(before, after) {
  return [...after.twin.keys()]
    .map((program) => {
      const { runs, nsPerRun } = between(before.ours, after.ours, program);
      const twin = between(before.twin, after.twin, program).nsPerRun;
      return { program, runs, ours: nsPerRun, twin };
    })
    .filter(({ runs }) => runs > 0);
}

/** Sum in ns of what a list of {@link costs} took beyond the empty programs. */
export function netNs(/** @type {ReturnType<typeof costs>} */ list) {
  return list.reduce((sum, { runs, ours, twin }) => sum + runs * (ours - twin), 0);
}
