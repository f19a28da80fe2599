/** Looks up series of a snapshot, and how much its counters grew from one writing to the next. */
import type {
  HistogramFamily,
  HistogramSeries,
  Labels,
  PageSnapshot,
  ScalarSeries,
} from '../../serve/types.js';

export type Match = (labels: Labels) => boolean;
const ANY: Match = () => true;

/** Series whose label has this value; an absent label counts as empty, as in Prometheus. */
export function having(label: string, value: string): Match {
  return (labels) => (labels[label] ?? '') === value;
}

export function scalars(snapshot: PageSnapshot, name: string): readonly ScalarSeries[] {
  return snapshot.scalars[name] ?? [];
}

export function hasFamily(snapshot: PageSnapshot, name: string): boolean {
  return name in snapshot.scalars || name in snapshot.histograms;
}

/** The sum over a family's series; null if there are none. */
export function total(snapshot: PageSnapshot, name: string, match = ANY): number | null {
  const found = scalars(snapshot, name).filter(({ labels }) => match(labels));
  return found.length === 0 ? null : found.reduce((sum, { value }) => sum + (value ?? 0), 0);
}

/**
 * Two writings of netwatch.prom with the time between. `before` is null if the collector was started
 * in between: its counters then began at zero.
 */
export interface Step {
  readonly before: PageSnapshot | null;
  readonly now: PageSnapshot;
  readonly seconds: number;
}

const START = 'netwatch_process_start_time_seconds';
const MS = 1000;

/** Null unless both were written by a running collector, the second one later. */
export function stepBetween(before: PageSnapshot, now: PageSnapshot): Step | null {
  if (before.collector !== 'running' || now.collector !== 'running') return null;
  if (before.writtenMs === null || now.writtenMs === null) return null;
  const startSeconds = total(now, START);
  const restarted = startSeconds !== null && startSeconds !== total(before, START);
  const sinceMs = restarted ? Math.max(startSeconds * MS, before.writtenMs) : before.writtenMs;
  const seconds = (now.writtenMs - sinceMs) / MS;
  return seconds > 0 ? { before: restarted ? null : before, now, seconds } : null;
}

/** A counter that is lower than before has begun anew. */
function grown(before: number, now: number): number {
  return now >= before ? now - before : now;
}

export interface Grown {
  readonly labels: Labels;
  /** Since netwatch started. */
  readonly total: number;
  readonly increase: number;
}

/** Series that were not there before have grown from zero, where netwatch begins to count. */
export function increases({ before, now }: Step, name: string): readonly Grown[] {
  const old = new Map(
    before === null ? [] : scalars(before, name).map((one) => [key(one.labels), one.value ?? 0]),
  );
  return scalars(now, name).map(({ labels, value }) => {
    const total = value ?? 0;
    return { labels, total, increase: grown(old.get(key(labels)) ?? 0, total) };
  });
}

/** Growth per second over all matching series; null if the family is absent. */
export function rate(step: Step, name: string, match = ANY): number | null {
  const found = increases(step, name).filter(({ labels }) => match(labels));
  if (found.length === 0) return null;
  return found.reduce((sum, { increase }) => sum + increase, 0) / step.seconds;
}

/** Counts of single buckets, +Inf last. */
export interface Buckets {
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
  readonly sum: number;
}

export interface Observed extends Buckets {
  readonly labels: Labels;
  /** Observations since netwatch started. */
  readonly total: number;
}

/** What each series of a histogram observed during the step. */
export function observedSeries({ before, now }: Step, name: string): readonly Observed[] {
  const family = now.histograms[name];
  if (family === undefined) return [];
  const old = seriesByKey(before?.histograms[name]);
  return family.series.map((series) => {
    const base = unlessReset(old.get(key(series.labels)), series);
    return {
      labels: series.labels,
      total: series.counts.at(-1) ?? 0,
      bounds: family.bounds,
      counts: series.counts.map(
        (_, i) => single(series.counts, i) - (base === undefined ? 0 : single(base.counts, i)),
      ),
      sum: series.sum - (base?.sum ?? 0),
    };
  });
}

/** All matching series together; null if the family is absent. */
export function observed(step: Step, name: string, match = ANY): Buckets | null {
  const found = observedSeries(step, name).filter(({ labels }) => match(labels));
  const [first] = found;
  if (first === undefined) return null;
  return {
    bounds: first.bounds,
    counts: first.counts.map((_, i) =>
      found.reduce((sum, { counts }) => sum + (counts[i] ?? 0), 0),
    ),
    sum: found.reduce((sum, one) => sum + one.sum, 0),
  };
}

function seriesByKey(family: HistogramFamily | undefined): ReadonlyMap<string, HistogramSeries> {
  return new Map(family?.series.map((one) => [key(one.labels), one]));
}

function unlessReset(
  before: HistogramSeries | undefined,
  now: HistogramSeries,
): HistogramSeries | undefined {
  const fell = before?.counts.some((count, i) => count > (now.counts[i] ?? 0)) ?? true;
  return fell ? undefined : before;
}

function single(cumulative: readonly number[], i: number): number {
  return (cumulative[i] ?? 0) - (i === 0 ? 0 : (cumulative[i - 1] ?? 0));
}

export function key(labels: Labels): string {
  return JSON.stringify(labels);
}
