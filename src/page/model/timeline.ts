/**
 * The last 15 minutes: history and stream joined, nothing twice, nothing kept that no chart needs. Each
 * function returns a new timeline.
 */
import type { PageSnapshot } from '../../serve/types.js';
import { stepBetween, type Step } from './series.js';
import { summarize, type Summary } from './summary.js';

export const HISTORY_MS = 15 * 60_000;
/** However short the interval is. */
export const MOST_POINTS = 1800;
/** Tables show rates over the last minute. */
const RECENT_MS = 60_000;
const MOST_RECENT = 120;

/** Null: the collector was not running, the line of a chart is broken here. */
export interface Point {
  readonly atMs: number;
  readonly summary: Summary | null;
}

export interface Timeline {
  readonly points: readonly Point[];
  /** Whole snapshots of the last minute, the newest last; only that one has connections. */
  readonly recent: readonly PageSnapshot[];
}

export const EMPTY: Timeline = { points: [], recent: [] };

export function newest({ recent }: Timeline): PageSnapshot | null {
  return recent.at(-1) ?? null;
}

/** Adds a snapshot, unless it is older than what is there. */
export function extend(timeline: Timeline, snapshot: PageSnapshot): Timeline {
  const last = newest(timeline);
  if (last === null) return start(snapshot);
  if (snapshot.atMs < last.atMs) return timeline;
  if (isSameWriting(last, snapshot)) return replaceNewest(timeline, last, snapshot);
  const step = stepBetween(last, snapshot);
  const point = { atMs: timeOf(snapshot), summary: step === null ? null : summarize(step) };
  // One break is enough, however long it lasts.
  const before = timeline.points.at(-1);
  const broken = point.summary === null && before?.summary === null;
  return {
    points: broken ? timeline.points : capped([...timeline.points, point]),
    recent: recentOf([...timeline.recent, snapshot]),
  };
}

/**
 * The history of the endpoint and what the stream brought: of the same moment the latter counts, since
 * it knew the connections, and what the endpoint has forgotten in a restart stays.
 */
export function joinHistory(history: readonly PageSnapshot[], live: Timeline): Timeline {
  const joined = live.recent.reduce(extend, history.reduce(extend, EMPTY));
  const points = new Map(joined.points.map((point) => [point.atMs, point]));
  for (const point of live.points)
    if (point.summary !== null || !points.has(point.atMs)) points.set(point.atMs, point);
  const inOrder = [...points.values()].sort((a, b) => a.atMs - b.atMs);
  return { points: capped(inOrder), recent: joined.recent };
}

/** From the oldest snapshot of the last minute that the present run of the collector wrote. */
export function lastMinute({ recent }: Timeline): Step | null {
  const now = recent.at(-1);
  if (now === undefined) return null;
  for (const before of recent) {
    const step = stepBetween(before, now);
    if (step !== null && step.before !== null) return step;
  }
  return null;
}

function start(snapshot: PageSnapshot): Timeline {
  return { points: [{ atMs: timeOf(snapshot), summary: null }], recent: [snapshot] };
}

function timeOf({ writtenMs, atMs, collector }: PageSnapshot): number {
  return collector === 'running' ? (writtenMs ?? atMs) : atMs;
}

function isSameWriting(a: PageSnapshot, b: PageSnapshot): boolean {
  return a.collector === b.collector && (a.writtenMs === b.writtenMs || a.atMs === b.atMs);
}

/** The same again, later or with connections: the points stay, the live round-trip times come. */
function replaceNewest(timeline: Timeline, last: PageSnapshot, snapshot: PageSnapshot): Timeline {
  const kept =
    snapshot.connections === null ? { ...snapshot, connections: last.connections } : snapshot;
  const recent = [...timeline.recent.slice(0, -1), kept];
  const before = timeline.recent.at(-2);
  const step = before === undefined ? null : stepBetween(before, kept);
  if (step === null) return { ...timeline, recent };
  const point = { atMs: timeOf(kept), summary: summarize(step) };
  return { points: [...timeline.points.slice(0, -1), point], recent };
}

function capped(points: readonly Point[]): readonly Point[] {
  const oldestMs = (points.at(-1)?.atMs ?? 0) - HISTORY_MS;
  const first = points.findIndex(({ atMs }) => atMs >= oldestMs);
  return points.slice(Math.max(first, points.length - MOST_POINTS));
}

function recentOf(snapshots: readonly PageSnapshot[]): readonly PageSnapshot[] {
  const oldestMs = (snapshots.at(-1)?.atMs ?? 0) - RECENT_MS;
  // At least two, or a long interval would have no step.
  const first = Math.min(
    snapshots.findIndex(({ atMs }) => atMs >= oldestMs),
    snapshots.length - 2,
  );
  const kept = snapshots.slice(Math.max(first, snapshots.length - MOST_RECENT));
  return kept.map((one, i) => (i === kept.length - 1 ? one : withoutConnections(one)));
}

function withoutConnections(snapshot: PageSnapshot): PageSnapshot {
  return snapshot.connections === null ? snapshot : { ...snapshot, connections: null };
}
