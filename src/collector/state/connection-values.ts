/**
 * What is reported of one connection: each family with the value it has in a
 * kernel record. Units are those of the family's name; null = the kernel does
 * not say.
 */
import { CONGESTION_STATES, TCP_SYN_SENT } from '../../sources/tcp-states.js';
import { COUNTED, ECN, ROLE } from '../../generated/connection.js';
import type { LogName, ScalarName } from '../../metrics/families.js';
import type { Connection } from '../../sources/connection.js';
import { payloadReceived } from '../../sources/payload.js';

interface Value {
  readonly family: Extract<LogName & ScalarName, `netwatch_connection_${string}`>;
  readonly of: (connection: Connection) => number | null;
}

const US_PER_S = 1e6;
const NS_PER_S = 1e9;
/** TCP_INFINITE_SSTHRESH: slow start has not ended yet. */
const INFINITE_SSTHRESH = 0x7fffffff;
/** min_rtt before the first measurement, and an unlimited pacing rate. */
const UNSET_U32 = 0xffffffff;
const UNSET_U64 = 2 ** 63;
/** The kernel keeps srtt shifted by 3 bits, mdev and rttvar by 2. */
const SRTT_SHIFT = 3;
const MDEV_SHIFT = 2;

const seconds = (us: number): number | null => (us === 0 ? null : us / US_PER_S);

/** The kernel begins with a guess of 0.25 s: known once a round trip is. */
const spread = ({ srttUs }: Connection, us: number): number | null =>
  srttUs === 0 ? null : seconds(us >>> MDEV_SHIFT);

/** tcp_packets_in_flight() of the kernel, in bytes of full segments. */
function inFlightBytes(c: Connection): number {
  const segments = c.packetsOut - (c.sackedOut + c.lostOut) + c.retransOut;
  return Math.max(0, segments) * c.mss;
}

/** Data that the other end has acknowledged: without SYN and FIN, which take a number each. */
export const payloadSent = ({ bytesAcked, counted }: Connection): number =>
  bytesAcked -
  Number((counted & COUNTED.NW_COUNTED_SYN) !== 0) -
  Number((counted & COUNTED.NW_COUNTED_FIN) !== 0);

const ofNs = (ns: number | null): number | null => (ns === null ? null : ns / NS_PER_S);
const flag = (mask: number, bit: number): 0 | 1 => ((mask & bit) === 0 ? 0 : 1);

/** Index of the causes in {@link Connection.retransmits}. */
const FAST = 0;
const TIMEOUT = 1;

/** Listening sockets have these two and nothing else. */
export const LISTENER_VALUES = [
  { family: 'netwatch_connection_backlog', of: (c) => c.backlog },
  { family: 'netwatch_connection_max_backlog', of: (c) => c.maxBacklog },
] as const satisfies readonly Value[];

/** Option -x. */
const EXTRA_VALUES = [
  ...LISTENER_VALUES,
  { family: 'netwatch_connection_rwnd_bytes', of: (c) => c.rwnd },
  { family: 'netwatch_connection_cwnd_segments', of: (c) => c.cwnd },
  {
    family: 'netwatch_connection_ssthresh_segments',
    of: (c) => (c.ssthresh >= INFINITE_SSTHRESH ? null : c.ssthresh),
  },
  { family: 'netwatch_connection_sndbuf_bytes', of: (c) => c.sndbuf },
  { family: 'netwatch_connection_rcvbuf_bytes', of: (c) => c.rcvbuf },
  { family: 'netwatch_connection_wmem_queued_bytes', of: (c) => c.wmemQueued },
  { family: 'netwatch_connection_acked_bytes_total', of: (c) => c.bytesAcked },
  { family: 'netwatch_connection_received_bytes_total', of: (c) => c.bytesReceived },
  { family: 'netwatch_connection_srtt_seconds', of: (c) => seconds(c.srttUs >>> SRTT_SHIFT) },
  { family: 'netwatch_connection_mdev_seconds', of: (c) => spread(c, c.mdevUs) },
  { family: 'netwatch_connection_rttvar_seconds', of: (c) => spread(c, c.rttvarUs) },
  {
    family: 'netwatch_connection_min_rtt_seconds',
    of: (c) => (c.minRttUs === UNSET_U32 ? null : seconds(c.minRttUs)),
  },
  { family: 'netwatch_connection_retransmits_total', of: (c) => c.totalRetrans },
  { family: 'netwatch_connection_packets_out_segments', of: (c) => c.packetsOut },
  { family: 'netwatch_connection_unacked_bytes', of: (c) => c.unacked },
  { family: 'netwatch_connection_in_flight_bytes', of: inFlightBytes },
  { family: 'netwatch_connection_lost_segments', of: (c) => c.lostOut },
  { family: 'netwatch_connection_retrans_out_segments', of: (c) => c.retransOut },
  { family: 'netwatch_connection_reordering_segments', of: (c) => c.reordering },
  { family: 'netwatch_connection_delivered_segments_total', of: (c) => c.delivered },
  {
    family: 'netwatch_connection_pacing_rate_bytes_per_second',
    of: (c) => (c.pacingRate >= UNSET_U64 || c.pacingRate === UNSET_U32 ? null : c.pacingRate),
  },
  { family: 'netwatch_connection_notsent_bytes', of: (c) => c.notsent },
] as const satisfies readonly Value[];

/** Option -r. */
const RETRANSMIT_VALUES = [
  { family: 'netwatch_connection_fast_retransmits_total', of: (c) => c.retransmits[FAST] ?? 0 },
  {
    family: 'netwatch_connection_timeout_retransmits_total',
    of: (c) => c.retransmits[TIMEOUT] ?? 0,
  },
] as const satisfies readonly Value[];

/** Option -x again: behind the older ones, for those who read lines by their place. */
const PAYLOAD_VALUES = [
  { family: 'netwatch_connection_sent_payload_bytes_total', of: payloadSent },
  { family: 'netwatch_connection_received_payload_bytes_total', of: payloadReceived },
] as const satisfies readonly Value[];

/** The rest of what `ss -ti` shows: how an open connection is doing. */
const SOCKET_VALUES = [
  { family: 'netwatch_connection_sent_bytes_total', of: (c) => c.bytesSent },
  { family: 'netwatch_connection_retransmitted_bytes_total', of: (c) => c.bytesRetrans },
  { family: 'netwatch_connection_sent_segments_total', of: (c) => c.segsOut },
  { family: 'netwatch_connection_received_segments_total', of: (c) => c.segsIn },
  { family: 'netwatch_connection_mss_bytes', of: (c) => c.mss },
  { family: 'netwatch_connection_rto_seconds', of: (c) => ofNs(c.rtoNs) },
  {
    family: 'netwatch_connection_snd_wnd_bytes',
    of: (c) => (c.state === TCP_SYN_SENT ? null : c.sndWnd), // the other end has not said it yet
  },
  { family: 'netwatch_connection_sacked_segments', of: (c) => c.sackedOut },
  { family: 'netwatch_connection_busy_seconds_total', of: (c) => ofNs(c.busyNs) },
  { family: 'netwatch_connection_rwnd_limited_seconds_total', of: (c) => ofNs(c.rwndLimitedNs) },
  {
    family: 'netwatch_connection_sndbuf_limited_seconds_total',
    of: (c) => ofNs(c.sndbufLimitedNs),
  },
  {
    family: 'netwatch_connection_ecn_negotiated',
    of: (c) => flag(c.ecn, ECN.NW_ECN_NEGOTIATED),
  },
  { family: 'netwatch_connection_ecn_seen', of: (c) => flag(c.ecn, ECN.NW_ECN_SEEN) },
  {
    family: 'netwatch_connection_delivered_ce_segments_total',
    of: (c) => c.deliveredCe,
  },
  { family: 'netwatch_connection_receive_queue_bytes', of: (c) => c.unread },
] as const satisfies readonly Value[];

/** A value of one of the lists: its families are those that are written. */
export type ConnectionValue = (
  typeof EXTRA_VALUES | typeof RETRANSMIT_VALUES | typeof PAYLOAD_VALUES | typeof SOCKET_VALUES
)[number];

/** Of an open connection, in the order of their lines. */
export function valuesOf(options: {
  readonly extra: boolean;
  readonly retrans: boolean;
}): readonly ConnectionValue[] {
  return [
    ...(options.extra ? EXTRA_VALUES : []),
    ...(options.retrans ? RETRANSMIT_VALUES : []),
    ...(options.extra ? [...PAYLOAD_VALUES, ...SOCKET_VALUES] : []),
  ];
}

const ONLY_OF_OPEN: ReadonlySet<string> = new Set<ConnectionValue['family']>([
  'netwatch_connection_rwnd_bytes',
  'netwatch_connection_sndbuf_bytes',
  'netwatch_connection_rcvbuf_bytes',
  'netwatch_connection_wmem_queued_bytes',
  ...SOCKET_VALUES.map(({ family }) => family),
]);

/** True of those that say how an open connection is doing, more than what a closed one has been. */
export const isOfOpen = (family: string): boolean => ONLY_OF_OPEN.has(family);

/** Seconds since it was established; null for those that never were or are older than netwatch. */
export function durationSeconds({ tsNs, openNs, handshakeNs, role }: Connection): number | null {
  if (openNs === null) return null;
  if (role !== ROLE.NW_ROLE_CLIENT) return (tsNs - openNs) / NS_PER_S; // begins when it ends
  return handshakeNs === null ? null : (tsNs - openNs - handshakeNs) / NS_PER_S;
}

/** Seconds in its present state; null: nobody saw it begin. */
export const stateAgeSeconds = ({ tsNs, stateNs }: Connection): number | null =>
  stateNs === null ? null : (tsNs - stateNs) / NS_PER_S;

export function congestionState(connection: Connection): string {
  return CONGESTION_STATES[connection.caState] ?? `${connection.caState}`;
}
