/**
 * Which series a file already has, family by family: where lines of a family stand together, as in all
 * files that are written by a program, only one large table is needed at a time. With 100,000 connections
 * a table of all would take 200 MB.
 */
import type { Bytes } from './file-bytes.js';
import { CHUNK_BYTES, type FamilyPart } from './scan.js';
import { SeriesTable } from './series-table.js';

/** A family with fewer keeps its table. */
const MANY_SERIES = 10_000;
const NEWLINE = 0x0a;
const BLANK = 0x20;

export class FamilySeries {
  readonly #bytes: Bytes;
  readonly #tables = new Map<FamilyPart, SeriesTable>();
  /** Families that came back: their tables stay from then on. */
  readonly #scattered = new Set<FamilyPart>();
  /** Those whose tables were left off. */
  readonly #left = new Set<FamilyPart>();
  #family: FamilyPart | null = null;
  #table: SeriesTable;
  #window: Uint8Array = new Uint8Array(0);
  #base = 0;

  constructor(bytes: Bytes) {
    this.#bytes = bytes;
    this.#table = new SeriesTable(bytes);
  }

  /** As {@link SeriesTable.move}. */
  move(window: Uint8Array, base: number): void {
    this.#window = window;
    this.#base = base;
    this.#table.move(window, base);
  }

  /** What is added from now on is of this family, whose `ranges` have all that was added before. */
  enter(family: FamilyPart): void {
    if (family === this.#family) return;
    if (this.#family !== null) this.#leave(this.#family);
    this.#family = family;
    this.#table = this.#tables.get(family) ?? this.#tableOf(family);
    this.#tables.set(family, this.#table);
    this.#table.move(this.#window, this.#base);
  }

  /** As {@link SeriesTable.add}. */
  add(start: number, end: number): boolean {
    return this.#table.add(start, end);
  }

  #leave(family: FamilyPart): void {
    if (this.#table.size < MANY_SERIES || this.#scattered.has(family)) return;
    this.#tables.delete(family);
    this.#left.add(family);
  }

  #tableOf(family: FamilyPart): SeriesTable {
    const table = new SeriesTable(this.#bytes);
    if (!this.#left.delete(family)) return table;
    this.#scattered.add(family);
    const { ranges } = family;
    for (let i = 0; i < ranges.length; i += 2) this.#addLines(table, ranges[i]!, ranges[i + 1]!);
    return table;
  }

  /** Lines that were checked before: a series ends at the last blank. */
  #addLines(table: SeriesTable, from: number, to: number): void {
    const room = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    for (let base = from; base < to;) {
      const window = this.#bytes.subarray(base, Math.min(base + CHUNK_BYTES, to), room);
      table.move(window, base);
      let at = 0;
      for (let end = window.indexOf(NEWLINE); end >= 0; end = window.indexOf(NEWLINE, at)) {
        table.add(base + at, base + window.lastIndexOf(BLANK, end));
        at = end + 1;
      }
      // It was cut since: no line is longer.
      if (at === 0) return;
      base += at;
    }
  }
}
