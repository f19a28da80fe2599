/** A histogram of the kernel as the buckets and the sum of its family. */
import { familyOf, type HistogramName } from '../../metrics/families.js';
import { foldFine, foldLog2 } from '../../metrics/histogram.js';

const NS_PER_S = 1e9;

export interface KernelHistogram {
  readonly buckets: readonly number[];
  readonly sumNs: number;
}

/** `unit` is that of the kernel's buckets in seconds; absent: a microsecond. */
export function fold(
  name: HistogramName,
  histogram: KernelHistogram,
  unit?: number,
): [counts: number[], sum: number] {
  return [foldLog2(histogram.buckets, familyOf(name).buckets, unit), histogram.sumNs / NS_PER_S];
}

/** The same of a fine histogram. */
export function foldedFine(
  name: HistogramName,
  histogram: KernelHistogram,
): [counts: number[], sum: number] {
  return [foldFine(histogram.buckets, familyOf(name).buckets), histogram.sumNs / NS_PER_S];
}
