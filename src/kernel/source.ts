/**
 * Brings one BPF source into the kernel: asks the kernel which of the source's
 * hooks it has, loads those programs, opens the ring and attaches. A program
 * that the kernel refuses is left out if the source can do without it.
 */
import { closeSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { NetwatchError, type Failure } from '../failure.js';
import { libbpf } from './libbpf.js';
import { missingHook, placeOf, type Obstacle, type Place } from './hooks.js';
import { hasSocketStorage } from './kernel-btf.js';
import { readArrayValue, setArrayValue, sumPerCpu } from './map.js';
import { BpfObject, type BpfMap, type Program, type Rodata } from './object.js';
import { isNested, linkNested, ProgramCounts, runBy } from './nested.js';
import type { ProgramInfo } from './program-info.js';
import { openRing, type RingReader } from './ring.js';
import { readU64 } from './read.js';
import { openCgroupRoot } from './host.js';

export interface SourceSpec {
  /** The file is bpf/NAME.bpf.o. */
  readonly name: string;
  readonly rodata: Rodata;
  readonly mapSizes: ReadonlyMap<string, number>;
  /** Programs asked for; all if absent. */
  readonly wants?: (program: string) => boolean;
  /** Why this kernel cannot have a program whose hook it has; null: it can. */
  readonly lacks?: (program: string) => string | null;
  /** Maps that others have made and pinned, by their names here. */
  readonly pinnedMaps?: ReadonlyMap<string, string>;
  /** Programs the source cannot do without. */
  readonly essential: (program: string) => boolean;
}

/** How a program got on: attached, or why not. */
export interface ProgramState {
  readonly source: string;
  readonly program: string;
  /** `tp_btf`, `tracepoint`, `cgroup_skb`, `iter`. */
  readonly attachType: string;
  readonly attached: boolean;
  /** What the kernel counts about it; null if it is not loaded, or the kernel does not tell. */
  readonly info: () => ProgramInfo | null;
  readonly reason: string | null;
  /** What would help on this machine; null: nothing is wrong, or it takes another kernel. */
  readonly fix: string | null;
}

/** Records that passed the filter: those that were read, and those the ring could not take. */
export interface RingCounts {
  /** Read and lost together; what still lies in the ring comes with its reading. */
  readonly accepted: number;
  readonly lost: number;
  /** Records of HTTP messages that the ring of the packets could not take, in neither of the above. */
  readonly lostHttp: number;
}

/** A source whose programs are at work. */
export interface Attached {
  readonly name: string;
  readonly object: BpfObject;
  readonly programs: readonly ProgramState[];
  map(name: string, valueSize?: number): BpfMap;
  /** How often a socket had no memory for what is remembered in it; null: nothing is. */
  storageFailures(): number | null;
  /** How often a table of sockets or their owners was full; null: it has none. */
  tableFailures(): number | null;
  detach(): void;
  close(): void;
}

/** One that hands over records. */
export interface Source extends Attached {
  readonly ring: RingReader;
  readonly ringFd: number;
  /** Says that the reader sleeps: the next record wakes whoever polls the ring's descriptor. */
  readerSleeps(): void;
  ringCounts(): RingCounts;
}

/** The table that stands in for socket storage takes no memory where it is not needed. */
const NO_TABLE = ['shared_socket_table', 1] as const;

/** In struct nw_ring_counts, see bpf/include/ring.bpf.h. */
const LOST_AT = 0;
const LOST_HTTP_AT = 16;

/** A true flag of a program. */
const YES = Uint8Array.of(1, 0, 0, 0);

/** See bpf/include/storage.bpf.h. */
const STORAGE_FAILURES = 'storage_failures';
const TABLE_FAILURES = 'table_failures';

const OBJECTS = fileURLToPath(new URL('../../bpf/', import.meta.url));
const SUFFIX = '.bpf.o';

const objectPath = (source: string): string => `${OBJECTS}${source}${SUFFIX}`;

/** Names of all sources: those of their objects. */
export function sourceNames(): string[] {
  return readdirSync(OBJECTS)
    .filter((name) => name.endsWith(SUFFIX))
    .map((name) => name.slice(0, -SUFFIX.length))
    .sort();
}

/** A program of an object, and where it would go. */
export interface ListedProgram extends Place {
  readonly name: string;
}

/** All programs of a source, wanted or not. */
export function listPrograms(source: string): ListedProgram[] {
  const object = BpfObject.open(objectPath(source));
  try {
    return object.programs.map(({ name, section }) => ({ name, ...placeOf(section) }));
  } finally {
    object.close();
  }
}

interface Loaded {
  readonly object: BpfObject;
  readonly obstacles: Map<string, Obstacle>;
}

/** Only another kernel, or a fixed netwatch, takes this program. */
const refused = (reason: string): Obstacle => ({ reason, fix: null });

/** What keeps a wanted program out before the kernel has even seen it. */
function obstacleTo(
  spec: SourceSpec,
  { name, section }: Program,
  mayAct: boolean,
): Obstacle | null {
  const lack = spec.lacks?.(name) ?? null;
  return missingHook(section, mayAct) ?? (lack === null ? null : refused(lack));
}

function wantedOf(spec: SourceSpec, object: BpfObject): Program[] {
  return object.programs.filter(({ name }) => spec.wants?.(name) ?? true);
}

function obstaclesTo(
  spec: SourceSpec,
  object: BpfObject,
  { mayAct }: { readonly mayAct: boolean },
): Map<string, Obstacle> {
  const found = new Map<string, Obstacle>();
  for (const program of wantedOf(spec, object)) {
    const obstacle = obstacleTo(spec, program, mayAct);
    if (obstacle !== null) found.set(program.name, obstacle);
  }
  return found;
}

/** Loads what can be loaded; `obstacles` says why the rest was not. */
function load(spec: SourceSpec): Loaded {
  const refusals = new Map<string, Obstacle>();
  // without them more is missed, and counted
  let takesNested = true;
  for (;;) {
    const object = BpfObject.open(objectPath(spec.name));
    const obstacles = new Map([...obstaclesTo(spec, object, { mayAct: true }), ...refusals]);
    const names = new Set(
      wantedOf(spec, object)
        .map(({ name }) => name)
        .filter((name) => !obstacles.has(name)),
    );
    try {
      object.load({
        wants: (name) => names.has(runBy(name)) && (takesNested || !isNested(name)),
        rodata: spec.rodata,
        pinnedMaps: spec.pinnedMaps ?? new Map(),
        mapSizes: hasSocketStorage() ? new Map([...spec.mapSizes, NO_TABLE]) : spec.mapSizes,
      });
      linkNested(object);
      return { object, obstacles };
    } catch (error) {
      object.close();
      const failure = error instanceof NetwatchError ? error.failure : null;
      if (failure?.code !== 'verifier') throw error;
      if (takesNested && isNested(failure.program)) {
        takesNested = false;
        continue;
      }
      if (spec.essential(failure.program) || obstacles.has(failure.program)) throw error;
      refusals.set(failure.program, refused(failure.line));
    }
  }
}

/**
 * Programs of cgroups come last. They see packets: what becomes of a packet, such as that it is read, has to
 * be seen from the first one on, else it looks as if it had not happened.
 */
function attachAll(spec: SourceSpec, { object, obstacles }: Loaded): void {
  const isCgroup = ({ section }: { section: string }): boolean => section.startsWith('cgroup');
  const programs = object.programs
    .filter(({ name, fd }) => fd >= 0 && !obstacles.has(name))
    .sort((a, b) => Number(isCgroup(a)) - Number(isCgroup(b)));
  const cgroup = programs.some(isCgroup) ? openCgroupRoot() : -1;
  for (const { name } of programs) {
    try {
      object.attach(name, cgroup);
    } catch (error) {
      if (!(error instanceof NetwatchError) || spec.essential(name)) throw error;
      const { failure, message } = error;
      obstacles.set(name, refused(failure.code === 'attach' ? failure.reason : message));
    }
  }
  if (cgroup >= 0) closeSync(cgroup);
}

function programStates(spec: SourceSpec, { object, obstacles }: Loaded): ProgramState[] {
  return wantedOf(spec, object).map((program) => {
    const { name, section, attached } = program;
    const counts = new ProgramCounts(object, program);
    return {
      source: spec.name,
      program: name,
      attachType: placeOf(section).type,
      attached,
      info: () => counts.read(),
      reason: obstacles.get(name)?.reason ?? null,
      fix: obstacles.get(name)?.fix ?? null,
    };
  });
}

/** This machine cannot have a source: one of its essential programs is missing. */
export class SourceMissing extends NetwatchError {
  readonly source: string;
  /** All that were asked for; none is attached. */
  readonly programs: readonly ProgramState[];
  /** What is missing, and whether this machine could be given it. */
  readonly obstacle: Obstacle;

  constructor(spec: SourceSpec, essential: string, obstacle: Obstacle, loaded: Loaded) {
    super(failureOf(spec.name, essential, obstacle));
    this.source = spec.name;
    this.obstacle = obstacle;
    this.programs = programStates(spec, loaded).map((state) => ({
      ...state,
      info: () => null,
      reason: state.reason ?? `not without ${essential}`,
    }));
  }
}

function failureOf(source: string, program: string, { reason, fix }: Obstacle): Failure {
  return fix === null
    ? { code: 'attach', program, reason }
    : { code: 'no-source', source, reason, fix };
}

/** Loads and attaches; `finish` makes of it what the caller wants. Throws if something essential is missing. */
function open<S extends Attached>(
  spec: SourceSpec,
  prepare: (object: BpfObject) => (attached: Attached) => S,
): S {
  const loaded = load(spec);
  const { object, obstacles } = loaded;
  try {
    const missing = [...obstacles].find(([name]) => spec.essential(name));
    if (missing !== undefined) throw new SourceMissing(spec, ...missing, loaded);
    const finish = prepare(object);
    attachAll(spec, loaded);
    return finish(attached(spec, loaded));
  } catch (error) {
    object.close();
    throw error;
  }
}

/** Opens a source with a ring of records; throws if something essential is missing. */
export function openSource(spec: SourceSpec): Source {
  return open(spec, (object) => {
    const events = object.map('events');
    const ring = openRing(events.fd, events.maxEntries);
    const counts = object.map('ring_counts');
    const ringCounts = (): RingCounts => {
      const totals = sumPerCpu(counts);
      const lost = readU64(totals, LOST_AT);
      return { accepted: ring.records + lost, lost, lostHttp: readU64(totals, LOST_HTTP_AT) };
    };
    const sleeps = object.map('.data.reader');
    const readerSleeps = (): void => {
      setArrayValue(sleeps, YES);
    };
    return (source) => ({ ...source, ring, ringFd: events.fd, ringCounts, readerSleeps });
  });
}

/** Opens a source that only counts in maps; throws if something essential is missing. */
export function openCounts(spec: SourceSpec): Attached {
  return open(spec, () => (source) => source);
}

/**
 * How every program that a source asks for gets on here. Each is loaded and attached for a moment;
 * nothing stays. Throws if the source cannot be loaded at all, for want of a right for example.
 */
export function trySource(spec: SourceSpec): ProgramState[] {
  const lenient = { ...spec, essential: () => false };
  const loaded = load(lenient);
  try {
    attachAll(lenient, loaded);
    return programStates(spec, loaded);
  } finally {
    loaded.object.close();
  }
}

/** The same without loading anything, which needs no rights: a program without a reason may do. */
export function askForSource(spec: SourceSpec): ProgramState[] {
  const object = BpfObject.open(objectPath(spec.name));
  try {
    const obstacles = obstaclesTo(spec, object, { mayAct: false });
    return programStates(spec, { object, obstacles });
  } finally {
    object.close();
  }
}

function attached(spec: SourceSpec, loaded: Loaded): Attached {
  const { object } = loaded;
  const failures = (map: string): number | null =>
    object.hasMap(map) ? readU64(readArrayValue(object.map(map), 0), 0) : null;
  return {
    name: spec.name,
    object,
    programs: programStates(spec, loaded),
    map: (name, valueSize) => object.map(name, valueSize),
    storageFailures: () => failures(STORAGE_FAILURES),
    tableFailures: () => failures(TABLE_FAILURES),
    detach: () => {
      object.detachAll();
    },
    close: () => {
      object.close();
    },
  };
}

/** `1.1` of the libbpf that is loaded. */
export function libbpfVersion(): string {
  return libbpf.version().replace(/^v/, '');
}
