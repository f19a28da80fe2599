/**
 * Source `cgroup`: what every cgroup is called, also one that is gone. A walk at the start, then the kernel
 * tells of each one that is made, before anything runs in it. Kernel side: bpf/cgroup.bpf.c.
 */
import { readdirSync, statSync } from 'node:fs';
import { decodeCgroupMade, PATTERN, RODATA } from '../generated/cgroup.js';
import { NetwatchError } from '../failure.js';
import { cgroupRoot } from '../kernel/host.js';
import { deleteKey, setKey } from '../kernel/map.js';
import { u32 } from '../kernel/rodata.js';
import { openSource, type Source, type SourceSpec } from '../kernel/source.js';
import { textOf } from '../metrics/text.js';
import {
  cgroupNames,
  namePatterns,
  namesMatcher,
  NO_NAMES,
  type CgroupNames,
  type NamesWanted,
} from './cgroup-names.js';
import { encodeFilter, FILTER_LIST_LIMIT, NO_FILTER } from './filter.js';
import { TRIAL_RING_BYTES, type SourcePlan } from './plan.js';

/** Cgroups remembered, the one asked for last longest: 10 MB. */
const MOST = 16_384;
/** Room in shared_named. */
const MOST_NAMED = 4096;
const BATCH = 256;
/** 3,600 cgroups between two looks. */
const RING_BYTES = 1 << 20;
/** Between two walks for cgroups whose record was lost. */
const WALK_EVERY_MS = 5000;

/** Rows of nw_patterns; the options hold no more, and no longer ones. */
function encodePatterns(patterns: readonly string[]): Uint8Array {
  const bytes = new Uint8Array(RODATA.nw_patterns.size);
  patterns.forEach((pattern, i) => {
    bytes.set(Buffer.from(pattern).subarray(0, PATTERN.size - 1), i * PATTERN.size);
  });
  return bytes;
}

function specOf(wanted: NamesWanted, ringBytes: number): SourceSpec {
  const patterns = namePatterns(wanted);
  return {
    name: 'cgroup',
    rodata: [
      [RODATA.nw_filter, encodeFilter({ ...NO_FILTER, isNamed: patterns.length > 0 })],
      [RODATA.nw_unit_count, u32(wanted.units.length)],
      [RODATA.nw_pattern_count, u32(patterns.length)],
      [RODATA.nw_patterns, encodePatterns(patterns)],
    ],
    mapSizes: new Map([['events', ringBytes]]),
    essential: () => false,
  };
}

const FULL: NamesWanted = {
  units: Array<string>(FILTER_LIST_LIMIT).fill('nginx*'),
  containers: Array<string>(FILTER_LIST_LIMIT).fill('0*'),
};

/** For `netwatch doctor`. */
export const PLAN: SourcePlan = {
  spec: () => specOf(FULL, TRIAL_RING_BYTES),
  programs: {
    cgroup_mkdir: {
      gives: 'units and containers that begin while netwatch runs',
      options: ['unit', 'container'],
    },
    cgroup_release: { gives: 'room for more than 16,384 cgroups', options: ['unit', 'container'] },
  },
  features: [],
};

const SLASH = Buffer.from('/');

/** All cgroups below a directory, itself first: what a walk finds, though some go away meanwhile. */
function* walk(root: Buffer, path = ''): Generator<{ id: number; path: string }> {
  try {
    yield { id: statSync(root).ino, path: path === '' ? '/' : path };
    // bytes: a name may be no text at all
    for (const entry of readdirSync(root, { withFileTypes: true, encoding: 'buffer' }))
      if (entry.isDirectory())
        yield* walk(Buffer.concat([root, SLASH, entry.name]), `${path}/${textOf(entry.name)}`);
  } catch {
    // removed since it was listed
  }
}

export class CgroupSource {
  readonly source: Source;
  readonly #isWanted: ((names: CgroupNames) => boolean) | null;
  readonly #known = new Map<number, CgroupNames>();
  /** The last of them, which needs not be moved to the end. */
  #newest = 0;
  readonly #places = new Int32Array(BATCH);
  readonly #root = cgroupRoot();
  #walkedMs = -Infinity;
  /** Cgroups that are asked for and found no room. */
  #refused = 0;

  /** With `wanted` it keeps the set of cgroups that a filter with `isNamed` lets through. */
  constructor(wanted: NamesWanted = NO_NAMES) {
    const isFiltered = wanted.units.length > 0 || wanted.containers.length > 0;
    this.#isWanted = isFiltered ? namesMatcher(wanted) : null;
    this.source = openSource(specOf(wanted, RING_BYTES));
    this.#walk();
    this.drain();
    if (this.#refused === 0) return;
    this.close();
    throw new NetwatchError({
      code: 'usage',
      message: `--unit and --container choose more than ${MOST_NAMED} cgroups`,
      next: 'give patterns of fewer, or a directory of cgroup v2 to --cgroup',
    });
  }

  /** How a cgroup is called, by its id; null: it was gone before netwatch could see it. */
  namesOf(id: number): CgroupNames | null {
    if (id === 0) return null;
    const names = this.#recall(id);
    if (names !== null) return names;
    this.drain();
    if (!this.#known.has(id) && performance.now() - this.#walkedMs > WALK_EVERY_MS) this.#walk();
    return this.#recall(id);
  }

  /** Takes in what was made since; the kernel's choice of names is corrected by the whole paths. */
  drain(): void {
    const drainOnce = (): number =>
      this.source.ring.drain(this.#places, (view, places, count) => {
        for (let i = 0; i < count; i++) {
          const { id, parent, name } = decodeCgroupMade(view, places[i] ?? 0);
          const above = this.#recall(parent);
          if (above !== null)
            this.#add(id, `${above.path === '/' ? '' : above.path}/${textOf(name)}`);
        }
      });
    while (drainOnce() === BATCH);
  }

  close(): void {
    this.source.close();
  }

  #recall(id: number): CgroupNames | null {
    const names = this.#known.get(id);
    if (names === undefined) return null;
    if (id === this.#newest) return names;
    this.#known.delete(id);
    this.#known.set(id, names);
    this.#newest = id;
    return names;
  }

  #walk(): void {
    this.#walkedMs = performance.now();
    if (this.#root === null) return;
    for (const { id, path } of walk(Buffer.from(this.#root)))
      if (!this.#known.has(id)) this.#add(id, path);
  }

  #add(id: number, path: string): void {
    const names = cgroupNames(path);
    this.#known.set(id, names);
    this.#newest = id;
    if (this.#known.size > MOST) {
      const oldest = this.#known.keys().next().value;
      if (oldest !== undefined) this.#known.delete(oldest);
    }
    if (this.#isWanted === null) return;
    const named = this.source.map('shared_named');
    const key = new Uint8Array(BigUint64Array.of(BigInt(id)).buffer);
    if (!this.#isWanted(names)) deleteKey(named, key);
    else if (!setKey(named, key, Uint8Array.of(1))) this.#refused++;
  }
}
