/**
 * Round-trip times of all open connections, made where the connections are known: so the history has them
 * too, which does not keep connections.
 */
import { familyOf } from '../metrics/families.js';
import { sortInto } from '../metrics/histogram.js';
import { exactQuantile } from '../metrics/quantiles.js';
import { linesOf, type Scan } from './scan.js';
import type { RoundTrips } from './types.js';

const FAMILY = 'netwatch_connection_srtt_seconds';

/** Those of connections that closed, so that both can be drawn alike. */
const { buckets: bounds } = familyOf('netwatch_tcp_rtt_seconds');

/** Null if netwatch.prom has none. */
export function roundTripsOf({ bytes, families }: Scan): RoundTrips | null {
  const part = families.get(FAMILY);
  if (part === undefined) return null;
  const values: number[] = [];
  for (const line of linesOf(bytes, part.ranges)) {
    // Checked before: what is no number is one of the infinities.
    const value = Number(line.slice(line.lastIndexOf(' ') + 1));
    if (Number.isFinite(value)) values.push(value);
  }
  const ascending = Float64Array.from(values).sort();
  return {
    count: values.length,
    bounds,
    counts: sortInto(bounds, values),
    p50: exactQuantile(0.5, ascending),
    p95: exactQuantile(0.95, ascending),
    p99: exactQuantile(0.99, ascending),
  };
}
