/** Records of HTTP as the kernel writes them: first lines of requests, and exchanges with their parts. */
import {
  HTTP_EXCHANGE,
  HTTP_HEAD,
  HTTP_OUTCOME,
  HTTP_ROLE,
  KIND,
  UNEXPLAINED,
} from '../../src/generated/packet.js';

const UNKNOWN = 2n ** 64n - 1n;
const DURATION_BYTES = 8;
export const SERVER = HTTP_ROLE.NW_HTTP_ROLE_SERVER;
export const CLIENT = HTTP_ROLE.NW_HTTP_ROLE_CLIENT;
/** Sockets, by a number of the test's own. */
const sockOf = (index: number): bigint => 0xffff_8812_0000_0000n + BigInt(index) * 0x40n;

export interface HeadFields {
  readonly sock?: number;
  readonly number?: number;
  readonly line?: string;
  readonly status?: number;
  readonly truncated?: boolean;
}

export function headRecord(fields: HeadFields = {}): DataView {
  const { sock = 1, number = 0, line = 'GET / HTTP/1.1', status = 0, truncated = false } = fields;
  const { at: field, size } = HTTP_HEAD;
  const view = new DataView(new ArrayBuffer(size));
  view.setUint32(field.kind, KIND.NW_KIND_HTTP_HEAD, true);
  view.setBigUint64(field.sock, sockOf(sock), true);
  view.setUint16(field.status, status, true);
  view.setUint16(field.lineBytes, line.length, true);
  view.setUint8(field.truncated, Number(truncated));
  view.setUint32(field.number, number, true);
  new Uint8Array(view.buffer).set(Buffer.from(line, 'latin1'), field.line);
  return view;
}

export interface ExchangeFields {
  readonly tsNs?: number;
  readonly sock?: number;
  readonly number?: number;
  readonly role?: number;
  readonly method?: number;
  readonly status?: number;
  readonly outcome?: number;
  readonly durationNs?: number;
  /** By index; null: not known. Absent: all of the time is the application's, or the remote part. */
  readonly partNs?: readonly (number | null)[];
  /** Durations inside of parts and behind the end, by the record's names. */
  readonly inside?: Readonly<Partial<Record<InsideName, number>>>;
  readonly serverPort?: number;
  readonly pid?: number;
  readonly comm?: string;
  readonly retransmits?: number;
  readonly early?: boolean;
  readonly unexplained?: number;
}

const INSIDE = [
  'reorderingNs',
  'runQueueNs',
  'sendBufferNs',
  'sendRetransmitNs',
  'receiveWindowNs',
  'waitRetransmitNs',
  'networkNs',
  'deliveryNs',
] as const;
type InsideName = (typeof INSIDE)[number];

function defaultParts(role: number, ns: number): (number | null)[] {
  return role === SERVER ? [0, 0, 0, ns, 0, 0] : [0, 0, ns, 0, 0, null];
}

/** A server's connection of 10.0.0.2:40000 to 10.0.0.1:80 unless the fields say otherwise. */
export function exchangeRecord(fields: ExchangeFields = {}): DataView {
  const { at: field, size } = HTTP_EXCHANGE;
  const view = new DataView(new ArrayBuffer(size));
  const { role = SERVER, durationNs = 1_000_000, pid = 4711, comm = 'nginx' } = fields;
  const put = (at: number, ns: number | null | undefined): void => {
    view.setBigUint64(at, ns === null || ns === undefined ? UNKNOWN : BigInt(ns), true);
  };
  view.setUint32(field.kind, KIND.NW_KIND_HTTP_EXCHANGE, true);
  view.setBigUint64(field.tsNs, BigInt(fields.tsNs ?? 0), true);
  view.setBigUint64(field.sock, sockOf(fields.sock ?? 1), true);
  put(field.durationNs, durationNs);
  put(field.firstByteNs, null);
  const parts = fields.partNs ?? defaultParts(role, durationNs);
  for (let i = 0; i < 6; i++) put(field.partNs + DURATION_BYTES * i, parts[i]);
  for (const name of INSIDE) put(field[name], fields.inside?.[name]);
  const bytes = new Uint8Array(view.buffer);
  const isServer = role === SERVER;
  const addresses = [
    [10, 0, 0, isServer ? 1 : 2],
    [10, 0, 0, isServer ? 2 : 1],
  ];
  bytes.set([0xff, 0xff, ...addresses[0]!], field.localAddr + 10);
  bytes.set([0xff, 0xff, ...addresses[1]!], field.peerAddr + 10);
  const serverPort = fields.serverPort ?? 80;
  view.setUint16(field.localPort, isServer ? serverPort : 40_000, true);
  view.setUint16(field.peerPort, isServer ? 40_000 : serverPort, true);
  view.setUint8(field.family, 2);
  bytes.set(Buffer.from(comm), field.comm);
  view.setUint32(field.pid, pid, true);
  view.setUint32(field.number, fields.number ?? 0, true);
  view.setUint32(field.retransmits, fields.retransmits ?? 0, true);
  view.setUint16(field.status, fields.status ?? 200, true);
  view.setUint16(field.serverPort, serverPort, true);
  view.setUint8(field.role, role);
  view.setUint8(field.method, fields.method ?? 3);
  view.setUint8(field.version, 1);
  view.setUint8(field.outcome, fields.outcome ?? HTTP_OUTCOME.NW_HTTP_ANSWERED);
  view.setUint8(field.early, Number(fields.early ?? false));
  view.setUint8(field.unexplained, fields.unexplained ?? UNEXPLAINED.NW_EXPLAINED);
  return view;
}
