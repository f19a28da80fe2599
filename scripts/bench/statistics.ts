/** Order statistics of small samples. */

/**
 * The q-quantile with linear interpolation between neighbours (type 7, as R and NumPy have it).
 * @param q from 0 to 1
 * @returns NaN of nothing
 */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const place = (sorted.length - 1) * q;
  const [below, above] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  if (below === undefined || above === undefined) return NaN;
  return below + (above - below) * (place - Math.floor(place));
}

/** NaN of nothing. */
export const median = (values: readonly number[]): number => quantile(values, 0.5);

export interface Spread {
  readonly median: number;
  readonly q1: number;
  readonly q3: number;
  readonly iqr: number;
}

/** Median and interquartile range. */
export function spread(values: readonly number[]): Spread {
  const [q1, q3] = [quantile(values, 0.25), quantile(values, 0.75)];
  return { median: median(values), q1, q3, iqr: q3 - q1 };
}

/**
 * For a series of segments off, on, off, on, … off: each `on` against the mean of the `off` before
 * and after it, so that a steady drift of the machine cancels out.
 * @param off one more than `on`
 */
export function pairRatios(off: readonly number[], on: readonly number[]): number[] {
  return on.map((value, i) => value / (((off[i] ?? NaN) + (off[i + 1] ?? NaN)) / 2));
}
