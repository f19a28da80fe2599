/**
 * What the parts of the endpoint say to each other: the store, which reads the data directory, the
 * HTTP side, which serves it, and the page in the browser. Nothing but types and constants, so that the page can share
 * them.
 */

/** Parts of /metrics that `?collect[]=` can choose. */
export const GROUPS = ['connections', 'http', 'packets', 'tcp', 'netwatch', 'other'] as const;
export type Group = (typeof GROUPS)[number];

/** Prometheus text format 0.0.4 or OpenMetrics 1.0. */
export type Format = 'text' | 'openmetrics';

/**
 * `stale`: netwatch.prom is older than three of its own intervals, so its numbers are not served;
 * `missing`: there is none, or it is broken.
 */
export type CollectorState = 'running' | 'stale' | 'missing';

/** One `*.prom` file of the directory. */
export interface TextFile {
  readonly name: string;
  readonly mtimeMs: number;
  readonly bytes: number;
  /** Why it is left out, in one sentence; null if it is served. */
  readonly error: string | null;
}

export interface DirectoryStatus {
  readonly collector: CollectorState;
  /** When netwatch.prom was last written; null if there is none. */
  readonly writtenMs: number | null;
  /** How often the collector writes it; null if it does not say. */
  readonly intervalSeconds: number | null;
  readonly files: readonly TextFile[];
}

export type Labels = Readonly<Record<string, string>>;

export interface ScalarSeries {
  readonly labels: Labels;
  /** null for NaN and infinities, which JSON lacks. */
  readonly value: number | null;
}

export interface HistogramSeries {
  readonly labels: Labels;
  /** Cumulative, one for each bound, +Inf last. */
  readonly counts: readonly number[];
  readonly sum: number;
}

export interface HistogramFamily {
  /** Upper bounds, without +Inf. */
  readonly bounds: readonly number[];
  readonly series: readonly HistogramSeries[];
}

/** Connections as a table: the families `netwatch_connection_*` side by side. */
export interface ConnectionTable {
  /**
   * sock, src, dst, process, pid, is_server, state, algorithm, congestion, unit, container, pod, then each
   * family without `netwatch_connection_`: `srtt_seconds`, `cwnd_segments` …
   */
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number | null)[])[];
}

/** What `process` and `role` of a flow say of all that have no name of their own. */
export const OTHER_FLOWS = 'other';

/**
 * A flow: all connections of one process with one other end. A row of values, as there are hundreds in each
 * snapshot of the history. Bytes are payload; counts are since netwatch started; rtt: seconds.
 */
export type FlowRow = readonly [
  ...[process: string, unit: string | null, container: string | null, pod: string | null],
  ...[role: string, port: string, peer: string],
  ...[received: number, sent: number, connections: number, retransmits: number],
  rtt: number | null,
];

/** Quantiles of the values themselves; null without any. */
export interface ExactQuantiles {
  readonly p50: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
}

/** Seconds by the name of a part or of what lies inside one, `receive_queue_run_queue`. */
export type PartSeconds = Readonly<Record<string, number>>;

/** Requests whose targets are of one route, as one side sees them. */
export interface RouteReport extends ExactQuantiles {
  readonly side: string;
  readonly method: string;
  /** `/orders/*`; null: not known. */
  readonly route: string | null;
  readonly count: number;
  readonly errors: number;
  readonly most: number;
  /** Means; of those whose parts are known. */
  readonly parts: PartSeconds;
}

/** Requests that http_*_request_duration_seconds counts in one series, whatever their version. */
export interface KindReport extends ExactQuantiles {
  readonly side: string;
  readonly method: string;
  /** As in the labels of the family; empty: no response. */
  readonly status: string;
  readonly port: string;
  readonly errorType: string;
}

/** One request. */
export interface RequestReport {
  /** Tells it apart from all others of the report. */
  readonly id: string;
  readonly endMs: number;
  readonly side: string;
  readonly method: string;
  readonly path: string | null;
  readonly status: string;
  readonly outcome: string;
  readonly process: string | null;
  readonly sock: string;
  readonly src: string;
  readonly dst: string;
  readonly seconds: number;
  /** In order of time; what is not known is not there. */
  readonly parts: PartSeconds;
  /** What lies inside of parts, and behind the end. */
  readonly inside: PartSeconds;
  readonly retransmits: number;
  readonly isError: boolean;
}

/** A packet of packets.log; times in seconds, null: not known. */
export interface PacketReport {
  readonly atMs: number;
  readonly isReceived: boolean;
  readonly bytes: number;
  readonly seq: number;
  readonly isRetransmitted: boolean;
  readonly mac: number | null;
  readonly ip: number | null;
  readonly tcp: number | null;
  /** Of the time in TCP: an earlier segment was missing. */
  readonly reorder: number | null;
  /** The first line of a message, masked. */
  readonly info: string | null;
}

/** Of one request, in order of time. */
export interface PacketsReport {
  readonly packets: readonly PacketReport[];
  /** There may be more, before these. */
  readonly isCut: boolean;
}

/** Round-trip times of the open connections of now, from the value of each. */
export interface RoundTrips extends ExactQuantiles {
  readonly count: number;
  /** Upper bounds, without +Inf. */
  readonly bounds: readonly number[];
  /** One for each bound, +Inf last. */
  readonly counts: readonly number[];
}

/** What requests.log says of the last minute. */
export interface RequestsReport {
  readonly atMs: number;
  /** From when on all requests are in it: a minute ago, or later where there were too many. */
  readonly fromMs: number;
  readonly count: number;
  /** Those that took most time in all first. */
  readonly routes: readonly RouteReport[];
  readonly kinds: readonly KindReport[];
  /** The slowest first. */
  readonly slowest: readonly RequestReport[];
}

/** netwatch.prom as the page needs it. All families but those of one connection keep their names. */
export interface PageSnapshot {
  /** When this was looked at, milliseconds since 1970. */
  readonly atMs: number;
  /** When netwatch.prom was written; null if there is none. */
  readonly writtenMs: number | null;
  readonly intervalSeconds: number | null;
  readonly collector: CollectorState;
  /** Counters and gauges; empty unless the collector is running. */
  readonly scalars: Readonly<Record<string, readonly ScalarSeries[]>>;
  readonly histograms: Readonly<Record<string, HistogramFamily>>;
  /** null: not known, which is so without -x. */
  readonly roundTrips: RoundTrips | null;
  /** The families `netwatch_flow_*` side by side; null: there are none. */
  readonly flows: readonly FlowRow[] | null;
  /** null in the history. */
  readonly connections: ConnectionTable | null;
}
