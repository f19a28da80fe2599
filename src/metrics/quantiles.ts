/**
 * Quantiles of many values in little memory: bins 1/16 of their lower bound wide, so that a quantile is
 * known to 6.25 %, and never lies beyond what was seen. Pure.
 */

/** Bins from one power of two to the next. */
const STEPS = 16;
const STEP_BITS = 4;
/** Values from here on (2.4 hours of nanoseconds) are one bin, whose bounds are what was seen. */
const LAST_POWER = 43;
const BINS = STEPS * (LAST_POWER - STEP_BITS + 2);
const HALF_WORD = 2 ** 21;
/** How wide a bin is, by the power of two below it: the engine computes a power by a call. */
const STEP_SIZES = Array.from({ length: LAST_POWER + 1 }, (_, power) => 2 ** (power - STEP_BITS));

/** The power of two below a value, at least 1. */
function powerOf(value: number): number {
  return value < HALF_WORD
    ? 31 - Math.clz32(value)
    : 52 - Math.clz32(Math.floor(value / HALF_WORD));
}

/** Small ones have a bin each. */
function binOf(value: number): number {
  if (value < STEPS) return value;
  const power = powerOf(value);
  if (power > LAST_POWER) return BINS - 1;
  const step = Math.floor(value / STEP_SIZES[power]!) - STEPS;
  return STEPS * (power - STEP_BITS + 1) + step;
}

/** Where a bin begins; it ends where the next one begins. */
function boundOf(bin: number): number {
  if (bin < STEPS) return bin;
  const power = Math.floor(bin / STEPS) - 1;
  return (STEPS + (bin % STEPS)) * 2 ** power;
}

/** The value that a part `q` of all is no more than, of values in ascending order; null without values. */
export function exactQuantile(q: number, ascending: ArrayLike<number>): number | null {
  const rank = Math.max(1, Math.ceil(q * ascending.length));
  return ascending[rank - 1] ?? null;
}

/** Whole numbers from 0 to 2^53 - 1: nanoseconds, as a rule. */
export class Quantiles {
  readonly #bins = new Uint32Array(BINS);
  #count = 0;
  #sum = 0;
  #least = Infinity;
  #most = 0;

  get count(): number {
    return this.#count;
  }

  get sum(): number {
    return this.#sum;
  }

  add(value: number): void {
    this.#bins[binOf(value)]!++;
    this.#count++;
    this.#sum += value;
    if (value < this.#least) this.#least = value;
    if (value > this.#most) this.#most = value;
  }

  /** The value that a part `q` of all is no more than; null without values. */
  at(q: number): number | null {
    if (this.#count === 0) return null;
    const rank = Math.max(1, Math.ceil(q * this.#count));
    if (rank === this.#count) return this.#most;
    let before = 0;
    let bin = 0;
    for (; before + this.#bins[bin]! < rank; bin++) before += this.#bins[bin]!;
    const inside = (rank - before - 0.5) / this.#bins[bin]!;
    const from = boundOf(bin);
    // whole numbers: the last one in it is below its end
    const value = from + (boundOf(bin + 1) - 1 - from) * inside;
    return Math.min(this.#most, Math.max(this.#least, value));
  }
}
