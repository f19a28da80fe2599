/**
 * Columns of the connections table. Those of the snapshot speak for themselves: the unit at the end of a
 * family's name says how to write its values; only titles and what is shown at first are chosen here.
 */
import type { Kind } from './format.js';
import { words } from './format.js';

export interface Column {
  /** As in the snapshot. */
  readonly name: string;
  readonly title: string;
  /** What the title is short for. */
  readonly about: string;
  readonly kind: Kind | 'text';
  readonly shown: boolean;
}

/** Title and explanation of those shown at first, in this order. */
const FIRST: Readonly<Record<string, readonly [title: string, about: string]>> = {
  process: ['process', 'Name of the process that owns the connection'],
  pid: ['pid', 'Its process id'],
  unit: ['unit', 'Its systemd unit'],
  container: ['container', 'First digits of the id of its container'],
  src: ['local', 'Own end of the connection'],
  dst: ['peer', 'The other end'],
  is_server: ['role', 'Who opened it: a client connects, a server accepts'],
  state: ['state', 'TCP state'],
  srtt_seconds: ['srtt', 'Smoothed round-trip time'],
  cwnd_segments: ['cwnd', 'Congestion window, segments'],
  acked_bytes_total: ['sent', 'Bytes sent and acknowledged, SYN and FIN included'],
  received_bytes_total: ['received', 'Bytes received in order, FIN included'],
  retransmits_total: ['retrans', 'Segments sent again'],
  in_flight_bytes: ['in flight', 'Bytes thought to be in the network'],
  notsent_bytes: ['not sent', 'Bytes queued by the application and not yet sent'],
  wmem_queued_bytes: ['wmem', 'Memory held by the send queue'],
};

/** The same of others whose names do not say enough. */
const CHOSEN: typeof FIRST = {
  sent_payload_bytes_total: ['sent payload', 'Bytes of data sent and acknowledged'],
  received_payload_bytes_total: ['received payload', 'Bytes of data received in order'],
  sent_bytes_total: [
    'sent with repeats',
    'Bytes of data sent, once more each time they are sent again',
  ],
  retransmitted_bytes_total: ['sent again', 'Bytes of data sent again'],
  sent_segments_total: ['segments out', 'Segments sent'],
  received_segments_total: ['segments in', 'Segments received'],
  rto_seconds: ['rto', 'Time without an acknowledgement after which a segment is sent again'],
  mss_bytes: ['mss', 'Largest payload of a segment sent'],
  snd_wnd_bytes: ['send window', 'Window that the other end offers'],
  busy_seconds_total: ['busy', 'Time with data to send or not yet acknowledged'],
  rwnd_limited_seconds_total: [
    'rwnd limited',
    'Time in which the window of the other end held sending up',
  ],
  sndbuf_limited_seconds_total: ['sndbuf limited', 'Time in which the send buffer held sending up'],
  receive_queue_bytes: ['not read', 'Bytes received that the application has not read'],
  ecn_negotiated: ['ecn', 'Both ends do explicit congestion notification'],
};

/** What a row is called; the rest of the snapshot's columns can be chosen. */
const TEXT = new Set([
  ...['sock', 'src', 'dst', 'process', 'pid', 'is_server', 'state', 'algorithm', 'congestion'],
  ...['unit', 'container', 'pod'],
]);
const UNITS: readonly (readonly [suffix: string, kind: Kind])[] = [
  ['_bytes_per_second', 'bytesRate'],
  ['_seconds', 'seconds'],
  ['_bytes_total', 'bytes'],
  ['_bytes', 'bytes'],
  ['_seconds_total', 'seconds'],
  ['_segments_total', 'count'],
  ['_segments', 'count'],
  ['_total', 'count'],
];

/** All columns, the ones shown at first in front; a column that is empty everywhere is left out. */
export function columnsOf(names: readonly string[], isUsed: (name: string) => boolean): Column[] {
  const first = Object.keys(FIRST).filter((name) => names.includes(name));
  const rest = names.filter((name) => !(name in FIRST));
  return [...first, ...rest].filter(isUsed).map(describe);
}

function describe(name: string): Column {
  const chosen = FIRST[name] ?? CHOSEN[name];
  const shown = name in FIRST;
  if (TEXT.has(name))
    return {
      name,
      title: chosen?.[0] ?? words(name),
      about: chosen?.[1] ?? words(name),
      kind: 'text',
      shown,
    };
  const [suffix, kind] = UNITS.find(([end]) => name.endsWith(end)) ?? ['', 'count'];
  return {
    name,
    title: chosen?.[0] ?? words(name.slice(0, name.length - suffix.length)),
    about: chosen?.[1] ?? words(name),
    kind,
    shown,
  };
}
