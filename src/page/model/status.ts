/** What the page says about the collector and about its own line to the endpoint. */
import type { PageSnapshot } from '../../serve/types.js';
import { age, quantity } from './format.js';

/** `connecting`: before the first answer; `lost`: it was there, or never came, and is tried again. */
export type FeedState = 'connecting' | 'live' | 'lost';

export type Tone = 'good' | 'warn' | 'bad' | 'wait';

export interface Status {
  readonly tone: Tone;
  /** One word or two, beside the dot. */
  readonly short: string;
  readonly sentence: string;
}

const START_COMMAND = 'sudo netwatch -x -r -t -i -e';
/** How late a snapshot may be before the page mentions it, in intervals. */
const LATE_INTERVALS = 3;
const LATE_SECONDS = 5;

/**
 * `ageSeconds`: since netwatch.prom was written, by the clock of the endpoint plus the time since its
 * answer here, so that a wrong clock of the browser does not matter; null if there is none.
 */
export function describeStatus(
  snapshot: PageSnapshot | null,
  feed: FeedState,
  ageSeconds: number | null,
): Status {
  if (feed === 'lost')
    return {
      tone: 'bad',
      short: 'no connection',
      sentence: `Connection to the endpoint lost, trying again. ${lastKnown(snapshot, ageSeconds)}`,
    };
  if (snapshot === null)
    return { tone: 'wait', short: 'connecting', sentence: 'Asking the endpoint …' };
  switch (snapshot.collector) {
    case 'missing':
      return {
        tone: 'bad',
        short: 'missing',
        sentence: `The collector is not running. Start it: ${START_COMMAND}`,
      };
    case 'stale':
      return {
        tone: 'bad',
        short: 'stale',
        sentence: `The collector is not running: ${written(ageSeconds)}. Start it: ${START_COMMAND}`,
      };
    case 'running':
      return running(snapshot, ageSeconds);
    default:
      return snapshot.collector satisfies never;
  }
}

function running({ intervalSeconds }: PageSnapshot, ageSeconds: number | null): Status {
  const every = intervalSeconds === null ? '' : `, every ${quantity(intervalSeconds, 'seconds')}`;
  const late = (intervalSeconds ?? 0) * LATE_INTERVALS + LATE_SECONDS;
  const isLate = ageSeconds !== null && ageSeconds > late;
  return {
    tone: isLate ? 'warn' : 'good',
    short: isLate ? 'late' : 'running',
    sentence: `The collector is running: ${written(ageSeconds)}${every}.`,
  };
}

function written(ageSeconds: number | null): string {
  return ageSeconds === null
    ? 'netwatch.prom has not been written'
    : `netwatch.prom was written ${age(ageSeconds)} ago`;
}

function lastKnown(snapshot: PageSnapshot | null, ageSeconds: number | null): string {
  return snapshot === null ? '' : `What is shown is old: ${written(ageSeconds)}.`;
}
