/** Parts of requests, and what of them has no answer or no full explanation. */
import type { Part } from '../../metrics/snapshot.js';
import type { ExchangeParts } from '../../sources/exchange-parts.js';
import { OTHER_PORT } from '../../sources/http-exchanges.js';
import type { RequestDurations } from '../../sources/request-durations.js';

/** What this file writes. */
type Writes = Part<
  | 'netwatch_http_request_duration_seconds'
  | 'netwatch_http_request_part_seconds'
  | 'netwatch_http_requests_unanswered_total'
  | 'netwatch_http_requests_partly_explained_total'
  | 'netwatch_events_lost_total'
>;

const NS_PER_S = 1e9;
const OTHER = '_OTHER';

const portOf = (serverPort: number): number | string =>
  serverPort === OTHER_PORT ? OTHER : serverPort;

export function addRequestDurations(snapshot: Writes, durations: RequestDurations): void {
  for (const { side, serverPort, buckets, sumNs } of durations.counts())
    snapshot.histogram(
      'netwatch_http_request_duration_seconds',
      { side, server_port: portOf(serverPort) },
      buckets,
      sumNs / NS_PER_S,
    );
}

/** `forgottenLines`: of requests whose first line had to make room. */
export function addRequests(snapshot: Writes, counts: ExchangeParts, forgottenLines: number): void {
  for (const { side, part, serverPort, buckets, sumNs } of counts.parts())
    snapshot.histogram(
      'netwatch_http_request_part_seconds',
      { side, part, server_port: portOf(serverPort) },
      buckets,
      sumNs / NS_PER_S,
    );
  for (const { side, outcome, count } of counts.unanswered())
    snapshot.add('netwatch_http_requests_unanswered_total', { side, outcome }, count);
  for (const [cause, count] of counts.unexplained)
    snapshot.add('netwatch_http_requests_partly_explained_total', { cause }, count);
  snapshot.add(
    'netwatch_events_lost_total',
    { source: 'request_lines', stage: 'map_full' },
    forgottenLines,
  );
}
