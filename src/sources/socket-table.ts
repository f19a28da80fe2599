/**
 * Finds a number by the address of a socket, in two 32-bit words: open addressing in typed arrays, so that
 * nothing is allocated per look-up (a Map of addresses, which are no small integers, takes 60 ns, this 10).
 * Of a fixed size. Pure.
 */

/** What {@link SocketTable.get} gives where there is nothing. */
export const NONE = -1;

export class SocketTable {
  readonly #mask: number;
  readonly #low: Int32Array;
  readonly #high: Int32Array;
  /** {@link NONE}: a free place. */
  readonly #values: Int32Array;

  /** `most`: sockets that are in it at a time. */
  constructor(most: number) {
    const places = 2 ** Math.ceil(Math.log2(2 * most));
    this.#mask = places - 1;
    this.#low = new Int32Array(places);
    this.#high = new Int32Array(places);
    this.#values = new Int32Array(places).fill(NONE);
  }

  get(low: number, high: number): number {
    return this.#values[this.#find(low, high)]!;
  }

  /** `value`: not negative. */
  set(low: number, high: number, value: number): void {
    const place = this.#find(low, high);
    this.#low[place] = low;
    this.#high[place] = high;
    this.#values[place] = value;
  }

  delete(low: number, high: number): void {
    let hole = this.#find(low, high);
    if (this.#values[hole] === NONE) return;
    // what was pushed on by it moves back
    for (let place = (hole + 1) & this.#mask; ; place = (place + 1) & this.#mask) {
      if (this.#values[place] === NONE) break;
      const home = this.#home(this.#low[place]!, this.#high[place]!);
      if (((place - home) & this.#mask) < ((place - hole) & this.#mask)) continue;
      this.#low[hole] = this.#low[place]!;
      this.#high[hole] = this.#high[place]!;
      this.#values[hole] = this.#values[place]!;
      hole = place;
    }
    this.#values[hole] = NONE;
  }

  /** Where it is, or would be. */
  #find(low: number, high: number): number {
    let place = this.#home(low, high);
    while (this.#values[place] !== NONE && (this.#low[place] !== low || this.#high[place] !== high))
      place = (place + 1) & this.#mask;
    return place;
  }

  #home(low: number, high: number): number {
    const hash = Math.imul(low ^ Math.imul(high, 0x85ebca6b), 0x9e3779b1);
    return (hash ^ (hash >>> 15)) & this.#mask;
  }
}
