/** When netwatch.prom counts as abandoned. Pure, so that both threads judge alike. */
import type { CollectorState } from './types.js';

/** The file that the collector writes. */
export const STATE_FILE = 'netwatch.prom';

/** Intervals that may pass without a write. */
const INTERVALS = 3;
/** A collector that writes every 100 ms may still pause this long: a slow disk, a busy machine. */
const LEAST_MS = 3000;
/** For a file that does not say its interval: as long as Prometheus itself shows an old sample. */
const UNKNOWN_MS = 5 * 60_000;

/** What the directory says about the collector, whatever the time. */
export interface CollectorFile {
  /** When netwatch.prom was written; null if there is none. */
  readonly writtenMs: number | null;
  /** False if it is broken, or contradicts what has to be served. */
  readonly valid: boolean;
  readonly intervalSeconds: number | null;
}

/** Is the collector at work, as seen at `nowMs` (milliseconds since 1970)? */
export function collectorState(file: CollectorFile, nowMs: number): CollectorState {
  const { writtenMs, valid, intervalSeconds } = file;
  if (writtenMs === null || !valid) return 'missing';
  const patienceMs =
    intervalSeconds === null ? UNKNOWN_MS : Math.max(LEAST_MS, INTERVALS * intervalSeconds * 1000);
  return nowMs - writtenMs > patienceMs ? 'stale' : 'running';
}
