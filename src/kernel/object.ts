/**
 * One BPF object: open, choose programs, set .rodata, load, attach by link,
 * detach. Links, not legacy attachment: whatever happens to the process, the
 * kernel detaches everything when its descriptors are gone.
 */
import { accessSync, closeSync } from 'node:fs';
import { errno, viewMemory, type Pointer } from './ffi.js';
import { captureLibbpf, libbpf } from './libbpf.js';
import { c } from './libc.js';
import { NetwatchError } from '../failure.js';
import { isNested, nestedName } from './nested.js';
import { describeErrno } from './system-error.js';

/** Maps with this prefix are one and the same in all objects of a process. */
const SHARED_PREFIX = 'shared_';

export interface Program {
  readonly name: string;
  readonly section: string;
  readonly fd: number;
  readonly attached: boolean;
}

/** A .rodata variable (src/generated) and the bytes it gets. */
export type Rodata = readonly (readonly [
  variable: { readonly offset: number; readonly size: number },
  value: Uint8Array,
])[];

export interface LoadOptions {
  /** Which programs to load, by name; the others stay out of the kernel. */
  readonly wants: (program: string) => boolean;
  /** Values for .rodata variables, with their offsets (src/generated). */
  readonly rodata: Rodata;
  /** max_entries by map name. */
  readonly mapSizes: ReadonlyMap<string, number>;
  /** Paths of pinned maps to use, by map name. */
  readonly pinnedMaps: ReadonlyMap<string, string>;
}

const messages: string[] = [];
let verbose: ((message: string) => void) | null = null;
let capturing = false;

/** Sends what libbpf says to `write` as it comes (--verbose). */
export function setVerbose(write: (message: string) => void): void {
  verbose = write;
}

function capture(): void {
  messages.length = 0;
  if (capturing) return;
  capturing = true;
  captureLibbpf((message) => {
    messages.push(message);
    verbose?.(message);
  });
}

const SIG_SETMASK = 2;
/** sizeof(sigset_t) of glibc. */
const SIGSET_BYTES = 128;

/** The kernel gives up verifying a program (EAGAIN) when a signal comes, a profiler's too. */
function withoutSignals<T>(action: () => T): T {
  const before = new Uint8Array(SIGSET_BYTES);
  c.pthreadSigmask(SIG_SETMASK, new Uint8Array(SIGSET_BYTES).fill(0xff), before);
  try {
    return action();
  } finally {
    c.pthreadSigmask(SIG_SETMASK, before, null);
  }
}

const sharedMaps = new Map<string, number>();

function* mapsOf(object: Pointer): Generator<Pointer> {
  for (let map = libbpf.nextMap(object, null); map !== null; map = libbpf.nextMap(object, map))
    yield map;
}

function* programsOf(object: Pointer): Generator<Pointer> {
  for (
    let program = libbpf.nextProgram(object, null);
    program !== null;
    program = libbpf.nextProgram(object, program)
  )
    yield program;
}

/** The last line of the verifier's log that says something, for the error. */
function verifierFailure(): NetwatchError | null {
  const text = messages.join('');
  const program = /prog '([^']+)': failed to load|prog '([^']+)': BPF program load failed/.exec(
    text,
  );
  if (program === null) return null;
  const log = /BEGIN PROG LOAD LOG --\n([\s\S]*?)-- END PROG LOAD LOG/.exec(text)?.[1] ?? '';
  const lines = log
    .split('\n')
    .filter((line) => line !== '' && !/^(processed|verification time|stack depth) /.test(line));
  return new NetwatchError({
    code: 'verifier',
    program: program[1] ?? program[2] ?? '?',
    line: missingField(log) ?? lines.at(-1) ?? describeErrno(errno()),
    omitted: Math.max(0, lines.length - 1),
  });
}

/** What libbpf says where the kernel's structs lack what a program reads, in plain words. */
function missingField(log: string): string | null {
  const [, type, field] =
    /failed to resolve CO-RE relocation <\w+> \[\d+\] \w+ (\w+)\.([\w.]+)/.exec(log) ?? [];
  return type === undefined ? null : `this kernel has no field ${field ?? ''} in its ${type}`;
}

export class BpfObject {
  readonly path: string;
  #object: Pointer | null;
  readonly #links = new Map<string, Pointer>();
  #loaded = false;

  private constructor(path: string, object: Pointer) {
    this.path = path;
    this.#object = object;
  }

  /** Reads an object file; nothing is in the kernel yet. */
  static open(path: string): BpfObject {
    try {
      accessSync(path);
    } catch {
      throw new NetwatchError({ code: 'no-object', path });
    }
    capture();
    const object = libbpf.objectOpen(path, null);
    if (object === null) {
      const reason = describeErrno(errno());
      throw new NetwatchError({ code: 'system', what: `cannot open ${path}`, reason });
    }
    return new BpfObject(path, object);
  }

  get #pointer(): Pointer {
    if (this.#object === null) throw new Error(`${this.path} is closed`);
    return this.#object;
  }

  /** Loads maps and the wanted programs; throws with the verifier's last line. */
  load(options: LoadOptions): void {
    capture();
    this.#setRodata(options.rodata);
    for (const map of mapsOf(this.#pointer)) {
      const name = libbpf.mapName(map);
      const entries = options.mapSizes.get(name);
      if (entries !== undefined) libbpf.mapSetMaxEntries(map, entries);
      const shared = sharedMaps.get(name);
      if (shared !== undefined) libbpf.mapReuseFd(map, shared);
      const path = options.pinnedMaps.get(name);
      if (path !== undefined) this.#usePinned(map, path);
    }
    for (const program of programsOf(this.#pointer))
      libbpf.setAutoload(program, options.wants(libbpf.programName(program)));
    const result = withoutSignals(() => libbpf.objectLoad(this.#pointer));
    if (result !== 0) {
      const number = errno() || -result;
      throw (
        verifierFailure() ??
        new NetwatchError({
          code: 'system',
          what: `cannot load ${this.path}`,
          reason: describeErrno(number),
        })
      );
    }
    this.#loaded = true;
    for (const map of mapsOf(this.#pointer)) {
      const name = libbpf.mapName(map);
      if (name.startsWith(SHARED_PREFIX) && !sharedMaps.has(name))
        sharedMaps.set(name, libbpf.mapFd(map));
    }
  }

  /** Takes a map that somebody else has made; throws if there is none or it is of another kind. */
  #usePinned(map: Pointer, path: string): void {
    const fd = libbpf.objectGet(path);
    if (fd < 0) {
      const reason = describeErrno(errno());
      throw new NetwatchError({ code: 'pinned-map', path, reason });
    }
    const [keySize, valueSize] = [libbpf.mapKeySize(map), libbpf.mapValueSize(map)];
    const result = libbpf.mapReuseFd(map, fd);
    closeSync(fd);
    if (
      result !== 0 ||
      libbpf.mapKeySize(map) !== keySize ||
      libbpf.mapValueSize(map) !== valueSize
    )
      throw new NetwatchError({ code: 'pinned-map', path, reason: 'it is a map of another kind' });
  }

  #setRodata(rodata: Rodata): void {
    if (rodata.length === 0) return;
    const map = this.#map('.rodata');
    const size = new BigUint64Array(1);
    const initial = libbpf.mapInitialValue(map, size);
    if (initial === null) throw new Error(`${this.path} has no .rodata`);
    const memory = new Uint8Array(viewMemory(initial, Number(size[0])));
    for (const [variable, bytes] of rodata) {
      if (bytes.length !== variable.size) {
        throw new NetwatchError({
          code: 'layout',
          what: `a .rodata variable of ${this.path}`,
          expected: variable.size,
          found: bytes.length,
        });
      }
      memory.set(bytes, variable.offset);
    }
  }

  #map(name: string): Pointer {
    const map = libbpf.findMap(this.#pointer, name);
    if (map === null) throw new Error(`${this.path} has no map ${name}`);
    return map;
  }

  hasMap(name: string): boolean {
    return libbpf.findMap(this.#pointer, name) !== null;
  }

  /** Descriptor and sizes of a map; `valueSize` is checked against the build. */
  map(name: string, valueSize?: number): BpfMap {
    const map = this.#map(name);
    const found = libbpf.mapValueSize(map);
    if (valueSize !== undefined && found !== valueSize) {
      throw new NetwatchError({
        code: 'layout',
        what: `map ${name} of ${this.path}`,
        expected: valueSize,
        found,
      });
    }
    return {
      name,
      fd: libbpf.mapFd(map),
      keySize: libbpf.mapKeySize(map),
      valueSize: found,
      maxEntries: libbpf.mapMaxEntries(map),
    };
  }

  /** All but those for events in the middle of another ({@link nestedFd}). */
  get programs(): Program[] {
    return [...programsOf(this.#pointer)]
      .map((program) => {
        const name = libbpf.programName(program);
        return {
          name,
          section: libbpf.programSection(program),
          fd: this.#fdOf(program),
          attached: this.#links.has(name),
        };
      })
      .filter(({ name }) => !isNested(name));
  }

  #fdOf(program: Pointer): number {
    return this.#loaded ? libbpf.programFd(program) : -1;
  }

  /** Descriptor of what runs a program in the middle of itself; -1 if nothing does. */
  nestedFd(name: string): number {
    const nested = this.#find(nestedName(name));
    return nested === null ? -1 : this.#fdOf(nested);
  }

  #find(name: string): Pointer | null {
    for (const program of programsOf(this.#pointer))
      if (libbpf.programName(program) === name) return program;
    return null;
  }

  /**
   * Attaches a loaded program where its section says, and behind it what runs it in the middle of itself,
   * if that can be; throws if it cannot.
   */
  attach(name: string, cgroupFd: number): void {
    capture();
    const program = this.#find(name);
    if (program === null) throw new Error(`${this.path} has no program ${name}`);
    if (!this.#attach(name, program, cgroupFd)) {
      const reason = describeErrno(errno());
      throw new NetwatchError({ code: 'attach', program: name, reason });
    }
    const nested = this.#find(nestedName(name));
    if (nested !== null && this.#fdOf(nested) >= 0)
      this.#attach(nestedName(name), nested, cgroupFd);
  }

  /** False: it cannot be attached, errno says why. */
  #attach(name: string, program: Pointer, cgroupFd: number): boolean {
    const section = libbpf.programSection(program);
    let link: Pointer | null;
    if (section.startsWith('cgroup')) link = libbpf.attachCgroup(program, cgroupFd);
    else if (section.startsWith('iter/')) link = libbpf.attachIterator(program, null);
    else link = libbpf.attach(program);
    if (link !== null) this.#links.set(name, link);
    return link !== null;
  }

  /** Descriptor of an attached iterator's link, to make iterators from. */
  linkFd(name: string): number {
    const link = this.#links.get(name);
    if (link === undefined) throw new Error(`${name} is not attached`);
    return libbpf.linkFd(link);
  }

  detach(name: string): void {
    for (const each of [name, nestedName(name)]) {
      const link = this.#links.get(each);
      if (link === undefined) continue;
      libbpf.linkDestroy(link);
      this.#links.delete(each);
    }
  }

  /** Detaches all programs; maps stay readable until {@link close}. */
  detachAll(): void {
    for (const name of [...this.#links.keys()]) this.detach(name);
  }

  /** Descriptors that are about to be closed are no good to other objects. */
  #unshare(): void {
    if (!this.#loaded) return;
    for (const map of mapsOf(this.#pointer)) {
      const name = libbpf.mapName(map);
      if (sharedMaps.get(name) === libbpf.mapFd(map)) sharedMaps.delete(name);
    }
  }

  close(): void {
    if (this.#object === null) return;
    this.detachAll();
    this.#unshare();
    libbpf.objectClose(this.#object);
    this.#object = null;
  }
}

export interface BpfMap {
  readonly name: string;
  readonly fd: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
}
