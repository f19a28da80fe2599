/**
 * Histograms of powers of two, drawn as bcc draws them (print_log2_hist in its table.py), so that a
 * person finds the picture and a script the lines they know. Pure.
 */

/** Bars of ranges that fit into 32 bits, and of larger ones. */
const NARROW = { name: 19, stars: 40, number: 10, lead: 5 };
const WIDE = { name: 29, stars: 20, number: 20, lead: 15 };
const NARROW_BUCKETS = 32;

/** Values of bucket b: 2^(b-1) to 2^b - 1; bucket 1 holds 0 and 1, bucket 0 is not used. */
export function bucketRange(bucket: number): { readonly low: number; readonly high: number } {
  return bucket <= 1 ? { low: 0, high: 1 } : { low: 2 ** (bucket - 1), high: 2 ** bucket - 1 };
}

function bar(count: number, most: number, width: number): string {
  return '*'.repeat(Math.min(width, Math.floor((width * count) / most)));
}

/** The lines of a histogram; none if nothing was counted. `counts` by bucket. */
export function histogramLines(counts: readonly number[], unit: string): string[] {
  const last = counts.findLastIndex((count) => count > 0);
  if (last < 1) return [];
  const { name, stars, number, lead } = last <= NARROW_BUCKETS ? NARROW : WIDE;
  const most = Math.max(...counts);
  const lines = [`${' '.repeat(lead)}${unit.padEnd(name)} : count     distribution`];
  for (let bucket = 1; bucket <= last; bucket++) {
    const { low, high } = bucketRange(bucket);
    const count = counts[bucket] ?? 0;
    const range = `${String(low).padStart(number)} -> ${String(high).padEnd(number)}`;
    const stripes = bar(count, most, stars).padEnd(stars);
    lines.push(`${range} : ${String(count).padEnd(8)} |${stripes}|`);
  }
  return lines;
}

/** The same for a program: only what was counted. */
export function histogramBuckets(
  counts: readonly number[],
): readonly { readonly from: number; readonly to: number; readonly count: number }[] {
  return counts.flatMap((count, bucket) => {
    if (count === 0 || bucket < 1) return [];
    const { low, high } = bucketRange(bucket);
    return [{ from: low, to: high, count }];
  });
}
