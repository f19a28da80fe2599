/**
 * Numbers as people read them: three digits that matter, a unit, and `–` for what nobody measured. A
 * no-break space keeps number and unit together.
 */

export const UNKNOWN = '–';
const GAP = '\u00a0';

/** What a number is; `rate` and `bytesRate` are per second. */
export type Kind = 'count' | 'rate' | 'bytes' | 'bytesRate' | 'seconds' | 'ratio';

export function quantity(value: number | null | undefined, kind: Kind): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  switch (kind) {
    case 'count':
      return count(value);
    case 'rate':
      return `${scaled(value, SI)}/s`;
    case 'bytes':
      return `${scaled(value, SI, true)}B`;
    case 'bytesRate':
      return `${scaled(value, SI, true)}B/s`;
    case 'seconds':
      return duration(value);
    case 'ratio':
      return percent(value);
    default:
      return kind satisfies never;
  }
}

/** Digits in groups of three; from a million on with a unit. */
export function count(value: number): string {
  if (Math.abs(value) >= 1e6) return scaled(value, SI);
  return Number.isInteger(value) ? grouped(value) : significant(value);
}

export function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ',');
}

const SI: readonly (readonly [factor: number, prefix: string])[] = [
  [1e12, 'T'],
  [1e9, 'G'],
  [1e6, 'M'],
  [1e3, 'k'],
];

/** With `unit`, the gap before the unit that follows is there without a prefix too. */
function scaled(value: number, prefixes: typeof SI, unit = false): string {
  const size = Math.abs(value);
  // 999.9 would be written 1000: it already belongs to the next prefix.
  const found = prefixes.find(([factor]) => size >= factor * 0.9995);
  if (found === undefined) return `${significant(value)}${unit ? GAP : ''}`;
  const [factor, prefix] = found;
  return `${significant(value / factor)}${GAP}${prefix}`;
}

/** Three digits, never more than two after the point. */
export function significant(value: number): string {
  const size = Math.abs(value);
  if (size === 0) return '0';
  if (size < 0.005) return value > 0 ? '<0.01' : '>-0.01';
  const decimals = size < 9.995 ? 2 : size < 99.95 ? 1 : 0;
  const text = value.toFixed(decimals);
  return decimals > 0 ? text.replace(/\.?0+$/, '') : grouped(Number(text));
}

const TIME: readonly (readonly [seconds: number, unit: string])[] = [
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'min'],
  [1, 's'],
  [1e-3, 'ms'],
  [1e-6, 'µs'],
  [1e-9, 'ns'],
];

/** A duration of which only the bound of its bucket is known; Infinity: it is beyond the last one. */
export function atMost(seconds: number | null, bounds: readonly number[]): string {
  if (seconds === null) return UNKNOWN;
  if (Number.isFinite(seconds)) return `≤${GAP}${duration(seconds)}`;
  return `>${GAP}${duration(bounds.at(-1) ?? 0)}`;
}

/** From nanoseconds to days. */
export function duration(seconds: number): string {
  if (seconds === 0) return `0${GAP}s`;
  const size = Math.abs(seconds);
  const [factor, unit] = TIME.find(([least]) => size >= least * 0.9995) ?? [1e-9, 'ns'];
  return `${significant(seconds / factor)}${GAP}${unit}`;
}

function percent(ratio: number): string {
  return `${significant(ratio * 100)}${GAP}%`;
}

/** Whole seconds, minutes, hours or days, for ages that tick. */
export function age(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 120) return `${whole}${GAP}s`;
  if (whole < 7200) return `${Math.floor(whole / 60)}${GAP}min`;
  if (whole < 172_800) return `${Math.floor(whole / 3600)}${GAP}h`;
  return `${Math.floor(whole / 86_400)}${GAP}d`;
}

/** Local time of day, with seconds if asked. */
export function timeOfDay(epochSeconds: number, withSeconds: boolean): string {
  const at = new Date(epochSeconds * 1000);
  const parts = [at.getHours(), at.getMinutes(), ...(withSeconds ? [at.getSeconds()] : [])];
  return parts.map((part) => String(part).padStart(2, '0')).join(':');
}

/** `TCP_OLD_SEQUENCE`, `tail_loss_probe` as words. */
export function words(name: string): string {
  return name.replaceAll('_', ' ').trim().toLowerCase();
}
