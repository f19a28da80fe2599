/**
 * Histogram buckets. The kernel counts times in slots whose upper bounds are powers of two of a
 * unit, which fold into any family's buckets without error; Prometheus wants cumulative counts with
 * bounds in seconds.
 */

/** The boundaries that OpenTelemetry prescribes for HTTP durations. */
export const OTEL_HTTP_SECONDS = [
  0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
] as const;

/** Sizes of bodies: OpenTelemetry prescribes no boundaries. A factor of 8 apart, 64 B to 16 MiB. */
export const BODY_SIZE_BYTES = [64, 512, 4096, 32_768, 262_144, 2_097_152, 16_777_216] as const;

const MICROSECOND = 1e-6;
export const NANOSECOND = 1e-9;

/**
 * Bounds `2^from`, `2^(from+step)` … `2^to` of a unit, in seconds without binary dust (0.000001,
 * not 1e-6·1.0…1).
 */
export function log2Seconds(
  from: number,
  to: number,
  step = 1,
  unit = MICROSECOND,
): readonly number[] {
  const bounds: number[] = [];
  for (let k = from; k <= to; k += step) bounds.push(slotBound(k, unit));
  return bounds;
}

/**
 * Bounds a factor of 1.09 apart, eight from one power of two of a microsecond to the next, in seconds:
 * a quantile read from them is off by less than 10 %. Three digits each, so that people can read them.
 */
export function fineSeconds(from: number, to: number): readonly number[] {
  const bounds: number[] = [];
  for (let k = 8 * from; k <= 8 * to; k++)
    bounds.push(Number((2 ** (k / 8) * MICROSECOND).toPrecision(3)));
  return bounds;
}

/** How many slots of the kernel's fine histograms lie between two powers of two. */
const FINE_STEPS = 8;

/** Times in them are whole units: those up to 2^(slot/8), which is no whole number in between. */
const fineSlotBound = (slot: number, unit: number): number =>
  slotSeconds(Math.floor(2 ** (slot / FINE_STEPS)), unit);

/** Where a fine histogram of the kernel begins: its first slot ends at `2^from` of a unit in seconds. */
export interface FineSlots {
  readonly from: number;
  readonly unit: number;
}

/** `struct nw_fine_histogram`, nw_long_histogram, nw_short_histogram. */
const MICROSECONDS: FineSlots = { from: 0, unit: MICROSECOND };
export const LONG_SLOTS: FineSlots = { from: 14, unit: NANOSECOND };
export const SHORT_SLOTS: FineSlots = { from: 6, unit: NANOSECOND };

/** The bounds of the kernel's fine histograms from `2^from` to `2^to` of a unit, in seconds: at most 10 % apart from 8 units on. */
export function fineSlotSeconds(from: number, to: number, unit = MICROSECOND): readonly number[] {
  const bounds: number[] = [];
  for (let slot = FINE_STEPS * from; slot <= FINE_STEPS * to; slot++)
    bounds.push(fineSlotBound(slot, unit));
  return [...new Set(bounds)];
}

function slotBound(slot: number, unit: number): number {
  return slotSeconds(2 ** slot, unit);
}

const slotSeconds = (units: number, unit = MICROSECOND): number =>
  Number((units * unit).toPrecision(15));

/**
 * Kernel slots into the buckets of a family, the last one being +Inf. The last kernel slot has no
 * upper bound. Throws if a bound is not the bound of a slot: such a sum would be a guess.
 */
export function foldLog2(
  slots: ArrayLike<number | bigint>,
  bounds: readonly number[],
  unit = MICROSECOND,
): number[] {
  return foldSlots(slots, bounds, unit, (slot) => slotBound(slot, unit));
}

/** As foldLog2(), of slots eight times as fine, of which the first ends at `2^from` of the unit. */
export function foldFine(
  slots: ArrayLike<number | bigint>,
  bounds: readonly number[],
  kind: FineSlots = MICROSECONDS,
): number[] {
  const { from, unit } = kind;
  return foldSlots(slots, bounds, kind, (slot) => fineSlotBound(slot + FINE_STEPS * from, unit));
}

/** What slots are: those of foldLog2() of a unit, or fine ones. */
type SlotKind = number | FineSlots;

/** Worked out once for the bounds of a family and the kind of slots: a pull folds some twenty histograms. */
const knownPlaces = new WeakMap<readonly number[], Map<SlotKind, Uint16Array>>();

function foldSlots(
  slots: ArrayLike<number | bigint>,
  bounds: readonly number[],
  kind: SlotKind,
  boundOf: (slot: number) => number,
): number[] {
  const known = knownPlaces.get(bounds) ?? new Map<SlotKind, Uint16Array>();
  let places = known.get(kind);
  if (places?.length !== slots.length) {
    places = placesOf(slots.length, bounds, boundOf);
    knownPlaces.set(bounds, known.set(kind, places));
  }
  const counts = new Array<number>(bounds.length + 1).fill(0);
  for (let slot = 0; slot < slots.length; slot++) counts[places[slot]!]! += Number(slots[slot]);
  return counts;
}

/** The bucket of each slot. */
function placesOf(
  slots: number,
  bounds: readonly number[],
  boundOf: (slot: number) => number,
): Uint16Array {
  const places = new Uint16Array(slots).fill(bounds.length);
  let slot = 0;
  for (const [at, bound] of bounds.entries()) {
    for (; slot < slots - 1 && boundOf(slot) <= bound; slot++) places[slot] = at;
    if (slot === 0 || boundOf(slot - 1) !== bound)
      throw new RangeError(`bucket ${bound} s is not the bound of a kernel slot`);
  }
  return places;
}

/** Counts values by the first bound that is no less, +Inf last. */
export function sortInto(bounds: readonly number[], values: Iterable<number>): number[] {
  const counts = new Array<number>(bounds.length + 1).fill(0);
  for (const value of values) {
    let low = 0;
    let high = bounds.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (value <= bounds[middle]!) high = middle;
      else low = middle + 1;
    }
    counts[low]!++;
  }
  return counts;
}

/** Counts per bucket into the running totals that `le` means. */
export function cumulative(counts: ArrayLike<number | bigint>): number[] {
  const totals: number[] = [];
  let total = 0;
  for (let i = 0; i < counts.length; i++) totals.push((total += Number(counts[i])));
  return totals;
}

/**
 * The bound of the bucket in which a quantile lies: it is no more than that, all that the counts tell.
 * Infinity beyond the last bound; null without observations.
 */
export function quantileBound(
  q: number,
  counts: readonly number[],
  bounds: readonly number[],
): number | null {
  const totals = cumulative(counts);
  const all = totals.at(-1) ?? 0;
  if (all === 0) return null;
  return bounds[totals.findIndex((total) => total >= q * all)] ?? Infinity;
}
