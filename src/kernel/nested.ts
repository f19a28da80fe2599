/**
 * Programs that are run for events in the middle of their own: for such a one, NAME, the object has
 * NAME_nested on the same hook, see bpf/include/nested.bpf.h. To everybody else both are one program.
 */
import { readU64 } from './read.js';
import { libbpf } from './libbpf.js';
import { sumPerCpu } from './map.js';
import { programInfo, type ProgramInfo } from './program-info.js';
import type { BpfObject, Program } from './object.js';

const SUFFIX = '_nested';

/** The key of a map's only entry. */
const FIRST = new Uint8Array(4);

/** In struct nw_nested. */
const RESCUED_AT = 0;

export function isNested(program: string): boolean {
  return program.endsWith(SUFFIX);
}

export function nestedName(program: string): string {
  return program + SUFFIX;
}

/** The program that a nested one runs; one that is not nested is its own. */
export function runBy(program: string): string {
  return isNested(program) ? program.slice(0, -SUFFIX.length) : program;
}

/**
 * Lets the nested programs of a loaded object find those that they run; before they are attached. One
 * that the kernel does not put into the other's table is not run: what it would have seen is counted as lost.
 */
export function linkNested(object: BpfObject): void {
  for (const { name, fd } of object.programs)
    if (object.nestedFd(name) >= 0)
      libbpf.update(
        object.map(`${name}_again`).fd,
        FIRST,
        new Uint8Array(Int32Array.of(fd).buffer),
        0,
      );
}

/** What the kernel counts about one program, its nested runs with it. */
export class ProgramCounts {
  readonly #fd: number;
  readonly #nestedFd: number;
  readonly #rescued: (() => number) | null;
  #missed = 0;

  constructor(object: BpfObject, { name, fd }: Program) {
    this.#fd = fd;
    this.#nestedFd = object.nestedFd(name);
    const map = this.#nestedFd < 0 ? null : object.map(`${name}_rescued`);
    this.#rescued = map === null ? null : () => readU64(sumPerCpu(map), RESCUED_AT);
  }

  /** Null if the program is not loaded, or the kernel does not tell. */
  read(): ProgramInfo | null {
    const own = this.#fd < 0 ? null : programInfo(this.#fd);
    if (own === null || this.#rescued === null) return own;
    const nested = programInfo(this.#nestedFd);
    const rescued = this.#rescued();
    // between the two readings more may have been rescued, but nothing that was missed comes back
    this.#missed = Math.max(this.#missed, own.recursionMisses - rescued);
    return {
      runTimeNs: own.runTimeNs + (nested?.runTimeNs ?? 0),
      runCount: own.runCount === 0 ? 0 : own.runCount + rescued,
      recursionMisses: this.#missed,
    };
  }
}
