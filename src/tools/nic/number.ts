/**
 * Numbers as netqtop and nic_throughput write them: `512`, `384.0`, `1.5K`, `2.86M`; a rate has a
 * fraction, a count has none. After to_str() of the originals, which Python rounds. Pure.
 */

const KILO = 1024;
const MEGA = KILO * KILO;

/** Python's round(value, 2): exact ties, which are multiples of an eighth, go to the even digit. */
function round2(value: number): number {
  const isTie = Number.isInteger(value * 8) && (value * 100) % 1 === 0.5;
  return isTie ? (2 * Math.round(value * 50)) / 100 : Number(value.toFixed(2));
}

/** `1.0`, `0.25`: with at least one digit behind the point. */
function withFraction(value: number): string {
  const rounded = round2(value);
  return Number.isInteger(rounded) ? `${rounded}.0` : String(rounded);
}

/** Above a thousand in units of 1024, above a million in units of 1024 * 1024. */
function large(value: number): string | null {
  if (value > 1_000_000) return `${withFraction(value / MEGA)}M`;
  return value > 1000 ? `${withFraction(value / KILO)}K` : null;
}

export function countText(count: number): string {
  return large(count) ?? String(count);
}

export function rateText(rate: number): string {
  return large(rate) ?? withFraction(rate);
}
