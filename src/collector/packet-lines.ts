/**
 * Packets as lines of packets.log and as rows of the table: straight from the
 * kernel's record to bytes. The ns per line are in docs/cost.md.
 */
import { MARK, PACKET } from '../generated/packet.js';
import { readAddress, readDuration, readIp } from '../kernel/read.js';
import { formatAddress, formatEndpoint } from '../metrics/address.js';
import type { ByteWriter, Constant } from '../metrics/bytes.js';
import {
  packetLine,
  packetPrefix,
  PrefixCache,
  type PacketLabels,
  type PacketSample,
  type PlainText,
} from '../metrics/lines.js';
import type { PacketEnds, PacketRows } from './packet-rows.js';
import { endsKey } from './process-names.js';

const { at: FIELD } = PACKET;

/** The words that name the connection: sock to the ports, in one piece. */
const KEY_OFFSET = FIELD.sock;
const KEY_WORDS = (FIELD.family - FIELD.sock) / 4;

const UNKNOWN_WORD = -1;

export interface PacketTextOptions {
  readonly labels: PacketLabels;
  /** Also as a row for the terminal; null: not. */
  readonly rows: PacketRows | null;
  readonly events?: PacketEvents | null;
}

/** Told of every packet that has its line, for --ndjson; `packet` holds until the next one. */
export type PacketEvents = (
  view: DataView,
  at: number,
  packet: PacketSample,
  ends: PacketEnds,
) => void;

/** HTTP heads that belong to a packet; null if it carries none. */
export type HttpInfo = (view: DataView, at: number) => string | PlainText | null;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** What is made once for each connection; one that is forgotten lends the next its memory. */
interface Known extends Mutable<PacketEnds> {
  readonly prefix: Constant;
}

export class PacketText {
  readonly lines: ByteWriter;
  readonly rows: ByteWriter;
  readonly #options: PacketTextOptions;
  readonly #toWallMs: (ns: number) => number;
  readonly #httpInfo: HttpInfo;
  readonly #known = new PrefixCache<Known>(KEY_WORDS);
  /** Filled anew for each packet: an object of its own would be half of what is allocated. */
  readonly #packet: Mutable<PacketSample> = {
    ...{ seq: 0, ack: 0, received: false, retransmitted: false, httpInfo: null },
    ...{ macNs: null, ipNs: null, tcpNs: null, reorderNs: null, lengthBytes: 0, timestampMs: 0 },
  };
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
    const packet = this.#packet;
    packet.seq = words[(at + FIELD.seq) >> 2]! >>> 0;
    packet.ack = words[(at + FIELD.ack) >> 2]! >>> 0;
    packet.received = view.getUint8(at + FIELD.rx) === 1;
    packet.retransmitted = (view.getUint8(at + FIELD.marks) & MARK.NW_MARK_RETRANSMITTED) !== 0;
    if (labels.times) {
      packet.macNs = duration(words, view, at + FIELD.macNs);
      packet.ipNs = duration(words, view, at + FIELD.ipNs);
      packet.tcpNs = duration(words, view, at + FIELD.tcpNs);
      packet.reorderNs = duration(words, view, at + FIELD.reorderNs);
    }
    packet.httpInfo = view.getUint8(at + FIELD.httpHeads) > 0 ? this.#httpInfo(view, at) : null;
    packet.lengthBytes = words[(at + FIELD.payloadBytes) >> 2]! >>> 0;
    packet.timestampMs = this.#toWallMs(
      (words[(at + 4) >> 2]! >>> 0) * 0x1_0000_0000 + (words[at >> 2]! >>> 0),
    );
    const known = this.#known.get(words, (at + KEY_OFFSET) >> 2, this.#render);
    packetLine(this.lines, known.prefix, packet, labels);
    if (rows !== null) this.rows.utf8(rows.row(view, at, packet, known));
    events?.(view, at, packet, known);
  }

  readonly #render = (words: Int32Array, index: number, old: Known | undefined): Known => {
    const view = new DataView(words.buffer, words.byteOffset, words.byteLength);
    const at = index * 4 - KEY_OFFSET;
    const end = (address: number, port: number): string =>
      formatEndpoint(readIp(view, at + address), view.getUint16(at + port, true));
    const src = end(FIELD.localAddr, FIELD.localPort);
    const dst = end(FIELD.peerAddr, FIELD.peerPort);
    const sock = formatAddress(readAddress(view, at + FIELD.sock));
    const prefix = packetPrefix(sock, src, dst, old?.prefix);
    const known = old ?? { prefix, src: '', dst: '', key: '' };
    if (this.#options.rows !== null || this.#options.events) {
      known.src = src;
      known.dst = dst;
      known.key = endsKey(view.getUint32(at + FIELD.netns, true), src, dst);
    }
    return known;
  };
}

/** Most durations fit 32 bits: one load and a compare. */
function duration(words: Int32Array, view: DataView, at: number): number | null {
  const high = words[(at + 4) >> 2]!;
  if (high === 0) return words[at >> 2]! >>> 0;
  return high === UNKNOWN_WORD ? null : readDuration(view, at);
}
