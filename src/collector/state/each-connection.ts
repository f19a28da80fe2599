/** Single connections (-x, -r), the busiest of them. */
import type { Part } from '../../metrics/snapshot.js';
import { TCP_LISTEN } from '../../sources/tcp-states.js';
import {
  congestionLabels,
  infoLabels,
  labelsOf,
  stateLabels,
  type Shown,
} from './connection-labels.js';
import {
  durationSeconds,
  stateAgeSeconds,
  LISTENER_VALUES,
  valuesOf,
  type ConnectionValue,
} from './connection-values.js';

/** What this file writes. */
type Writes = Part<
  | 'netwatch_connection_info'
  | 'netwatch_connection_state_info'
  | 'netwatch_connection_congestion_info'
  | 'netwatch_connection_duration_seconds'
  | 'netwatch_connection_state_age_seconds'
  | ConnectionValue['family']
>;

/** The busiest first, among equals the newest. */
export function busiest<T extends Shown>(
  entries: Iterable<T>,
  most: number,
): [shown: T[], left: number] {
  const open = [...entries].filter(({ last }) => last.state !== TCP_LISTEN);
  if (open.length > most)
    open.sort(
      (a, b) => b.recentBytes - a.recentBytes || (b.last.openNs ?? 0) - (a.last.openNs ?? 0),
    );
  return [open.slice(0, most), Math.max(0, open.length - most)];
}

const LISTENER_FAMILIES = new Set<string>(LISTENER_VALUES.map(({ family }) => family));

/** Gauges of single connections (-x), and retransmits (-r). */
export function addConnections(
  snapshot: Writes,
  shown: readonly Shown[],
  options: { readonly extra: boolean; readonly retrans: boolean },
): void {
  const values = valuesOf(options).filter(({ family }) => !LISTENER_FAMILIES.has(family));
  for (const entry of shown) {
    const labels = labelsOf(entry);
    snapshot.add('netwatch_connection_info', infoLabels(entry), 1);
    if (options.extra) {
      snapshot.add('netwatch_connection_state_info', stateLabels(entry), 1);
      snapshot.add('netwatch_connection_congestion_info', congestionLabels(entry), 1);
    }
    for (const { family, of } of values) {
      const value = of(entry.last);
      if (value !== null) snapshot.add(family, labels, value);
    }
    const age = stateAgeSeconds(entry.last);
    if (options.extra && age !== null)
      snapshot.add('netwatch_connection_state_age_seconds', labels, age);
    const duration = durationSeconds(entry.last);
    if (options.extra && duration !== null)
      snapshot.add('netwatch_connection_duration_seconds', labels, duration);
  }
}
