/**
 * Keeps the heads of HTTP messages until the packet that completed them has its line. Mostly its record
 * comes right behind theirs, so the last few lie in a small buffer, as bytes; with -t a received packet
 * comes when the application has read it, and what waits for that goes to a table, as text.
 */
import { HTTP_HEAD, PACKET } from '../generated/packet.js';
import { putClean } from '../http/clean.js';
import { HeadCache, joinHttpInfo, LINE_MAX } from '../http/http-info.js';
import type { Targets } from '../http/targets.js';
import { PlainSlice, type PlainText } from '../metrics/lines.js';

const HEAD = HTTP_HEAD.at;
const FIELD = PACKET.at;
const TCP_SYN = 0x02;
const HIGH_WORD = 4;
/** Heads whose packet never came (its record was lost) must not pile up. */
const MAX_WAITING = 65_536;
/** A power of two. */
const RECENT = 8;

/** Of a head and of its packet: the socket, the sequence number, the direction. */
interface Key {
  low: number;
  high: number;
  seq: number;
  rx: number;
}

/** A head in the buffer; without a packet so far if it is `live`. */
interface Recent extends Key {
  live: boolean;
  /** Where its bytes end, if it is clean; else its text. */
  end: number;
  text: string | null;
}

interface Waiting extends Key {
  readonly texts: string[];
}

const isSame = (a: Key, b: Key): boolean =>
  a.seq === b.seq && a.low === b.low && a.high === b.high && a.rx === b.rx;

/** As one number, exact below 2^53; two keys with the same one are told apart by {@link isSame}. */
const numberOf = ({ seq, low, rx }: Key): number =>
  seq * 2 ** 21 + (((low >>> 4) & 0xf_ffff) << 1) + rx;

export class HttpHeads {
  readonly #texts: HeadCache;
  /** Whether a clean head may be shown as it is. */
  readonly #isWhole: boolean;
  readonly #buffer = Buffer.alloc(RECENT * LINE_MAX);
  readonly #clean = new PlainSlice(this.#buffer);
  readonly #recent: Recent[] = Array.from({ length: RECENT }, () => ({
    ...{ low: 0, high: 0, seq: 0, rx: 0 },
    ...{ live: false, end: 0, text: null },
  }));
  #next = 0;
  readonly #waiting = new Map<number, Waiting>();
  readonly #key: Key = { low: 0, high: 0, seq: 0, rx: 0 };
  #view: DataView | null = null;
  #bytes: Uint8Array = new Uint8Array(0);

  /** `targets`: how much of a request's target is shown. */
  constructor(targets: Targets = 'full') {
    this.#texts = new HeadCache(undefined, targets);
    this.#isWhole = targets === 'full';
  }

  /** Takes a head record; true: its line has nothing to hide, and is shown as it is. */
  add(view: DataView, at: number): boolean {
    if (view !== this.#view) {
      this.#view = view;
      this.#bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    }
    const index = this.#next;
    const head = this.#recent[index]!;
    this.#next = (index + 1) & (RECENT - 1);
    if (head.live) this.#wait(head, this.#textOf(head, index));
    head.low = view.getInt32(at + HEAD.sock, true);
    head.high = view.getInt32(at + HEAD.sock + HIGH_WORD, true);
    head.seq = view.getUint32(at + HEAD.seq, true);
    head.rx = view.getUint8(at + HEAD.rx);
    head.live = true;
    const length = view.getUint16(at + HEAD.lineBytes, true);
    const isCut = view.getUint8(at + HEAD.truncated) === 1;
    const line = at + HEAD.line;
    head.end =
      isCut || !this.#isWhole
        ? -1
        : putClean(this.#bytes, line, length, this.#buffer, index * LINE_MAX);
    const isClean = head.end >= 0;
    head.text = isClean ? null : this.#texts.text(this.#bytes, line, length, isCut);
    return isClean;
  }

  /** The heads of a packet as one text; null if their records were lost. */
  take(view: DataView, at: number): string | null {
    const found = this.find(view, at);
    return found === null ? null : String(found);
  }

  /** The same, as bytes if it is a clean one; these hold until the next call of a method. */
  find(view: DataView, at: number): string | PlainText | null {
    const key = this.#keyOf(view, at);
    let only = -1;
    let count = 0;
    for (let i = 0; i < RECENT; i++) {
      const head = this.#recent[i]!;
      if (!head.live || !isSame(head, key)) continue;
      only = i;
      count++;
    }
    if (count !== 1 || view.getUint8(at + FIELD.httpHeads) > 1) return this.#findAll(key);
    const head = this.#recent[only]!;
    head.live = false;
    if (head.text !== null) return head.text;
    this.#clean.from = only * LINE_MAX;
    this.#clean.to = head.end;
    return this.#clean;
  }

  #keyOf(view: DataView, at: number): Key {
    const key = this.#key;
    key.low = view.getInt32(at + FIELD.sock, true);
    key.high = view.getInt32(at + FIELD.sock + HIGH_WORD, true);
    // a SYN has a sequence number of its own, before the data of a fast open
    const isSyn = (view.getUint8(at + FIELD.tcpFlags) & TCP_SYN) !== 0;
    key.seq = (view.getUint32(at + FIELD.seq, true) + Number(isSyn)) >>> 0;
    key.rx = view.getUint8(at + FIELD.rx);
    return key;
  }

  /** Heads that have waited, and those in the buffer behind them: the oldest first. */
  #findAll(key: Key): string | null {
    const number = numberOf(key);
    const waiting = this.#waiting.get(number);
    const texts: string[] = [];
    if (waiting !== undefined && isSame(waiting, key)) {
      this.#waiting.delete(number);
      texts.push(...waiting.texts);
    }
    for (let i = 0; i < RECENT; i++) {
      const index = (this.#next + i) & (RECENT - 1);
      const head = this.#recent[index]!;
      if (!head.live || !isSame(head, key)) continue;
      head.live = false;
      texts.push(this.#textOf(head, index));
    }
    return texts.length === 0 ? null : joinHttpInfo(texts);
  }

  #textOf({ text, end }: Recent, index: number): string {
    return text ?? this.#buffer.toString('latin1', index * LINE_MAX, end);
  }

  #wait({ low, high, seq, rx }: Key, text: string): void {
    const key = { low, high, seq, rx };
    const number = numberOf(key);
    const waiting = this.#waiting.get(number);
    if (waiting !== undefined && isSame(waiting, key)) {
      waiting.texts.push(text);
      return;
    }
    if (this.#waiting.size >= MAX_WAITING - RECENT) {
      const oldest = this.#waiting.keys().next().value;
      if (oldest !== undefined) this.#waiting.delete(oldest);
    }
    this.#waiting.set(number, { ...key, texts: [text] });
  }
}
