/** Requests, with how long they took, and how the parser got on. */
import { HTTP_METHOD, HTTP_ROLE, type HttpTotals } from '../../generated/packet.js';
import type { Part } from '../../metrics/snapshot.js';
import type { HttpDurations } from '../../sources/packet.js';

/** What this file writes. */
type Writes = Part<
  | 'http_server_request_duration_seconds'
  | 'http_client_request_duration_seconds'
  | 'netwatch_http_resyncs_total'
  | 'netwatch_events_lost_total'
>;

const NS_PER_S = 1e9;

/** Method names by code; what OpenTelemetry does not list is `_OTHER`. */
const HTTP_METHODS = new Map<number, string>(
  Object.entries(HTTP_METHOD).map(([name, code]) => [code, name.replace('NW_HTTP_', '')]),
);

function httpMethod(code: number): string {
  return code === HTTP_METHOD.NW_HTTP_NONE || code === HTTP_METHOD.NW_HTTP_OTHER
    ? '_OTHER'
    : (HTTP_METHODS.get(code) ?? '_OTHER');
}

const FIRST_CLIENT_ERROR = 400;
const FIRST_SERVER_ERROR = 500;

export function addHttp(snapshot: Writes, durations: readonly HttpDurations[]): void {
  for (const { key, buckets, sumNs } of durations) {
    if (buckets.every((count) => count === 0)) continue; // only responses whose request was not seen
    const server = key.role === HTTP_ROLE.NW_HTTP_ROLE_SERVER;
    // For a server a 4xx is an answer, for a client it is a failure (OpenTelemetry).
    const failed = key.status >= (server ? FIRST_SERVER_ERROR : FIRST_CLIENT_ERROR);
    snapshot.histogram(
      server ? 'http_server_request_duration_seconds' : 'http_client_request_duration_seconds',
      {
        http_request_method: httpMethod(key.method),
        http_response_status_code: key.status,
        url_scheme: 'http',
        network_protocol_version: `1.${key.version}`,
        server_port: key.serverPort,
        ...(failed ? { error_type: key.status } : {}),
      },
      buckets,
      sumNs / NS_PER_S,
    );
  }
}

export function addHttpHealth(snapshot: Writes, totals: HttpTotals): void {
  snapshot.add('netwatch_http_resyncs_total', {}, totals.resyncs);
  snapshot.add('netwatch_events_lost_total', { source: 'http', stage: 'map_full' }, totals.mapFull);
}
