/**
 * Packets as lines of packets.log and as rows of the table: straight from the
 * kernel's record to bytes. The ns per line are in docs/cost.md.
 */
import { PACKET } from '../generated/packet.js';
import { readAddress, readDuration, readIp } from '../kernel/read.js';
import { formatAddress, formatEndpoint } from '../metrics/address.js';
import type { ByteWriter } from '../metrics/bytes.js';
import {
  packetLine,
  packetPrefix,
  PrefixCache,
  type PacketLabels,
  type PacketSample,
} from '../metrics/lines.js';

const { at: FIELD } = PACKET;

/** The words that name the connection: sock to the ports, in one piece. */
const KEY_OFFSET = FIELD.sock;
const KEY_WORDS = (FIELD.family - FIELD.sock) / 4;

const UNKNOWN_WORD = -1;

export interface PacketTextOptions {
  readonly labels: PacketLabels;
  /** Also as a row for the terminal. */
  readonly rows: boolean;
  readonly events?: PacketEvents | null;
}

/** Told of every packet that has its line, for --ndjson. */
export type PacketEvents = (view: DataView, at: number, packet: PacketSample) => void;

/** HTTP heads that belong to a packet; null if it carries none. */
export type HttpInfo = (view: DataView, at: number) => string | null;

export class PacketText {
  readonly lines: ByteWriter;
  readonly rows: ByteWriter;
  readonly #options: PacketTextOptions;
  readonly #toWallMs: (ns: number) => number;
  readonly #httpInfo: HttpInfo;
  readonly #prefixes = new PrefixCache(KEY_WORDS);
  #words: Int32Array = new Int32Array(0);
  #view: DataView | null = null;

  constructor(
    options: PacketTextOptions,
    lines: ByteWriter,
    rows: ByteWriter,
    toWallMs: (ns: number) => number,
    httpInfo: HttpInfo,
  ) {
    this.#options = options;
    this.lines = lines;
    this.rows = rows;
    this.#toWallMs = toWallMs;
    this.#httpInfo = httpInfo;
  }

  /** Adds one packet's line, and its row if rows are wanted. */
  add(view: DataView, at: number): void {
    if (view !== this.#view) {
      this.#view = view;
      this.#words = new Int32Array(view.buffer, view.byteOffset, view.byteLength >> 2);
    }
    const words = this.#words;
    const { labels, rows, events } = this.#options;
    const packet = {
      seq: words[(at + FIELD.seq) >> 2]! >>> 0,
      ack: words[(at + FIELD.ack) >> 2]! >>> 0,
      received: view.getUint8(at + FIELD.rx) === 1,
      macNs: labels.times ? duration(words, view, at + FIELD.macNs) : null,
      ipNs: labels.times ? duration(words, view, at + FIELD.ipNs) : null,
      tcpNs: labels.times ? duration(words, view, at + FIELD.tcpNs) : null,
      httpInfo: view.getUint8(at + FIELD.httpHeads) > 0 ? this.#httpInfo(view, at) : null,
      lengthBytes: words[(at + FIELD.payloadBytes) >> 2]! >>> 0,
      timestampMs: this.#toWallMs(
        (words[(at + 4) >> 2]! >>> 0) * 0x1_0000_0000 + (words[at >> 2]! >>> 0),
      ),
    };
    const prefix = this.#prefixes.get(words, (at + KEY_OFFSET) >> 2, this.#render);
    packetLine(this.lines, prefix, packet, labels);
    if (rows) this.rows.utf8(packetRow(readAddress(view, at + FIELD.sock), packet));
    events?.(view, at, packet);
  }

  readonly #render = (words: Int32Array, index: number): Uint8Array => {
    const view = new DataView(words.buffer, words.byteOffset, words.byteLength);
    const at = index * 4 - KEY_OFFSET;
    return packetPrefix(
      formatAddress(readAddress(view, at + FIELD.sock)),
      formatEndpoint(
        readIp(view, at + FIELD.localAddr),
        view.getUint16(at + FIELD.localPort, true),
      ),
      formatEndpoint(readIp(view, at + FIELD.peerAddr), view.getUint16(at + FIELD.peerPort, true)),
    );
  };
}

/** Most durations fit 32 bits: one load and a compare. */
function duration(words: Int32Array, view: DataView, at: number): number | null {
  const high = words[(at + 4) >> 2]!;
  if (high === 0) return words[at >> 2]! >>> 0;
  return high === UNKNOWN_WORD ? null : readDuration(view, at);
}

interface Row {
  readonly seq: number;
  readonly ack: number;
  readonly received: boolean;
  readonly macNs: number | null;
  readonly ipNs: number | null;
  readonly tcpNs: number | null;
  readonly httpInfo: string | null;
}

const column = (text: string | number, width: number): string => `${text}`.padEnd(width);
const micros = (ns: number | null): string => (ns === null ? '-' : `${Math.round(ns / 1000)}`);

/** The header of the packet table; widths and names are the original's. */
export const PACKET_TABLE_HEADER = `${[
  column('SOCK', 22),
  column('SEQ', 10),
  column('ACK', 10),
  column('MAC_TIME', 10),
  column('IP_TIME', 10),
  column('TCP_TIME', 10),
  column('RX', 5),
].join(' ')} HTTP\n`;

/** One row: times in microseconds, `-` where something is not known. */
export function packetRow(sock: number, row: Row): string {
  const cells = [
    column(formatAddress(sock), 22),
    column(row.seq, 10),
    column(row.ack, 10),
    column(micros(row.macNs), 10),
    column(micros(row.ipNs), 10),
    column(micros(row.tcpNs), 10),
    column(row.received ? 1 : 0, 5),
  ];
  return `${cells.join(' ')} ${row.httpInfo ?? '-'}\n`;
}
