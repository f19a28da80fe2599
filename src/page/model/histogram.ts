/** Quantiles and means of counted buckets, by the rules of Prometheus's histogram_quantile. */
import type { Buckets } from './series.js';

export function observations({ counts }: Pick<Buckets, 'counts'>): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

/** Null without observations. */
export function mean(buckets: Buckets): number | null {
  const count = observations(buckets);
  return count === 0 ? null : buckets.sum / count;
}

/**
 * Linear within the bucket, the first one beginning at zero; the highest bound if the quantile lies
 * beyond it. Null without observations.
 */
export function quantile(q: number, { bounds, counts }: Omit<Buckets, 'sum'>): number | null {
  const all = observations({ counts });
  if (all === 0 || bounds.length === 0) return null;
  const rank = q * all;
  let below = 0;
  for (const [i, bound] of bounds.entries()) {
    const here = counts[i] ?? 0;
    if (below + here >= rank && here > 0) {
      const from = bounds[i - 1] ?? 0;
      return from + (bound - from) * Math.max(0, (rank - below) / here);
    }
    below += here;
  }
  return bounds.at(-1) ?? null;
}

/**
 * The bound of the bucket in which the quantile lies: it is no more than that, all that wide buckets tell.
 * Infinity beyond the last bound; null without observations.
 */
export function upperBound(q: number, { bounds, counts }: Omit<Buckets, 'sum'>): number | null {
  const rank = q * observations({ counts });
  if (rank === 0) return null;
  let below = 0;
  const at = counts.findIndex((count) => (below += count) >= rank);
  return bounds[at] ?? Infinity;
}

/** First and last bucket that is used in any of the rows, widened to `least` buckets; null if none. */
export function usedRange(
  rows: Iterable<readonly number[]>,
  least: number,
): readonly [first: number, last: number] | null {
  let first = Infinity;
  let last = -Infinity;
  let length = 0;
  for (const row of rows) {
    length = Math.max(length, row.length);
    for (let i = 0; i < row.length; i++) {
      if ((row[i] ?? 0) <= 0) continue;
      first = Math.min(first, i);
      last = Math.max(last, i);
    }
  }
  if (last < first) return null;
  while (last - first + 1 < Math.min(least, length)) {
    if (first > 0) first--;
    if (last < length - 1 && last - first + 1 < least) last++;
  }
  return [first, last];
}
