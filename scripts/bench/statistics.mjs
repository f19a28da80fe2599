/** Order statistics of small samples. */

/**
 * The q-quantile with linear interpolation between neighbours (type 7, as R and NumPy have it).
 * @param {readonly number[]} values
 * @param {number} q from 0 to 1
 * @returns {number} NaN of nothing
 */
export function quantile(values, q) {
  if (values.length === 0) return NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const place = (sorted.length - 1) * q;
  const below = sorted[Math.floor(place)];
  const above = sorted[Math.ceil(place)];
  return below + (above - below) * (place - Math.floor(place));
}

/** @param {readonly number[]} values */
export const median = (values) => quantile(values, 0.5);

/**
 * Median and interquartile range.
 * @param {readonly number[]} values
 * @returns {{median: number, q1: number, q3: number, iqr: number}}
 */
export function spread(values) {
  const [q1, q3] = [quantile(values, 0.25), quantile(values, 0.75)];
  return { median: median(values), q1, q3, iqr: q3 - q1 };
}

/**
 * For a series of segments off, on, off, on, … off: each `on` against the mean of the `off` before
 * and after it, so that a steady drift of the machine cancels out.
 * @param {readonly number[]} off one more than `on`
 * @param {readonly number[]} on
 */
export function pairRatios(off, on) {
  return on.map((value, i) => value / ((off[i] + off[i + 1]) / 2));
}
