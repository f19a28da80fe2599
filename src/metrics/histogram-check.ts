/**
 * Whether the lines of one histogram add up: its buckets rise, end in +Inf, and agree with _count.
 */
import { ExpositionError } from './sample.js';
import type { Sample } from './sample.js';

/** What was read of one histogram so far. */
export interface HistogramCheck {
  readonly name: string;
  readonly line: number;
  readonly buckets: [bound: number, count: number][];
  count: number | null;
  hasSum: boolean;
}

/** The `le` of a bucket line. */
export function boundOf(name: string, labels: Sample['labels']): number {
  const le = labels.find(([label]) => label === 'le')?.[1];
  if (le === undefined) throw new ExpositionError(`${name} has no label "le"`);
  const bound = le === '+Inf' ? Infinity : le.trim() === '' ? NaN : Number(le);
  if (Number.isNaN(bound)) {
    throw new ExpositionError(`expected float as value for 'le' label, got ${JSON.stringify(le)}`);
  }
  return bound;
}

const sortedBuckets = ({ buckets }: HistogramCheck): HistogramCheck['buckets'] =>
  buckets.toSorted(([a], [b]) => a - b);

/** What a histogram lacks, or null; a scrape takes one without, and whoever asks for it gets NaN. */
export function histogramGap(check: HistogramCheck): string | null {
  const { name, count, hasSum } = check;
  if (sortedBuckets(check).at(-1)?.[0] !== Infinity) return `histogram ${name} has no +Inf bucket`;
  return count === null || !hasSum ? `histogram ${name} lacks _sum or _count` : null;
}

/** Where the lines of a histogram contradict each other, or null. */
export function histogramContradiction(check: HistogramCheck): string | null {
  const { name, count } = check;
  const sorted = sortedBuckets(check);
  for (const [i, [bound, total]] of sorted.entries()) {
    const before = sorted[i - 1];
    if (before !== undefined && total < before[1]) {
      return `histogram ${name}: bucket le="${bound}" is smaller than the one before`;
    }
  }
  const [bound, last] = sorted.at(-1) ?? [];
  return count !== null && bound === Infinity && count !== last
    ? `histogram ${name}: _count is not the +Inf bucket`
    : null;
}
