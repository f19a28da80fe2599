/**
 * The line to the endpoint: the history once per connection, then the stream, and the requests with each
 * snapshot that somebody can see. What breaks is tried again, for ever, and said.
 */
import type { PageSnapshot, RequestsReport } from '../serve/types.js';
import type { FeedState } from './model/status.js';

export interface FeedEvents {
  readonly state: (state: FeedState) => void;
  readonly snapshot: (snapshot: PageSnapshot) => void;
  readonly history: (snapshots: readonly PageSnapshot[]) => void;
  /** Null: not known. */
  readonly requests: (report: RequestsReport | null) => void;
}

const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 10_000;

/** Relative, so that the page works below a path of a proxy too. */
const STREAM = 'api/v1/stream';
const HISTORY = 'api/v1/history';
const REQUESTS = 'api/v1/requests';

export function follow(events: FeedEvents): void {
  let retryMs = FIRST_RETRY_MS;
  const askForRequests = requestsOf(events);
  const connect = (): void => {
    const stream = new EventSource(STREAM);
    stream.addEventListener('open', () => {
      retryMs = FIRST_RETRY_MS;
      void read<readonly PageSnapshot[]>(HISTORY).then((snapshots) => {
        if (snapshots !== null) events.history(snapshots);
      });
    });
    stream.addEventListener('snapshot', ({ data }: MessageEvent<string>) => {
      events.state('live');
      const snapshot = JSON.parse(data) as PageSnapshot;
      events.snapshot(snapshot);
      askForRequests(snapshot);
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

/** One question at a time, and none while the page is hidden or nothing is collected. */
function requestsOf(events: FeedEvents): (snapshot: PageSnapshot) => void {
  let isAsking = false;
  return ({ collector }) => {
    if (isAsking || document.hidden || collector !== 'running') return;
    isAsking = true;
    void read<RequestsReport>(REQUESTS).then((report) => {
      isAsking = false;
      events.requests(report);
    });
  };
}

/** Null if it cannot be had now; it is asked for again. */
async function read<T>(path: string): Promise<T | null> {
  try {
    const response = await fetch(path);
    return response.ok ? ((await response.json()) as T) : null;
  } catch {
    return null;
  }
}
