/** The BPF objects a process holds, so that a test can show that nothing is left after its exit. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { DEADLINE_MS, until } from './wait.js';

/** Kernel ids, which are not used again soon. */
export interface BpfObjects {
  readonly programs: readonly number[];
  readonly links: readonly number[];
  readonly maps: readonly number[];
}

/** What `pid` holds through its descriptors, read from fdinfo; links name their programs too. */
export function bpfObjectsOf(pid: number): BpfObjects {
  const found = {
    prog_id: new Set<number>(),
    link_id: new Set<number>(),
    map_id: new Set<number>(),
  };
  for (const fd of readdirSync(`/proc/${pid}/fdinfo`)) {
    for (const [, name, id] of fdinfo(pid, fd).matchAll(/^(prog_id|link_id|map_id):\s*(\d+)$/gm)) {
      found[name as keyof typeof found].add(Number(id));
    }
  }
  return {
    programs: [...found.prog_id],
    links: [...found.link_id],
    maps: [...found.map_id],
  };
}

/** Those of them that the kernel still has. */
export function bpfObjectsLeft({ programs, links, maps }: BpfObjects): BpfObjects {
  const still = (kind: string, ids: readonly number[]): number[] => {
    const all = new Set(bpftool(kind, 'show').map(({ id }) => id));
    return ids.filter((id) => all.has(id));
  };
  return {
    programs: still('prog', programs),
    links: still('link', links),
    maps: still('map', maps),
  };
}

/** Waits until the kernel has freed all of them, which it does a moment after the last descriptor. */
export async function bpfObjectsGone(objects: BpfObjects, deadlineMs = DEADLINE_MS): Promise<void> {
  let left = objects;
  const gone = (): boolean => {
    left = bpfObjectsLeft(objects);
    return left.programs.length + left.links.length + left.maps.length === 0;
  };
  await until(gone, { what: 'BPF objects are gone', deadlineMs, everyMs: 50 }).catch(() => {
    throw new Error(`BPF objects left behind: ${JSON.stringify(left)}`);
  });
}

/** Ids of the maps that a process holds. */
export const bpfMapIds = (pid: number): readonly number[] => bpfObjectsOf(pid).maps;

/** How many entries each hash has that a process holds, by name. */
export function hashEntries(pid: number): Readonly<Record<string, number>> {
  const ids = new Set(bpfObjectsOf(pid).maps);
  const hashes = bpftool('map', 'show').filter(
    ({ id, type = '' }) => ids.has(id) && type.endsWith('hash'),
  );
  const entries = (id: number): number => bpftool('map', 'dump', 'id', String(id)).length;
  return Object.fromEntries(hashes.map(({ id, name }) => [name ?? id, entries(id)]));
}

/** What bpftool tells of an object. */
interface Shown {
  readonly id: number;
  readonly type?: string;
  readonly name?: string;
  readonly run_cnt?: number;
  readonly recursion_misses?: number;
}

function bpftool(...args: string[]): readonly Shown[] {
  const text = execFileSync('bpftool', ['-j', ...args], { encoding: 'utf8', maxBuffer: 64 << 20 });
  return JSON.parse(text) as readonly Shown[];
}

/** Empty when the descriptor has been closed since it was listed. */
function fdinfo(pid: number, fd: string): string {
  try {
    return readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8');
  } catch {
    return '';
  }
}

/** The programs that `pid` holds through its descriptors. */
export function heldPrograms(pid: number): Shown[] {
  const own = new Set(bpfObjectsOf(pid).programs);
  return bpftool('prog', 'show').filter(({ id }) => own.has(id));
}
