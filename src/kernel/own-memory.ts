/**
 * Keeps the resident memory of this process small. Two things stay with a process that runs for long
 * although nobody needs them: what its allocator has freed but not returned, and pages of the program
 * and its libraries that only the start has touched: 20 MB of Node.js. The engine's heap: process/heap.ts.
 */
import { readFileSync } from 'node:fs';
import { viewMemory, type Pointer } from './ffi.js';
import { c } from './libc.js';
import { MAP_ANONYMOUS, MAP_PRIVATE, mapMemory, PROT_READ, PROT_WRITE } from './mapping.js';

/** mallopt(3). */
const M_MMAP_THRESHOLD = -3;
/** Larger blocks are mappings of their own. Once set, glibc does not raise it by itself. */
const MMAP_THRESHOLD_BYTES = 128 << 10;
/** madvise(2). */
const MADV_DONTNEED = 4;

const PAGES = /^([0-9a-f]+)-([0-9a-f]+) r-.p \S+ \S+ \S+ +\/.+$/;

/**
 * Memory that is needed at times: an engine's buffer stays until its collector comes by, which is long
 * where little happens. Mapped until the process ends; what has not been written to takes nothing.
 */
export class LentMemory {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly #at: Pointer;

  /** Throws NetwatchError if the kernel gives no memory. */
  constructor(length: number) {
    this.#at = mapMemory({
      what: 'memory',
      length,
      protection: PROT_READ | PROT_WRITE,
      flags: MAP_PRIVATE | MAP_ANONYMOUS,
      fd: -1,
      offset: 0,
    });
    const memory = viewMemory(this.#at, length);
    this.bytes = new Uint8Array(memory);
    this.view = new DataView(memory);
  }

  /** The kernel gets it back at once; it is zero when it is next read. */
  giveBack(): void {
    c.madvise(this.#at, this.bytes.length, MADV_DONTNEED);
  }
}

/** Once, at the start. */
export function keepMemorySmall(): void {
  c.mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES);
}

/** Returns what the allocator holds free: 0.1 to 1 ms. */
export function giveBackMemory(): void {
  c.mallocTrim(0);
}

/**
 * Lets go of all pages that are mapped from files and as they are there: what is used again comes back
 * from the page cache at once, 16 pages at a time. 2 ms.
 */
export function letGoOfFilePages(): void {
  for (const [start, end] of filePages(readFileSync('/proc/self/smaps', 'utf8')))
    c.madvise(start, Number(end - start), MADV_DONTNEED);
}

/**
 * Mappings of files, from smaps of proc(5), that are not writable and hold no page of their own. One
 * that does, after relocation or for a breakpoint of somebody's uprobe, would lose it.
 */
export function filePages(smaps: string): [start: bigint, end: bigint][] {
  return smaps.split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/).flatMap((mapping) => {
    const [, start, end] = PAGES.exec(mapping.slice(0, mapping.indexOf('\n'))) ?? [];
    if (start === undefined || end === undefined || !/^Anonymous: +0 kB$/m.test(mapping)) return [];
    return [[BigInt(`0x${start}`), BigInt(`0x${end}`)]];
  });
}
