/** What all connections together came to since the start: opened, failed, moved, sent again. */
import {
  OUTCOME,
  ROLE,
  type ConnectionTotals,
  type RetransmitTotals,
} from '../../generated/connection.js';
import type { TimeWaitSegments } from '../../generated/packet.js';
import { LABEL_VALUES } from '../../metrics/families.js';
import type { Part } from '../../metrics/snapshot.js';
import type { Connection } from '../../sources/connection.js';
import {
  connectionState,
  TCP_CLOSE,
  TCP_CLOSE_WAIT,
  TCP_CLOSING,
  TCP_LAST_ACK,
  TCP_LISTEN,
  TCP_NEW_SYN_RECV,
} from '../../sources/tcp-states.js';
import { LONG_SLOTS } from '../../metrics/histogram.js';
import { fold, foldedFine } from './kernel-histogram.js';

/** What this file writes. */
type Writes = Part<
  | 'netwatch_tcp_connections_total'
  | 'netwatch_tcp_handshake_duration_seconds'
  | 'netwatch_tcp_connection_duration_seconds'
  | 'netwatch_tcp_rtt_seconds'
  | 'netwatch_tcp_rtt_fine_seconds'
  | 'netwatch_tcp_state_duration_seconds'
  | 'netwatch_tcp_io_bytes_total'
  | 'netwatch_tcp_segments_total'
  | 'netwatch_tcp_retransmits_total'
  | 'netwatch_tcp_retransmits_recovered_total'
>;

const ROLES = ['client', 'server'] as const;

/** error_type by outcome; success has none. */
export const ERROR_TYPES: readonly (readonly [number, string])[] = [
  [OUTCOME.NW_OUTCOME_SUCCESS, ''],
  [OUTCOME.NW_OUTCOME_REFUSED, 'refused'],
  [OUTCOME.NW_OUTCOME_RESET, 'reset'],
  [OUTCOME.NW_OUTCOME_TIMED_OUT, 'timed_out'],
  [OUTCOME.NW_OUTCOME_HOST_UNREACHABLE, 'host_unreachable'],
  [OUTCOME.NW_OUTCOME_NET_UNREACHABLE, 'net_unreachable'],
  [OUTCOME.NW_OUTCOME_OTHER, '_OTHER'],
  [OUTCOME.NW_OUTCOME_CLOSED, 'closed'],
];

/** Bytes and segments of everything that is open now, and segments of what is in TIME_WAIT or was. */
export interface LiveSums {
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly segsIn: number;
  readonly segsOut: number;
}

const FIN_RECEIVED = new Set([TCP_CLOSE_WAIT, TCP_LAST_ACK, TCP_CLOSING]);

export function sumLive(
  entries: Iterable<{ readonly last: Connection }>,
  timeWait: TimeWaitSegments = { received: 0, sent: 0 },
): LiveSums {
  const sums = {
    ...{ bytesSent: 0, bytesReceived: 0 },
    ...{ segsIn: timeWait.received, segsOut: timeWait.sent },
  };
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

  /** The highest so far. */
  of(key: string): number {
    return this.#seen.get(key) ?? 0;
  }

  raise(key: string, value: number): number {
    const highest = Math.max(value, this.#seen.get(key) ?? 0);
    this.#seen.set(key, highest);
    return highest;
  }
}

/** `least`: bytes that the records of connections have shown, a moment later than the totals. */
export function addConnectionTotals(
  snapshot: Writes,
  totals: ConnectionTotals,
  live: LiveSums,
  counters: NeverFalling,
  least: { readonly sent: number; readonly received: number } = { sent: 0, received: 0 },
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
      snapshot.histogram(name, label, ...foldedFine(name, handshake, LONG_SLOTS));
    }
    if (duration !== undefined) {
      const name = 'netwatch_tcp_connection_duration_seconds';
      snapshot.histogram(name, label, ...foldedFine(name, duration, LONG_SLOTS));
    }
  }
  for (const name of ['netwatch_tcp_rtt_seconds', 'netwatch_tcp_rtt_fine_seconds'] as const)
    snapshot.histogram(name, {}, ...foldedFine(name, totals.rtt));
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
  const received = Math.max(totals.bytesReceived + live.bytesReceived, least.received);
  const sent = Math.max(totals.bytesSent + live.bytesSent, least.sent);
  io('receive', received, totals.segsIn + live.segsIn);
  io('transmit', sent, totals.segsOut + live.segsOut);
}

function addStateDurations(snapshot: Writes, totals: ConnectionTotals): void {
  const name = 'netwatch_tcp_state_duration_seconds';
  for (let state = 1; state < TCP_NEW_SYN_RECV; state++) {
    const histogram = totals.state[state];
    if (state === TCP_CLOSE || state === TCP_LISTEN || histogram === undefined) continue;
    const label = { network_connection_state: connectionState(state) };
    snapshot.histogram(name, label, ...fold(name, histogram));
  }
}

export function addRetransmits(snapshot: Writes, totals: RetransmitTotals): void {
  for (const [index, type] of LABEL_VALUES.network_tcp_retransmit_type.entries())
    snapshot.add(
      'netwatch_tcp_retransmits_total',
      { network_tcp_retransmit_type: type },
      totals.segments[index] ?? 0,
    );
  snapshot.add('netwatch_tcp_retransmits_recovered_total', {}, totals.recovered);
}
