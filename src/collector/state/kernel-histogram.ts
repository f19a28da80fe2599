/** A histogram of the kernel as the buckets and the sum of its family. */
import { familyOf, type HistogramName } from '../../metrics/families.js';
import { foldFine, foldLog2, type FineSlots } from '../../metrics/histogram.js';

const NS_PER_S = 1e9;

export interface KernelHistogram {
  readonly buckets: readonly number[];
  readonly sumNs: number;
}

export function fold(
  name: HistogramName,
  histogram: KernelHistogram,
): [counts: number[], sum: number] {
  return [foldLog2(histogram.buckets, familyOf(name).buckets), histogram.sumNs / NS_PER_S];
}

/** The same of a fine histogram; `slots` absent: `struct nw_fine_histogram`. */
export function foldedFine(
  name: HistogramName,
  histogram: KernelHistogram,
  slots?: FineSlots,
): [counts: number[], sum: number] {
  const { buckets } = familyOf(name);
  return [foldFine(histogram.buckets, buckets, slots), histogram.sumNs / NS_PER_S];
}
