/**
 * The packet table on the screen: who sent what to whom, and the columns whose option is on. Pure but
 * for the names of processes.
 */
import { PACKET } from '../generated/packet.js';
import type { PacketLabels, PacketSample } from '../metrics/lines.js';
import { oneLine } from '../metrics/text.js';
import { clockTime } from '../metrics/wall-clock.js';
import type { ProcessNames } from './process-names.js';

const { at: FIELD } = PACKET;

/** The two ends of a packet's connection; `src` is the socket's own end, as in the logs. */
export interface PacketEnds {
  readonly src: string;
  readonly dst: string;
  /** For {@link ProcessNames}. */
  readonly key: string;
}

/** Where the rows for the terminal go. */
export interface RowSink {
  write(bytes: Uint8Array, rows: number): void;
  /** Rows that could not be shown so far. */
  readonly dropped: number;
}

/** One way to show packets. */
export interface PacketRows {
  /** With its newline. */
  readonly header: string;
  /** The row of a packet whose record is in `view` at `at`, with its newline. */
  readonly row: (view: DataView, at: number, packet: PacketSample, ends: PacketEnds) => string;
}

export interface PacketRowOptions extends PacketLabels {
  /** SEQ and ACK. */
  readonly numbers: boolean;
}

/**
 * Where columns end. Most names and IPv4 addresses fit; one that does not takes the room of those
 * after it, so that the columns behind them stay in place: 80 characters in all, 100 with times.
 */
const WIDTH = { time: 12, process: 12, end: 19, flags: 5, length: 6, number: 10 } as const;
const TIMES = ['MAC_us', 'IP_us', 'TCP_us'] as const;
const SENT = '→';
const RECEIVED = '←';
const UNKNOWN = '-';
const MARK = '[retransmit]';

/** TCP's flags as tcpdump writes them. */
const FLAGS: readonly (readonly [bit: number, letter: string])[] = [
  [0x02, 'S'],
  [0x01, 'F'],
  [0x04, 'R'],
  [0x08, 'P'],
  [0x20, 'U'],
  [0x40, 'E'],
  [0x80, 'W'],
  [0x10, '.'],
];
const SYN_ACK = 0x12;
const FLAG_TEXTS = Array.from({ length: 256 }, (_, flags) =>
  FLAGS.map(([bit, letter]) => (flags & bit ? letter : '')).join(''),
);

/** SYN-ACKs remembered, to know one that is sent again. */
const MOST_SYN_ACKS = 4096;

interface Cell {
  readonly text: string;
  readonly width: number;
  readonly right?: true;
}

function joined(cells: readonly Cell[], rest: string): string {
  let line = '';
  let end = -1;
  for (const { text, width, right } of cells) {
    const start = line === '' ? '' : `${line} `;
    end += 1 + width;
    line = right ? start + text.padStart(end - start.length) : (start + text).padEnd(end);
  }
  return `${rest === '' ? line.trimEnd() : `${line} ${rest}`}\n`;
}

const left = (text: string, width: number): Cell => ({ text, width });
const right = (text: string, width: number): Cell => ({ text, width, right: true });

/** Tenths below 10 us, whole ones above: three digits where it matters. */
function micros(ns: number | null): string {
  if (ns === null) return UNKNOWN;
  const us = ns / 1000;
  return us < 9.95 ? us.toFixed(1) : us.toFixed(0);
}

/** `HH:MM:SS.mmm`; the text of a second is made once. */
class Clock {
  #second = NaN;
  #text = '';

  read(wallMs: number): string {
    const second = Math.floor(wallMs / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#text = clockTime(wallMs);
    }
    return `${this.#text}.${String(wallMs - second * 1000).padStart(3, '0')}`;
  }
}

/** A SYN-ACK belongs to no connection yet: what has its number was sent before. */
class SynAcks {
  readonly #sent = new Map<string, number>();

  isAgain(key: string, seq: number): boolean {
    if (this.#sent.get(key) === seq) return true;
    if (this.#sent.size >= MOST_SYN_ACKS) {
      const oldest = this.#sent.keys().next().value;
      if (oldest !== undefined) this.#sent.delete(oldest);
    }
    this.#sent.set(key, seq);
    return false;
  }
}

function header(options: PacketRowOptions): string {
  const { numbers, times, http } = options;
  return joined(
    [
      left('TIME', WIDTH.time),
      left('PROCESS', WIDTH.process),
      left('SRC', WIDTH.end),
      left(SENT, 1),
      left('DST', WIDTH.end),
      left('FLAGS', WIDTH.flags),
      ...(numbers ? [right('SEQ', WIDTH.number), right('ACK', WIDTH.number)] : []),
      right('LENGTH', WIDTH.length),
      ...(times ? TIMES.map((title) => right(title, title.length)) : []),
    ],
    http ? 'HTTP' : '',
  );
}

/** The table of `netwatch` without --format. */
export function packetRows(options: PacketRowOptions, names: ProcessNames): PacketRows {
  const { numbers, times } = options;
  const clock = new Clock();
  const synAcks = new SynAcks();
  const row: PacketRows['row'] = (view, at, packet, { src, dst, key }) => {
    const { received, seq, ack, lengthBytes, timestampMs, httpInfo } = packet;
    const flags = view.getUint8(at + FIELD.tcpFlags);
    const process = names.ownerOfPacket(view, at, key)?.comm ?? null;
    const isAgain =
      packet.retransmitted ||
      (!received && (flags & SYN_ACK) === SYN_ACK && synAcks.isAgain(key, seq));
    const layers = times ? [packet.macNs, packet.ipNs, packet.tcpNs] : [];
    return joined(
      [
        left(clock.read(timestampMs), WIDTH.time),
        left(process === null ? UNKNOWN : oneLine(process), WIDTH.process),
        left(src, WIDTH.end),
        left(received ? RECEIVED : SENT, 1),
        left(dst, WIDTH.end),
        left(FLAG_TEXTS[flags]!, WIDTH.flags),
        ...(numbers ? [right(`${seq}`, WIDTH.number), right(`${ack}`, WIDTH.number)] : []),
        right(`${lengthBytes}`, WIDTH.length),
        ...layers.map((ns, i) => right(micros(ns), TIMES[i]!.length)),
      ],
      [...(isAgain ? [MARK] : []), ...(httpInfo === null ? [] : [String(httpInfo)])].join(' '),
    );
  };
  return { header: header(options), row };
}
