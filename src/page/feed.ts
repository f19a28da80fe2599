/**
 * The line to the endpoint: the history once per connection, then the stream. What breaks is tried again,
 * for ever, and said.
 */
import type { PageSnapshot } from '../serve/types.js';
import type { FeedState } from './model/status.js';

export interface FeedEvents {
  readonly state: (state: FeedState) => void;
  readonly snapshot: (snapshot: PageSnapshot) => void;
  readonly history: (snapshots: readonly PageSnapshot[]) => void;
}

const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 10_000;

/** Relative, so that the page works below a path of a proxy too. */
const STREAM = 'api/v1/stream';
const HISTORY = 'api/v1/history';

export function follow(events: FeedEvents): void {
  let retryMs = FIRST_RETRY_MS;
  const connect = (): void => {
    const stream = new EventSource(STREAM);
    stream.addEventListener('open', () => {
      retryMs = FIRST_RETRY_MS;
      void readHistory().then((snapshots) => {
        if (snapshots !== null) events.history(snapshots);
      });
    });
    stream.addEventListener('snapshot', ({ data }: MessageEvent<string>) => {
      events.state('live');
      events.snapshot(JSON.parse(data) as PageSnapshot);
    });
    // Retrying is ours: an EventSource gives up for good when it gets an error page of a proxy.
    stream.addEventListener('error', () => {
      stream.close();
      events.state('lost');
      setTimeout(connect, retryMs);
      retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS);
    });
  };
  connect();
}

/** Null if it cannot be had now; the next connection asks again. */
async function readHistory(): Promise<readonly PageSnapshot[] | null> {
  try {
    const response = await fetch(HISTORY);
    return response.ok ? ((await response.json()) as readonly PageSnapshot[]) : null;
  } catch {
    return null;
  }
}
