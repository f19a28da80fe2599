/** Requests, with how long they took, and how the parser got on. */
import {
  HTTP_CAUSE,
  HTTP_OUTCOME,
  HTTP_TAKEN,
  type HttpKey,
  type HttpTotals,
} from '../../generated/packet.js';
import { familyOf } from '../../metrics/families.js';
import { BODY_SIZE_BYTES } from '../../metrics/histogram.js';
import type { Part } from '../../metrics/snapshot.js';
import { httpMethod, isError, outcomeOf, sideOf, SIDES } from '../../sources/exchange.js';
import {
  OTHER_PORT,
  OTHER_STATUS,
  type Distribution,
  type HttpCounts,
} from '../../sources/http-exchanges.js';

/** What this file writes. */
type Writes = Part<
  | 'http_server_request_duration_seconds'
  | 'http_client_request_duration_seconds'
  | 'http_server_active_requests'
  | 'http_client_active_requests'
  | 'http_server_request_body_size_bytes'
  | 'http_client_request_body_size_bytes'
  | 'http_server_response_body_size_bytes'
  | 'http_client_response_body_size_bytes'
  | 'netwatch_http_first_byte_duration_seconds'
  | 'netwatch_http_responses_unmatched_total'
  | 'netwatch_http_connections_total'
  | 'netwatch_http_resyncs_total'
  | 'netwatch_events_lost_total'
>;

const NS_PER_S = 1e9;
const { buckets: FIRST_BYTE_BOUNDS } = familyOf('netwatch_http_first_byte_duration_seconds');

const NO_STATUS = 0;
const OTHER = '_OTHER';

const statusOf = ({ status }: HttpKey): string =>
  status === NO_STATUS ? '' : status === OTHER_STATUS ? OTHER : String(status);

const portOf = ({ serverPort }: HttpKey): string =>
  serverPort === OTHER_PORT ? OTHER : String(serverPort);

/** How an exchange failed; null if it did not. */
function errorOf(key: HttpKey): string | null {
  if (!isError(key)) return null;
  return key.outcome === HTTP_OUTCOME.NW_HTTP_ANSWERED ? statusOf(key) : outcomeOf(key.outcome);
}

export function addHttp(snapshot: Writes, counts: readonly HttpCounts[]): void {
  for (const { key, duration } of counts) {
    const error = errorOf(key);
    snapshot.histogram(
      `http_${sideOf(key.role)}_request_duration_seconds`,
      {
        http_request_method: httpMethod(key.method),
        http_response_status_code: statusOf(key),
        url_scheme: 'http',
        network_protocol_version: `1.${key.version}`,
        server_port: portOf(key),
        ...(error === null ? {} : { error_type: error }),
      },
      duration.buckets,
      duration.sum / NS_PER_S,
    );
  }
  addByMethod(snapshot, counts);
}

/** Of one method at one port of one side, whatever the answer. */
interface ByMethod {
  readonly key: HttpKey;
  readonly firstByte: Sum;
  readonly requestBody: Sum;
  readonly responseBody: Sum;
}

class Sum implements Distribution {
  readonly buckets: number[];
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.buckets = new Array<number>(bounds.length + 1).fill(0);
  }

  add(other: Distribution): void {
    for (const [bucket, more] of other.buckets.entries()) this.buckets[bucket]! += more;
    this.sum += other.sum;
  }

  get isEmpty(): boolean {
    return this.buckets.every((count) => count === 0);
  }
}

function byMethod(counts: readonly HttpCounts[]): ByMethod[] {
  const sums = new Map<string, ByMethod>();
  for (const { key, firstByte, requestBody, responseBody } of counts) {
    const name = `${key.role} ${key.method} ${key.serverPort}`;
    let sum = sums.get(name);
    if (sum === undefined) {
      sum = {
        key,
        firstByte: new Sum(FIRST_BYTE_BOUNDS),
        requestBody: new Sum(BODY_SIZE_BYTES),
        responseBody: new Sum(BODY_SIZE_BYTES),
      };
      sums.set(name, sum);
    }
    sum.firstByte.add(firstByte);
    sum.requestBody.add(requestBody);
    sum.responseBody.add(responseBody);
  }
  return [...sums.values()];
}

function addByMethod(snapshot: Writes, counts: readonly HttpCounts[]): void {
  for (const { key, firstByte, requestBody, responseBody } of byMethod(counts)) {
    const side = sideOf(key.role);
    const labels = { http_request_method: httpMethod(key.method), server_port: portOf(key) };
    const scheme = { ...labels, url_scheme: 'http' } as const;
    if (!firstByte.isEmpty)
      snapshot.histogram(
        'netwatch_http_first_byte_duration_seconds',
        { side, ...labels },
        firstByte.buckets,
        firstByte.sum / NS_PER_S,
      );
    for (const [what, body] of [
      ['request', requestBody],
      ['response', responseBody],
    ] as const)
      if (!body.isEmpty)
        snapshot.histogram(`http_${side}_${what}_body_size_bytes`, scheme, body.buckets, body.sum);
  }
}

const CAUSES = [
  ['lost', HTTP_CAUSE.NW_HTTP_LOST],
  ['midstream', HTTP_CAUSE.NW_HTTP_MIDSTREAM],
  ['too_deep', HTTP_CAUSE.NW_HTTP_TOO_DEEP],
  ['unasked', HTTP_CAUSE.NW_HTTP_UNASKED],
] as const;

const TAKEN = [
  ['http', HTTP_TAKEN.NW_HTTP_TAKEN_HTTP],
  ['http2', HTTP_TAKEN.NW_HTTP_TAKEN_HTTP2],
  ['tls', HTTP_TAKEN.NW_HTTP_TAKEN_TLS],
  ['other', HTTP_TAKEN.NW_HTTP_TAKEN_OTHER],
  ['midstream', HTTP_TAKEN.NW_HTTP_TAKEN_MIDSTREAM],
  ['tunnel', HTTP_TAKEN.NW_HTTP_TAKEN_TUNNEL],
] as const;

const NEGATIVE = 2 ** 63;

/** `seesEnds`: false where the kernel does not show the end of a connection's requests. */
export function addHttpHealth(snapshot: Writes, totals: HttpTotals, seesEnds: boolean): void {
  for (const [at, side] of SIDES.entries()) {
    for (const [cause, index] of CAUSES)
      snapshot.add(
        'netwatch_http_responses_unmatched_total',
        { side, cause },
        totals.unmatched[at]?.[index] ?? 0,
      );
    if (!seesEnds) continue;
    // one CPU adds, another one takes away: between the two readings it may seem below zero
    const waiting = totals.waiting[at] ?? 0;
    snapshot.add(
      `http_${side}_active_requests`,
      { url_scheme: 'http' },
      waiting < NEGATIVE ? waiting : 0,
    );
  }
  for (const [what, index] of TAKEN)
    snapshot.add('netwatch_http_connections_total', { taken_for: what }, totals.taken[index] ?? 0);
  snapshot.add('netwatch_http_resyncs_total', {}, totals.resyncs);
  snapshot.add('netwatch_events_lost_total', { source: 'http', stage: 'map_full' }, totals.mapFull);
}
