/**
 * Rows of numbers, side by side in typed arrays: what is kept of many things for long takes 8 or 4 bytes
 * a number so, no object of the engine's, and leaves nothing behind for its collector when it changes.
 */

/** Rows of a chunk: one typed array has this many. */
const CHUNK_ROWS = 128;

/** Some rows; `wide` has those of numbers, `narrow` those of integers below 2^32. */
export interface RowChunk {
  readonly wide: Float64Array;
  readonly narrow: Uint32Array;
  /** Rows that nobody has. */
  readonly free: number[];
}

/** A row: number `index` of its chunk. */
export interface Row {
  readonly chunk: RowChunk;
  readonly index: number;
}

/** Row `from` of an array of rows with `count` numbers each, as row `to` of another. */
export function copyRow<A extends Float64Array | Uint32Array>(
  into: A,
  to: number,
  of: A,
  from: number,
  count: number,
): void {
  const [first, source] = [to * count, from * count];
  for (let i = 0; i < count; i++) into[first + i] = of[source + i]!;
}

/** Gives rows out and takes them back; a chunk that is not needed goes. */
export class RowStore {
  readonly #wide: number;
  readonly #narrow: number;
  /** Those with room. */
  readonly #open = new Set<RowChunk>();

  /** How many numbers, and how many integers below 2^32, a row has. */
  constructor(wide: number, narrow: number) {
    this.#wide = wide;
    this.#narrow = narrow;
  }

  /** A row that is the caller's until {@link give}; what is in it is what was. */
  take(): Row {
    const chunk = this.#open.values().next().value ?? this.#make();
    const index = chunk.free.pop()!;
    if (chunk.free.length === 0) this.#open.delete(chunk);
    return { chunk, index };
  }

  give({ chunk, index }: Row): void {
    chunk.free.push(index);
    this.#open.add(chunk);
    if (chunk.free.length === CHUNK_ROWS && this.#open.size > 1) this.#open.delete(chunk);
  }

  #make(): RowChunk {
    const chunk = {
      wide: new Float64Array(CHUNK_ROWS * this.#wide),
      narrow: new Uint32Array(CHUNK_ROWS * this.#narrow),
      free: Array.from({ length: CHUNK_ROWS }, (_, i) => CHUNK_ROWS - 1 - i),
    };
    this.#open.add(chunk);
    return chunk;
  }
}
