/**
 * The events of the logs as flat objects (but for `accepted_by`, a process), for the NDJSON files: one for a line of packets.log and
 * err.log, one for all the lines that one look at a connection puts into connects.log.
 *
 * Names are those of our labels and families, and OpenTelemetry's with underscores where it has
 * one. What is not known is null and never `-`, what was not asked for is absent. Numbers are
 * numbers, except 64-bit identities: a JSON number is exact up to 2^53 only.
 */
import type { PacketLabels, PacketSample } from './lines.js';
import { safeValue } from './text.js';

/** A process, where another one than the owner is meant. */
export interface ProcessName {
  readonly pid: number;
  readonly process: string;
}

export type NdjsonValue = string | number | boolean | null | ProcessName;
export type NdjsonEvent = Readonly<Record<string, NdjsonValue>>;

/** What names a connection. */
export interface Ends {
  /** The socket's address as the kernel prints it; null if no socket had the packet. */
  readonly sock: string | null;
  readonly localAddress: string;
  readonly localPort: number;
  readonly peerAddress: string;
  readonly peerPort: number;
}

/** A process as the owner of something; null where that is not known. */
export interface ProcessOwner {
  readonly pid: number | null;
  readonly process: string | null;
  /** Of its cgroup; null: that is not known. */
  readonly names: Names | null;
}

/** Nobody is known. */
export const NO_OWNER: ProcessOwner = { pid: null, process: null, names: null };

/** Whose a connection is; null where that is not known. */
export interface Owner extends ProcessOwner {
  readonly isServer: boolean | null;
  /** Null: nobody else has accepted it. */
  readonly acceptedBy: ProcessName | null;
}

/** What a connection event is about: `accept` and `handover` tell the process that has got it. */
export type ConnectionEventKind = 'open' | 'accept' | 'handover' | 'sample' | 'close';

/** One drop or reset. */
export interface ErrorSample {
  readonly type: 'drop' | 'reset_received' | 'reset_sent';
  /** The kernel's name for it. */
  readonly reason: string;
  readonly seq: number;
  readonly ack: number;
  /** Drops and resets that belong together have the same. */
  readonly event: string;
  /** Who has sent a reset that was received, and why; null: that is not known. */
  readonly sender: { readonly owner: ProcessOwner; readonly reason: string } | null;
}

/** How a cgroup is called; null: in none of these. */
export interface Names {
  readonly path: string;
  readonly unit: string | null;
  readonly container: string | null;
  readonly pod: string | null;
}

const safe = (text: string | null): string | null => (text === null ? null : safeValue(text));

/** Whose a process is; all are null where its cgroup is not known. */
/** Unit, container and pod; null: not known, or in none. */
export const nameFields = (names: Names | null): NdjsonEvent => ({
  unit: safe(names?.unit ?? null),
  container: names?.container ?? null,
  pod: names?.pod ?? null,
});

/** The same with the path of the cgroup. */
export function cgroupFields(names: Names | null): NdjsonEvent {
  return { ...nameFields(names), cgroup: safe(names?.path ?? null) };
}

const ownerFields = ({ pid, process, names }: ProcessOwner): NdjsonEvent => ({
  pid,
  process: safe(process),
  ...nameFields(names),
});

const NS_PER_US = 1000;

const micros = (ns: number | null): number | null => (ns === null ? null : ns / NS_PER_US);

let lastMs = NaN;
let lastTime = '';

/** RFC 3339 in UTC; events of the same millisecond, which come together, share the text. */
export function timeOf(timestampMs: number): string {
  if (timestampMs === lastMs) return lastTime;
  lastMs = timestampMs;
  return (lastTime = new Date(timestampMs).toISOString());
}

/** Who speaks through a proxy. */
interface Client {
  readonly address: string;
  readonly port: number;
}

/** A line of packets.log; `client`: the one for whom a proxy speaks, if it has said so. */
export function packetEvent(
  ends: Ends,
  packet: PacketSample,
  has: PacketLabels,
  owner: ProcessOwner = NO_OWNER,
  client: Client | null = null,
): NdjsonEvent {
  const event: Record<string, NdjsonValue> = {
    time: timeOf(packet.timestampMs),
    event: 'packet',
    sock: ends.sock,
    network_local_address: ends.localAddress,
    network_local_port: ends.localPort,
    network_peer_address: ends.peerAddress,
    network_peer_port: ends.peerPort,
    ...ownerFields(owner),
    network_io_direction: packet.received ? 'receive' : 'transmit',
    seq: packet.seq,
    ack: packet.ack,
    retransmit: packet.retransmitted,
    length_bytes: packet.lengthBytes,
  };
  if (has.times) {
    event['mac_time_us'] = micros(packet.macNs);
    event['ip_time_us'] = micros(packet.ipNs);
    event['tcp_time_us'] = micros(packet.tcpNs);
    if (packet.received) event['reorder_time_us'] = micros(packet.reorderNs);
  }
  if (has.http)
    event['http_info'] = packet.httpInfo === null ? null : safeValue(String(packet.httpInfo));
  if (client !== null) {
    event['client_address'] = client.address;
    event['client_port'] = client.port;
  }
  return event;
}

const senderFields = (sender: ErrorSample['sender']): NdjsonEvent => ({
  peer_pid: sender?.owner.pid ?? null,
  peer_process: safe(sender?.owner.process ?? null),
  peer_reason: safe(sender?.reason ?? null),
});

/** A line of err.log. */
export function errorEvent(
  ends: Ends,
  owner: ProcessOwner,
  error: ErrorSample,
  timestampMs: number,
): NdjsonEvent {
  return {
    time: timeOf(timestampMs),
    event: 'tcp_error',
    type: error.type,
    reason: safeValue(error.reason),
    sock: ends.sock,
    network_local_address: ends.localAddress,
    network_local_port: ends.localPort,
    network_peer_address: ends.peerAddress,
    network_peer_port: ends.peerPort,
    ...ownerFields(owner),
    seq: error.seq,
    ack: error.ack,
    event_id: error.event,
    ...(error.type === 'reset_received' ? senderFields(error.sender) : {}),
  };
}

function acceptor(acceptedBy: ProcessName | null): NdjsonEvent {
  if (acceptedBy === null) return {};
  const { pid, process } = acceptedBy;
  return { accepted_by: { pid, process: safeValue(process) } };
}

/** Lines of connects.log that were written together; `changes` are their values. */
export function connectionEvent(
  kind: ConnectionEventKind,
  ends: Ends,
  owner: Owner,
  changes: NdjsonEvent,
  timestampMs: number,
): NdjsonEvent {
  return {
    time: timeOf(timestampMs),
    event: `connection_${kind}`,
    sock: ends.sock,
    network_local_address: ends.localAddress,
    network_local_port: ends.localPort,
    network_peer_address: ends.peerAddress,
    network_peer_port: ends.peerPort,
    ...ownerFields(owner),
    cgroup: safe(owner.names?.path ?? null),
    is_server: owner.isServer,
    ...acceptor(owner.acceptedBy),
    ...changes,
  };
}
