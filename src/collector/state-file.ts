/**
 * What stands in netwatch.prom: totals from the kernel's maps, the connections
 * of now, and netwatch's own health. Pure: readings in, samples out.
 */
import {
  OUTCOME,
  ROLE,
  type ConnectionTotals,
  type RetransmitTotals,
} from '../generated/connection.js';
import { HTTP_METHOD, HTTP_ROLE, type HttpTotals, type LayerTotals } from '../generated/packet.js';
import type { ProgramInfo } from '../kernel/program-info.js';
import type { ProgramState, RingCounts } from '../kernel/source.js';
import { familyOf, type HistogramName } from '../metrics/families.js';
import { foldLog2 } from '../metrics/histogram.js';
import { networkType } from '../sources/address-family.js';
import { connectionState, type ConnectionState } from '../sources/tcp-states.js';
import type { Snapshot } from '../metrics/snapshot.js';
import type { RotatingLogStats } from '../sinks/rotating.js';
import type { HttpDurations } from '../sources/packet.js';
import type { FaultTotal } from '../sources/fault.js';
import type { Connection } from '../sources/connection.js';
import {
  congestionLabels,
  infoLabels,
  stateLabels,
  TCP_LISTEN,
  type Entry,
} from './connection-table.js';
import {
  durationSeconds,
  EXTRA_VALUES,
  LISTENER_VALUES,
  RETRANSMIT_VALUES,
} from './connection-values.js';

const NS_PER_S = 1e9;
const ROLES = ['client', 'server'] as const;
const UNIT_125_NS = 125e-9;

/** error_type by outcome; success has none. */
const ERROR_TYPES: readonly (readonly [number, string])[] = [
  [OUTCOME.NW_OUTCOME_SUCCESS, ''],
  [OUTCOME.NW_OUTCOME_REFUSED, 'refused'],
  [OUTCOME.NW_OUTCOME_RESET, 'reset'],
  [OUTCOME.NW_OUTCOME_TIMED_OUT, 'timed_out'],
  [OUTCOME.NW_OUTCOME_HOST_UNREACHABLE, 'host_unreachable'],
  [OUTCOME.NW_OUTCOME_NET_UNREACHABLE, 'net_unreachable'],
  [OUTCOME.NW_OUTCOME_OTHER, '_OTHER'],
];

interface KernelHistogram {
  readonly buckets: readonly number[];
  readonly sumNs: number;
}

function fold(
  name: HistogramName,
  histogram: KernelHistogram,
  unit?: number,
): [counts: number[], sum: number] {
  return [foldLog2(histogram.buckets, familyOf(name).buckets, unit), histogram.sumNs / NS_PER_S];
}

/** Bytes and segments of everything that is open now. */
export interface LiveSums {
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly segsIn: number;
  readonly segsOut: number;
}

/** CLOSE_WAIT, LAST_ACK, CLOSING. */
const FIN_RECEIVED = new Set([8, 9, 11]);

export function sumLive(entries: Iterable<Entry>): LiveSums {
  const sums = { bytesSent: 0, bytesReceived: 0, segsIn: 0, segsOut: 0 };
  for (const { last } of entries) {
    if (last.state === TCP_LISTEN) continue;
    sums.bytesSent += last.bytesSent - last.bytesRetrans;
    // the kernel counts a received FIN as a byte, and a SYN-ACK in no socket
    sums.bytesReceived += last.bytesReceived - (FIN_RECEIVED.has(last.state) ? 1 : 0);
    sums.segsIn += last.segsIn;
    sums.segsOut += last.segsOut + (last.role === ROLE.NW_ROLE_SERVER ? 1 : 0);
  }
  return sums;
}

/** A total that must not fall: closed and open connections are read at slightly different times. */
export class NeverFalling {
  readonly #seen = new Map<string, number>();

  raise(key: string, value: number): number {
    const highest = Math.max(value, this.#seen.get(key) ?? 0);
    this.#seen.set(key, highest);
    return highest;
  }
}

export function addConnectionTotals(
  snapshot: Snapshot,
  totals: ConnectionTotals,
  live: LiveSums,
  counters: NeverFalling,
): void {
  for (const [side, role] of ROLES.entries()) {
    const label = { network_tcp_handshake_role: role };
    for (const [outcome, type] of ERROR_TYPES) {
      const count = totals.outcomes[side]?.[outcome] ?? 0;
      snapshot.add('netwatch_tcp_connections_total', { ...label, error_type: type }, count);
    }
    const handshake = totals.handshake[side];
    const duration = totals.duration[side];
    if (handshake !== undefined) {
      const name = 'netwatch_tcp_handshake_duration_seconds';
      snapshot.histogram(name, label, ...fold(name, handshake));
    }
    if (duration !== undefined) {
      const name = 'netwatch_tcp_connection_duration_seconds';
      snapshot.histogram(name, label, ...fold(name, duration));
    }
  }
  snapshot.histogram(
    'netwatch_tcp_rtt_seconds',
    {},
    ...fold('netwatch_tcp_rtt_seconds', totals.rtt),
  );
  addStateDurations(snapshot, totals);
  const io = (direction: 'receive' | 'transmit', bytes: number, segments: number): void => {
    const label = { network_io_direction: direction };
    const raised = counters.raise(`bytes ${direction}`, bytes);
    snapshot.add('netwatch_tcp_io_bytes_total', label, raised);
    snapshot.add(
      'netwatch_tcp_segments_total',
      label,
      counters.raise(`segments ${direction}`, segments),
    );
  };
  io('receive', totals.bytesReceived + live.bytesReceived, totals.segsIn + live.segsIn);
  io('transmit', totals.bytesSent + live.bytesSent, totals.segsOut + live.segsOut);
}

const TCP_CLOSE_STATE = 7;
const NEW_SYN_RECV = 12;

function addStateDurations(snapshot: Snapshot, totals: ConnectionTotals): void {
  const name = 'netwatch_tcp_state_duration_seconds';
  for (let state = 1; state < NEW_SYN_RECV; state++) {
    const histogram = totals.state[state];
    if (state === TCP_CLOSE_STATE || state === TCP_LISTEN || histogram === undefined) continue;
    const label = { network_connection_state: connectionState(state) };
    snapshot.histogram(name, label, ...fold(name, histogram));
  }
}

/** In the order of nw_retransmit_type. */
const RETRANSMIT_TYPES = ['fast', 'timeout', 'tail_loss_probe', 'syn', 'synack'] as const;

export function addRetransmits(snapshot: Snapshot, totals: RetransmitTotals): void {
  for (const [index, type] of RETRANSMIT_TYPES.entries())
    snapshot.add(
      'netwatch_tcp_retransmits_total',
      { network_tcp_retransmit_type: type },
      totals.segments[index] ?? 0,
    );
  snapshot.add('netwatch_tcp_retransmits_recovered_total', {}, totals.recovered);
}

const DIRECTIONS = ['receive', 'transmit'] as const;
const LAYERS = ['mac', 'ip', 'tcp'] as const;
const NETWORK_TYPES = ['ipv4', 'ipv6'] as const;

export function addLayers(snapshot: Snapshot, totals: LayerTotals): void {
  const name = 'netwatch_packet_layer_duration_seconds';
  for (const [d, direction] of DIRECTIONS.entries())
    for (const [l, layer] of LAYERS.entries())
      for (const [t, type] of NETWORK_TYPES.entries()) {
        const histogram = totals.duration[d]?.[l]?.[t];
        if (histogram === undefined) continue;
        const labels = { layer, network_io_direction: direction, network_type: type };
        snapshot.histogram(name, labels, ...fold(name, histogram, UNIT_125_NS));
      }
}

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

export function addHttp(snapshot: Snapshot, durations: readonly HttpDurations[]): void {
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

export function addHttpHealth(snapshot: Snapshot, totals: HttpTotals): void {
  snapshot.add('netwatch_http_resyncs_total', {}, totals.resyncs);
  snapshot.add('netwatch_events_lost_total', { source: 'http', stage: 'map_full' }, totals.mapFull);
}

/** Drops that mean a segment itself was wrong, not that something refused it. */
const SEGMENT_ERROR = /^TCP_(.*SEQUENCE|CSUM|FLAGS|RFC7323_.*)$/;

export function addFaults(snapshot: Snapshot, totals: readonly FaultTotal[]): void {
  for (const { kind, reason, family, received, count } of totals) {
    const type = networkType(family);
    if (kind === 'reset') {
      const direction = received ? 'receive' : 'transmit';
      snapshot.add('netwatch_tcp_resets_total', { network_io_direction: direction, reason }, count);
      continue;
    }
    snapshot.add('netwatch_skb_drops_total', { reason, network_type: type }, count);
    if (SEGMENT_ERROR.test(reason)) snapshot.add('netwatch_tcp_errors_total', { reason }, count);
  }
}

/** Gauges over all sockets: how many in each state, and the accept queues. */
export function addSockets(snapshot: Snapshot, entries: Iterable<Entry>): void {
  const counts = new Map<ConnectionState, number>();
  const listeners: Connection[] = [];
  for (const { last } of entries) {
    const state = connectionState(last.state);
    counts.set(state, (counts.get(state) ?? 0) + 1);
    if (last.state === TCP_LISTEN) listeners.push(last);
  }
  addAcceptQueues(snapshot, listeners);
  for (const [state, count] of counts)
    snapshot.add('netwatch_tcp_sockets', { network_connection_state: state }, count);
}

/** Several listeners may share an address (SO_REUSEPORT): their queues add up. */
function addAcceptQueues(snapshot: Snapshot, listeners: readonly Connection[]): void {
  const sums = new Map<string, { at: Connection; length: number; limit: number }>();
  for (const at of listeners) {
    const key = `${at.localAddr} ${at.localPort}`;
    const sum = sums.get(key) ?? { at, length: 0, limit: 0 };
    sum.length += at.backlog;
    sum.limit += at.maxBacklog;
    sums.set(key, sum);
  }
  for (const { at, length, limit } of sums.values()) {
    const labels = { network_local_address: at.localAddr, network_local_port: at.localPort };
    snapshot.add('netwatch_tcp_accept_queue_length', labels, length);
    snapshot.add('netwatch_tcp_accept_queue_limit', labels, limit);
  }
}

/** The busiest first, among equals the newest. */
export function busiest(entries: Iterable<Entry>, most: number): [shown: Entry[], left: number] {
  const open = [...entries].filter(({ last }) => last.state !== TCP_LISTEN);
  if (open.length > most)
    open.sort(
      (a, b) => b.recentBytes - a.recentBytes || (b.last.openNs ?? 0) - (a.last.openNs ?? 0),
    );
  return [open.slice(0, most), Math.max(0, open.length - most)];
}

const LISTENER_FAMILIES = new Set<string>(LISTENER_VALUES.map(({ family }) => family));

/** Gauges of single connections (-x), and retransmits (-r). */
export function addConnections(
  snapshot: Snapshot,
  shown: readonly Entry[],
  options: { readonly extra: boolean; readonly retrans: boolean },
): void {
  const values = [
    ...(options.extra ? EXTRA_VALUES.filter(({ family }) => !LISTENER_FAMILIES.has(family)) : []),
    ...(options.retrans ? RETRANSMIT_VALUES : []),
  ];
  for (const entry of shown) {
    snapshot.add('netwatch_connection_info', infoLabels(entry), 1);
    if (options.extra) {
      snapshot.add('netwatch_connection_state_info', stateLabels(entry), 1);
      snapshot.add('netwatch_connection_congestion_info', congestionLabels(entry), 1);
    }
    for (const { family, of } of values) {
      const value = of(entry.last);
      if (value !== null) snapshot.add(family, entry.labels, value);
    }
    const duration = durationSeconds(entry.last);
    if (options.extra && duration !== null)
      snapshot.add('netwatch_connection_duration_seconds', entry.labels, duration);
  }
}

/** A program and what the kernel counts about it. */
export interface ProgramReading {
  readonly state: ProgramState;
  readonly info: ProgramInfo | null;
}

export function addPrograms(snapshot: Snapshot, programs: readonly ProgramReading[]): void {
  for (const { state, info } of programs) {
    const { program, source, attachType, attached } = state;
    snapshot.add(
      'netwatch_bpf_program_attached',
      { source, program, attach_type: attachType },
      attached ? 1 : 0,
    );
    if (info === null) continue;
    if (info.recursionMisses > 0)
      snapshot.add(
        'netwatch_events_lost_total',
        { source, stage: 'recursion' },
        info.recursionMisses,
      );
    if (info.runCount === 0) continue;
    const seconds = info.runTimeNs / NS_PER_S;
    snapshot.add('netwatch_bpf_program_run_time_seconds_total', { source, program }, seconds);
    snapshot.add('netwatch_bpf_program_run_count_total', { source, program }, info.runCount);
  }
}

/** A map whose entries come and go. */
export interface MapReading {
  readonly map: string;
  readonly entries: number;
  readonly capacity: number;
}

export function addMaps(snapshot: Snapshot, maps: readonly MapReading[]): void {
  for (const { map, entries, capacity } of maps) {
    snapshot.add('netwatch_map_entries', { map }, entries);
    snapshot.add('netwatch_map_capacity', { map }, capacity);
  }
}

export interface RingReading {
  readonly source: string;
  readonly counts: RingCounts;
  readonly usedBytes: number;
  readonly capacityBytes: number;
}

export function addRings(snapshot: Snapshot, rings: readonly RingReading[]): void {
  for (const { source, counts, usedBytes, capacityBytes } of rings) {
    snapshot.add('netwatch_events_total', { source }, counts.accepted);
    snapshot.add('netwatch_events_lost_total', { source, stage: 'ringbuf' }, counts.lost);
    snapshot.add('netwatch_ringbuf_used_bytes', { source }, usedBytes);
    snapshot.add('netwatch_ringbuf_capacity_bytes', { source }, capacityBytes);
  }
}

export function addFiles(snapshot: Snapshot, files: ReadonlyMap<string, RotatingLogStats>): void {
  for (const [file, stats] of files) {
    snapshot.add('netwatch_records_accepted_total', { file }, stats.accepted);
    snapshot.add('netwatch_records_written_total', { file }, stats.written);
    snapshot.add('netwatch_events_lost_total', { source: file, stage: 'file' }, stats.lost);
    for (const [errno, count] of stats.writeErrors)
      snapshot.add('netwatch_file_write_errors_total', { file, errno }, count);
  }
}
