/**
 * Round-trip times of all open connections, made where the connections are known: so the history has them
 * too, which does not keep connections.
 */
import { familyOf } from '../metrics/families.js';
import { sortInto } from '../metrics/histogram.js';
import { exactQuantile } from '../metrics/quantiles.js';
import type { ConnectionTable, RoundTrips } from './types.js';

/** Those of connections that closed, so that both can be drawn alike. */
const { buckets: bounds } = familyOf('netwatch_tcp_rtt_seconds');

/** Null if the table has no such column. */
export function roundTripsOf({ columns, rows }: ConnectionTable): RoundTrips | null {
  const at = columns.indexOf('srtt_seconds');
  if (at < 0) return null;
  const values = rows.map((row) => row[at]).filter((value) => typeof value === 'number');
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
