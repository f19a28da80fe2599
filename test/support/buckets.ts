/** Where a value goes in a histogram, one at a time: what the kernel side and the folds must agree with. */

/** Slots of a kernel histogram: 2^39 us are six days. */
export const LOG2_SLOTS = 40;

/**
 * The slot of a time: slot i holds (2^(i-1), 2^i] units and slot 0 everything up to one unit, so
 * that the bound of a slot is its `le`. The BPF side computes the same: `v = (ns + unit_ns - 1) /
 * unit_ns`, then the bits of `v - 1`.
 */
export function log2Slot(ns: number, unitNs = 1000): number {
  const units = Math.ceil(ns / unitNs);
  if (units <= 1) return 0;
  const below = units - 1;
  const bits = below < 2 ** 32 ? 32 - Math.clz32(below) : 64 - Math.clz32(below / 2 ** 32);
  return Math.min(bits, LOG2_SLOTS - 1);
}

/** Index of the bucket that takes a value, `bounds.length` being +Inf. */
export function bucketWithin(value: number, bounds: readonly number[]): number {
  let low = 0;
  let high = bounds.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (value <= bounds[middle]!) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The bucket of a value that is 0 or more, as bcc's bpf_log2l() counts. */
export function bucketOf(value: number): number {
  return value < 2 ? 1 : Math.floor(Math.log2(value)) + 1;
}
