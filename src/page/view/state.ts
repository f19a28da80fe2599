/** What all parts of the page are drawn from. */
import type { PageSnapshot, RequestsReport } from '../../serve/types.js';
import type { Step } from '../model/series.js';
import type { FeedState } from '../model/status.js';
import type { Summary } from '../model/summary.js';
import { lastMinute, newest, type Timeline } from '../model/timeline.js';

export interface State {
  readonly timeline: Timeline;
  readonly feed: FeedState;
  /** The newest; null before the first. */
  readonly snapshot: PageSnapshot | null;
  /** The last minute, for rates in tables. */
  readonly minute: Step | null;
  /** The newest interval; null if it is unknown. */
  readonly summary: Summary | null;
  /** The requests of the last minute; null: they cannot be had, undefined: not asked for yet. */
  readonly requests: RequestsReport | null | undefined;
}

/** A part of the page. */
export interface View {
  readonly root: HTMLElement;
  render(state: State): void;
}

export function stateOf(
  timeline: Timeline,
  feed: FeedState,
  requests: RequestsReport | null | undefined,
): State {
  const snapshot = newest(timeline);
  const running = snapshot?.collector === 'running';
  return {
    timeline,
    feed,
    snapshot,
    minute: running ? lastMinute(timeline) : null,
    summary: running ? (timeline.points.at(-1)?.summary ?? null) : null,
    requests: running ? requests : undefined,
  };
}
