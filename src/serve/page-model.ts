/** What the page shows of netwatch.prom: a `PageSnapshot`, made of the scan of that file. */
import { boundOf } from '../metrics/histogram-check.js';
import { parseSample, seriesKey, type Sample } from '../metrics/sample.js';
import { connectionTable, isOfConnection } from './page-connections.js';
import { flowRows, isOfFlow } from './page-flows.js';
import { roundTripsOf } from './round-trips.js';
import { linesOf, type FamilyPart, type Scan } from './scan.js';
import type {
  CollectorState,
  HistogramFamily,
  HistogramSeries,
  Labels,
  PageSnapshot,
  ScalarSeries,
} from './types.js';

/** A snapshot and the same without what differs from moment to moment too much to be kept. */
export interface SnapshotJson {
  readonly full: string;
  /** For the history: `connections` is null. */
  readonly brief: string;
}

export interface SnapshotFacts {
  readonly atMs: number;
  readonly writtenMs: number | null;
  readonly intervalSeconds: number | null;
  readonly collector: CollectorState;
}

/** `scan`: of netwatch.prom; null if its numbers must not be shown. */
export function pageSnapshot(facts: SnapshotFacts, scan: Scan | null): PageSnapshot {
  return { ...briefSnapshot(facts, scan), connections: scan && connectionTable(scan) };
}

/** The same without connections. */
export function briefSnapshot(facts: SnapshotFacts, scan: Scan | null): PageSnapshot {
  if (scan === null) {
    const nothing = { roundTrips: null, flows: null, connections: null };
    return { ...facts, scalars: {}, histograms: {}, ...nothing };
  }
  const scalars: Record<string, readonly ScalarSeries[]> = {};
  const histograms: Record<string, HistogramFamily> = {};
  for (const part of scan.families.values()) {
    if (part.ranges.length === 0 || isOfConnection(part.name) || isOfFlow(part.name)) continue;
    const samples = Array.from(linesOf(scan.bytes, part.ranges), parseSample);
    if (part.type === 'histogram') histograms[part.name] = histogramFamily(part, samples);
    else scalars[part.name] = samples.map(scalarSeries);
  }
  const roundTrips = roundTripsOf(scan);
  return { ...facts, scalars, histograms, roundTrips, flows: flowRows(scan), connections: null };
}

export function snapshotJson(snapshot: PageSnapshot): SnapshotJson {
  // Written once: the connections are most of it, and stand last.
  const brief = JSON.stringify({ ...snapshot, connections: null } satisfies PageSnapshot);
  return { brief, full: fullJson(brief, snapshot.connections) };
}

/** The JSON of a snapshot without connections, with these. */
export function fullJson(brief: string, connections: PageSnapshot['connections']): string {
  return `${brief.slice(0, -'null}'.length)}${JSON.stringify(connections)}}`;
}

function scalarSeries({ labels, value }: Sample): ScalarSeries {
  return { labels: Object.fromEntries(labels), value: Number.isFinite(value) ? value : null };
}

interface GrowingSeries {
  readonly labels: Labels;
  readonly buckets: [bound: number, count: number][];
  sum: number;
}

function histogramFamily({ name }: FamilyPart, samples: readonly Sample[]): HistogramFamily {
  const found = new Map<string, GrowingSeries>();
  for (const sample of samples) {
    const others = sample.labels.filter(([label]) => label !== 'le');
    const key = seriesKey(name, others);
    let series = found.get(key);
    if (series === undefined) {
      found.set(key, (series = { labels: Object.fromEntries(others), buckets: [], sum: 0 }));
    }
    if (sample.name === `${name}_sum`) series.sum = sample.value;
    else if (sample.name === `${name}_bucket`) {
      series.buckets.push([boundOf(sample.name, sample.labels), sample.value]);
    }
  }
  return sideBySide([...found.values()]);
}

/**
 * All series of netwatch have the same buckets, the last one +Inf; one that has others could not be
 * shown beside.
 */
function sideBySide(all: readonly GrowingSeries[]): HistogramFamily {
  for (const { buckets } of all) buckets.sort(([a], [b]) => a - b);
  const found = all.filter(({ buckets }) => buckets.at(-1)?.[0] === Infinity);
  const boundsOf = ({ buckets }: GrowingSeries): number[] => buckets.slice(0, -1).map(([le]) => le);
  const bounds = found[0] === undefined ? [] : boundsOf(found[0]);
  const series = found
    .filter((one) => boundsOf(one).join() === bounds.join() && Number.isFinite(one.sum))
    .map(({ labels, buckets, sum }): HistogramSeries => {
      return { labels, counts: buckets.map(([, count]) => count), sum };
    });
  return { bounds, series };
}
