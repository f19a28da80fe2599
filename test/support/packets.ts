/** The lines of packets.log, typed, and in a form in which tcpdump's packets can equal them. */
import type { Sample } from './samples.js';
import type { Packet } from './tcpdump.js';

export interface PacketLine {
  readonly sock: string;
  /** The watched socket's own end, as in 127.0.0.1:80 or [::1]:80. */
  readonly src: string;
  readonly dst: string;
  readonly seq: number;
  readonly ack: number;
  readonly received: boolean;
  /** It was sent before. */
  readonly isAgain: boolean;
  /** Microseconds; null for `-`; undefined where lines have no such label. */
  readonly macUs: number | null | undefined;
  readonly ipUs: number | null | undefined;
  readonly tcpUs: number | null | undefined;
  readonly http: string | null | undefined;
  /** Of payload. */
  readonly bytes: number;
  readonly timestampMs: number;
}

/** In the order of the file. */
export function packetLines(samples: readonly Sample[]): PacketLine[] {
  return samples.map(({ name, labels, value, timestampMs }) => {
    if (name !== 'netwatch_packet_bytes') throw new Error(`in packets.log: ${name}`);
    const { sock = '', src = '', dst = '', seq, ack, rx, mac_time, ip_time, tcp_time } = labels;
    if (rx !== '0' && rx !== '1') throw new Error(`rx="${rx}"`);
    const { http_info } = labels;
    return {
      sock,
      src,
      dst,
      seq: Number(seq),
      ack: Number(ack),
      received: rx === '1',
      macUs: microseconds(mac_time),
      ipUs: microseconds(ip_time),
      isAgain: labels['retransmit'] === '1',
      tcpUs: microseconds(tcp_time),
      http: http_info === '-' ? null : http_info,
      bytes: value,
      timestampMs: timestampMs ?? NaN,
    };
  });
}

function microseconds(text: string | undefined): number | null | undefined {
  if (text === undefined) return undefined;
  if (text === '-') return null;
  if (!/^\d+(\.\d{1,3})?$/.test(text)) throw new Error(`a time of ${text}`);
  return Number(text);
}

/** The port of an endpoint. */
export function portOf(endpoint: string): number {
  return Number(endpoint.slice(endpoint.lastIndexOf(':') + 1));
}

/** Whether a line or packet has this port at either end. */
export function hasPort(packet: PacketLine | Packet, port: number): boolean {
  if ('srcPort' in packet) return packet.srcPort === port || packet.dstPort === port;
  return portOf(packet.src) === port || portOf(packet.dst) === port;
}

/** A packet as the wire has it: from, to, seq, ack, payload. */
export function onTheWire(packet: PacketLine | Packet): string {
  if ('srcPort' in packet) {
    const { src, srcPort, dst, dstPort, seq, ack, length } = packet;
    return `${endpoint(src, srcPort)} > ${endpoint(dst, dstPort)} ${seq} ${ack ?? 0} ${length}`;
  }
  const { src, dst, seq, ack, received, bytes } = packet;
  return `${received ? `${dst} > ${src}` : `${src} > ${dst}`} ${seq} ${ack} ${bytes}`;
}

function endpoint(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

export interface Difference {
  readonly missing: readonly string[];
  readonly surplus: readonly string[];
}

/** What two multisets do not share; nothing if they are equal. */
export function difference(wanted: readonly string[], found: readonly string[]): Difference {
  const counts = new Map<string, number>();
  for (const item of wanted) counts.set(item, (counts.get(item) ?? 0) + 1);
  for (const item of found) counts.set(item, (counts.get(item) ?? 0) - 1);
  const having = (sign: 1 | -1) =>
    [...counts].flatMap(([item, n]) => Array<string>(Math.max(0, sign * n)).fill(item));
  return { missing: first(having(1)), surplus: first(having(-1)) };
}

/** No difference. */
export const SAME: Difference = { missing: [], surplus: [] };

const SHOWN = 5;

/** The first few of a list, and how many more there are: enough for a message. */
export function first(all: readonly string[]): string[] {
  const more = all.length - SHOWN;
  return more <= 0 ? [...all] : [...all.slice(0, SHOWN), `and ${more} more`];
}

/**
 * Those packets in the parts that segmentation offload gives them: each of `whole` becomes the run of
 * `parts` that covers it exactly, or stays as it is. In no order: two CPUs may send for one socket.
 * Nothing was sent twice.
 */
export function parted(whole: readonly PacketLine[], parts: readonly Packet[]): string[] {
  const beginning = new Map<string, Packet>();
  for (const part of parts) {
    if (part.length > 0) beginning.set(`${wayOf(part)} ${part.seq}`, part);
  }
  return whole.flatMap((line) => {
    const run: Packet[] = [];
    let bytes = 0;
    while (bytes < line.bytes) {
      const part = beginning.get(`${wayOf(line)} ${(line.seq + bytes) % 2 ** 32}`);
      if (!part) break;
      run.push(part);
      bytes += part.length;
    }
    return bytes > 0 && bytes === line.bytes ? run.map(onTheWire) : onTheWire(line);
  });
}

/** `from > to` */
export function wayOf(packet: PacketLine | Packet): string {
  return onTheWire(packet).split(' ', 3).join(' ');
}
