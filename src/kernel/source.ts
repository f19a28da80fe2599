/**
 * Brings one BPF source into the kernel: asks the kernel which of the source's
 * hooks it has, loads those programs, opens the ring and attaches. A program
 * that the kernel refuses is left out if the source can do without it.
 */
import { fileURLToPath } from 'node:url';
import { NetwatchError } from './errors.js';
import { libbpf } from './ffi.js';
import { hasSocketStorage, hasTracepoint } from './kernel-btf.js';
import { sumPerCpu } from './map.js';
import { BpfObject, type BpfMap, type Rodata } from './object.js';
import { openRing, type RingReader } from './ring.js';
import { readU64 } from './read.js';
import { openCgroupRoot } from './host.js';
import { ensureTracefs, hasClassicTracepoint } from './system.js';

export interface SourceSpec {
  /** The file is bpf/NAME.bpf.o. */
  readonly name: string;
  readonly rodata: Rodata;
  readonly mapSizes: ReadonlyMap<string, number>;
  /** Programs asked for; all if absent. */
  readonly wants?: (program: string) => boolean;
  /** Why this kernel cannot have a program whose hook it has; null: it can. */
  readonly lacks?: (program: string) => string | null;
  /** Programs the source cannot do without. */
  readonly essential: (program: string) => boolean;
}

/** How a program got on: attached, or why not. */
export interface ProgramState {
  readonly source: string;
  readonly program: string;
  /** `tp_btf`, `tracepoint`, `cgroup_skb`, `iter`. */
  readonly attachType: string;
  readonly fd: number;
  readonly attached: boolean;
  readonly reason: string | null;
}

/** Records that passed the filter, and those the ring could not take. */
export interface RingCounts {
  readonly accepted: number;
  readonly lost: number;
}

export interface Source {
  readonly name: string;
  readonly object: BpfObject;
  readonly ring: RingReader;
  readonly programs: readonly ProgramState[];
  ringCounts(): RingCounts;
  map(name: string, valueSize?: number): BpfMap;
  detach(): void;
  close(): void;
}

/** The table that stands in for socket storage takes no memory where it is not needed. */
const NO_TABLE = ['shared_socket_table', 1] as const;

const OBJECTS = fileURLToPath(new URL('../../bpf/', import.meta.url));

/** Null if the kernel has the hook of this section, else why not. */
function missingHook(section: string): string | null {
  const [type, ...rest] = section.replace('?', '').split('/');
  const hook = rest.join('/');
  if (type === 'tp_btf') return hasTracepoint(hook) ? null : `no tracepoint ${hook}`;
  if (type === 'tracepoint') {
    const unreadable = ensureTracefs();
    if (unreadable !== null) return unreadable;
    return hasClassicTracepoint(hook) ? null : `no tracepoint ${hook}`;
  }
  return null;
}

interface Loaded {
  readonly object: BpfObject;
  readonly reasons: Map<string, string>;
}

/** Loads what can be loaded; `reasons` says why the rest was not. */
function load(spec: SourceSpec): Loaded {
  const reasons = new Map<string, string>();
  for (;;) {
    const object = BpfObject.open(`${OBJECTS}${spec.name}.bpf.o`);
    const wanted = object.programs.filter(({ name }) => spec.wants?.(name) ?? true);
    for (const { name, section } of wanted) {
      const reason = missingHook(section) ?? spec.lacks?.(name) ?? null;
      if (reason !== null) reasons.set(name, reason);
    }
    const names = new Set(wanted.map(({ name }) => name).filter((name) => !reasons.has(name)));
    try {
      object.load({
        wants: (name) => names.has(name),
        rodata: spec.rodata,
        mapSizes: hasSocketStorage() ? new Map([...spec.mapSizes, NO_TABLE]) : spec.mapSizes,
      });
      return { object, reasons };
    } catch (error) {
      object.close();
      const failure = error instanceof NetwatchError ? error.failure : null;
      if (failure?.code !== 'verifier' || spec.essential(failure.program)) throw error;
      if (reasons.has(failure.program)) throw error;
      reasons.set(failure.program, failure.line);
    }
  }
}

function attachAll(spec: SourceSpec, { object, reasons }: Loaded): void {
  let cgroup = -1;
  for (const { name, section, fd } of object.programs) {
    if (fd < 0 || reasons.has(name)) continue;
    if (section.startsWith('cgroup') && cgroup < 0) cgroup = openCgroupRoot();
    try {
      object.attach(name, cgroup);
    } catch (error) {
      if (!(error instanceof NetwatchError) || spec.essential(name)) throw error;
      reasons.set(name, error.failure.code === 'attach' ? error.failure.reason : error.message);
    }
  }
}

function programStates(spec: SourceSpec, { object, reasons }: Loaded): ProgramState[] {
  return object.programs
    .filter(({ name }) => spec.wants?.(name) ?? true)
    .map(({ name, section, fd, attached }) => ({
      source: spec.name,
      program: name,
      attachType: section.replace('?', '').split('/')[0] ?? '',
      fd,
      attached,
      reason: reasons.get(name) ?? null,
    }));
}

/** Loads and attaches a source; throws if something essential is missing. */
export function openSource(spec: SourceSpec): Source {
  const loaded = load(spec);
  const { object, reasons } = loaded;
  const missing = [...reasons].find(([name]) => spec.essential(name));
  if (missing !== undefined) {
    object.close();
    throw new NetwatchError({ code: 'attach', program: missing[0], reason: missing[1] });
  }
  const events = object.map('events');
  const ring = openRing(events.fd, events.maxEntries);
  const counts = object.map('ring_counts');
  attachAll(spec, loaded);
  const programs = programStates(spec, loaded);
  return {
    name: spec.name,
    object,
    ring,
    programs,
    ringCounts: () => {
      const sum = sumPerCpu(counts);
      return { accepted: readU64(sum, 0), lost: readU64(sum, 8) };
    },
    map: (name, valueSize) => object.map(name, valueSize),
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
