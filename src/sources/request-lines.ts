/**
 * Start lines of requests until their exchange has ended: the kernel's record of an exchange names the
 * request by its number in the connection. Bytes lie in slots of one buffer, so that most lines never
 * become a text of their own; whatever happens to exchanges, the memory is bounded.
 */
import { HTTP_EXCHANGE, HTTP_HEAD } from '../generated/packet.js';
import { putClean } from '../http/clean.js';
import { HeadCache, LINE_MAX } from '../http/http-info.js';
import { pathOf, routeOf } from '../http/route.js';
import type { Targets } from '../http/targets.js';
import { PlainSlice, type PlainText } from '../metrics/lines.js';
import { NONE, SocketTable } from './socket-table.js';

const { at: HEAD } = HTTP_HEAD;
const { at: EXCHANGE } = HTTP_EXCHANGE;

/** Bytes of a line that the kernel takes along. */
const LINE_BYTES = HTTP_HEAD.size - HEAD.line;
const WORD_BYTES = 4;
const SPACE = 0x20;
const QUESTION = 0x3f;
/** Requests of one connection that may end after a later one: behind that their end has been lost. */
const MOST_BEHIND = 128;
/** Texts whose parts are remembered. */
const MOST_TEXTS = 4096;

/** The first line of a request as people may see it: without credentials and personal data. */
export interface RequestLine {
  readonly method: string;
  readonly target: string;
  /** Of the target: neither origin nor query. */
  readonly path: string;
  /** What targets that differ in what they name have in common. */
  readonly route: string;
}

export interface RequestLineLimits {
  /** Lines in all. */
  readonly all: number;
  /** Lines of one connection. */
  readonly perConnection: number;
}

const LIMITS: RequestLineLimits = { all: 65_536, perConnection: 1024 };

/** What is known of the bytes of a line. */
const CLEANNESS = { unknown: 0, clean: 1, other: 2 } as const;

/** `GET /a HTTP/1.1`, or cut short: `GET /a…`. */
function partsOf(text: string): RequestLine | null {
  const space = text.indexOf(' ');
  if (space <= 0) return null;
  const target = text.slice(space + 1).replace(/ HTTP\/1\.\d$/, '');
  return { method: text.slice(0, space), target, path: pathOf(target), route: routeOf(target) };
}

export class RequestLines {
  readonly #limits: RequestLineLimits;
  readonly #texts: HeadCache;
  readonly #parts = new Map<string, RequestLine | null>();
  /** The slot of the newest line of each connection. */
  readonly #newestOf: SocketTable;
  readonly #bytes: Uint8Array;
  /** The same memory. */
  readonly #buffer: Buffer;
  readonly #path: PlainSlice;
  /** Whether a clean line may be shown as it is. */
  readonly #isWhole: boolean;
  readonly #scratch = new Uint8Array(LINE_MAX);
  readonly #words: Int32Array;
  readonly #lengths: Uint16Array;
  readonly #isCut: Uint8Array;
  /** A value of {@link CLEANNESS}. */
  readonly #cleanness: Uint8Array;
  readonly #numbers: Int32Array;
  /** Address of the socket. */
  readonly #low: Int32Array;
  readonly #high: Int32Array;
  /** Lines of the connection; only in its newest slot. */
  readonly #counts: Int32Array;
  /** The next newer slot of the same connection, of its newest the oldest; of a free slot: the next free one. */
  readonly #behind: Int32Array;
  /** In order of age, of all connections. */
  readonly #newer: Int32Array;
  readonly #older: Int32Array;
  #oldest = NONE;
  #newest = NONE;
  #free = NONE;
  /** Slots that were never used. */
  #unused = 0;
  #size = 0;
  #forgotten = 0;
  #view: DataView | null = null;
  #records: Int32Array = new Int32Array(0);

  /** `targets`: how much of a request's target is shown. */
  constructor(targets: Targets = 'full', limits: RequestLineLimits = LIMITS) {
    this.#limits = limits;
    this.#texts = new HeadCache(undefined, targets);
    // Of 16 MB only the pages that are written to are taken from the machine.
    this.#words = new Int32Array((limits.all * LINE_BYTES) / WORD_BYTES);
    this.#bytes = new Uint8Array(this.#words.buffer);
    this.#buffer = Buffer.from(this.#words.buffer);
    this.#path = new PlainSlice(this.#buffer);
    this.#isWhole = targets === 'full';
    this.#newestOf = new SocketTable(limits.all);
    this.#lengths = new Uint16Array(limits.all);
    this.#isCut = new Uint8Array(limits.all);
    this.#cleanness = new Uint8Array(limits.all);
    this.#numbers = new Int32Array(limits.all);
    this.#low = new Int32Array(limits.all);
    this.#high = new Int32Array(limits.all);
    this.#counts = new Int32Array(limits.all);
    this.#behind = new Int32Array(limits.all);
    this.#newer = new Int32Array(limits.all);
    this.#older = new Int32Array(limits.all);
  }

  /** Lines that wait for their exchange. */
  get size(): number {
    return this.#size;
  }

  /** Lines that had to make room for others. */
  get forgotten(): number {
    return this.#forgotten;
  }

  /**
   * Takes the record of a head; of responses nothing is kept. `isClean`: whether its line has nothing to
   * hide, if that has been looked at.
   */
  add(view: DataView, at: number, isClean?: boolean): void {
    const low = view.getInt32(at + HEAD.sock, true);
    const high = view.getInt32(at + HEAD.sock + WORD_BYTES, true);
    if ((low | high) === 0 || view.getUint16(at + HEAD.status, true) !== 0) return;
    const number = view.getInt32(at + HEAD.number, true);
    let newest = this.#newestOf.get(low, high);
    // another connection at this address
    if (newest !== NONE && ((number - this.#numbers[newest]!) | 0) <= 0)
      while (newest !== NONE) newest = this.#release(newest);
    if (newest !== NONE && this.#counts[newest] === this.#limits.perConnection)
      this.#forget(newest);
    else if (this.#size === this.#limits.all) this.#forgetOldest();
    const slot = this.#take();
    this.#copy(view, at, slot);
    this.#cleanness[slot] =
      isClean === undefined ? CLEANNESS.unknown : isClean ? CLEANNESS.clean : CLEANNESS.other;
    this.#numbers[slot] = number;
    this.#low[slot] = low;
    this.#high[slot] = high;
    this.#enqueue(slot);
  }

  /** Word by word: for so few bytes a loop beats a call into the engine. */
  #copy(view: DataView, at: number, slot: number): void {
    if (view !== this.#view) {
      this.#view = view;
      this.#records = new Int32Array(view.buffer, view.byteOffset, view.byteLength >> 2);
    }
    const length = Math.min(view.getUint16(at + HEAD.lineBytes, true), LINE_BYTES);
    const [words, records] = [this.#words, this.#records];
    const [to, from] = [(slot * LINE_BYTES) / WORD_BYTES, (at + HEAD.line) / WORD_BYTES];
    for (let i = 0; i < length / WORD_BYTES; i++) words[to + i] = records[from + i]!;
    this.#lengths[slot] = length;
    this.#isCut[slot] = view.getUint8(at + HEAD.truncated);
  }

  /** The line of the exchange whose record is at `at`, which is forgotten; null: it is not known. */
  take(view: DataView, at: number): RequestLine | null {
    return this.lineIn(this.takeSlot(view, at));
  }

  /**
   * The same as a slot, for {@link pathIn} and {@link lineIn} until the next line is added; NONE: it is not
   * known. Of requests that are pipelined a later one may end first.
   */
  takeSlot(view: DataView, at: number): number {
    const low = view.getInt32(at + EXCHANGE.sock, true);
    const high = view.getInt32(at + EXCHANGE.sock + WORD_BYTES, true);
    const number = view.getInt32(at + EXCHANGE.number, true);
    let newest = this.#newestOf.get(low, high);
    let before = newest;
    while (newest !== NONE) {
      const slot = this.#behind[before]!;
      const ahead = (this.#numbers[slot]! - number) | 0;
      if (ahead > 0) return NONE;
      if (ahead < 0 && ahead >= -MOST_BEHIND) {
        if (slot === newest) return NONE;
        before = slot;
        continue;
      }
      newest = this.#release(newest, before);
      if (ahead === 0) return slot;
    }
    return NONE;
  }

  /** What is shown of the path, as bytes if that needs no text; null: nothing is known. */
  pathIn(slot: number): string | PlainText | null {
    if (slot === NONE) return null;
    if (!this.#isClean(slot)) return this.lineIn(slot)?.path ?? null;
    const [bytes, path] = [this.#bytes, this.#path];
    let at = slot * LINE_BYTES;
    while (bytes[at] !== SPACE) at++;
    path.from = ++at;
    while (bytes[at] !== SPACE && bytes[at] !== QUESTION) at++;
    path.to = at;
    return path;
  }

  /** The line that was taken from a slot, in words; null: nothing is known. */
  lineIn(slot: number): RequestLine | null {
    if (slot === NONE) return null;
    const text = this.#textIn(slot);
    let parts = this.#parts.get(text);
    if (parts !== undefined) return parts;
    if (this.#parts.size >= MOST_TEXTS) this.#parts.clear();
    this.#parts.set(text, (parts = partsOf(text)));
    return parts;
  }

  #textIn(slot: number): string {
    const [at, length] = [slot * LINE_BYTES, this.#lengths[slot]!];
    if (this.#isClean(slot)) return this.#buffer.toString('latin1', at, at + length);
    return this.#texts.text(this.#bytes, at, length, this.#isCut[slot] === 1);
  }

  /** Whether the line in a slot is shown as it is. */
  #isClean(slot: number): boolean {
    if (this.#cleanness[slot] === CLEANNESS.unknown) {
      const isClean =
        this.#isWhole &&
        this.#isCut[slot] === 0 &&
        putClean(this.#bytes, slot * LINE_BYTES, this.#lengths[slot]!, this.#scratch, 0) >= 0;
      this.#cleanness[slot] = isClean ? CLEANNESS.clean : CLEANNESS.other;
    }
    return this.#cleanness[slot] === CLEANNESS.clean;
  }

  #take(): number {
    this.#size++;
    const slot = this.#free;
    if (slot === NONE) return this.#unused++;
    this.#free = this.#behind[slot]!;
    return slot;
  }

  #enqueue(slot: number): void {
    const [low, high] = [this.#low[slot]!, this.#high[slot]!];
    const newest = this.#newestOf.get(low, high);
    if (newest === NONE) {
      this.#behind[slot] = slot;
      this.#counts[slot] = 1;
    } else {
      this.#behind[slot] = this.#behind[newest]!;
      this.#behind[newest] = slot;
      this.#counts[slot] = this.#counts[newest]! + 1;
    }
    this.#newestOf.set(low, high, slot);
    this.#older[slot] = this.#newest;
    this.#newer[slot] = NONE;
    if (this.#newest === NONE) this.#oldest = slot;
    else this.#newer[this.#newest] = slot;
    this.#newest = slot;
  }

  /**
   * Frees the slot behind `before` of the connection whose newest one is `newest`, without it the oldest;
   * its bytes stay until the next line is added. The newest one after that, or NONE.
   */
  #release(newest: number, before = newest): number {
    const slot = this.#behind[before]!;
    const [low, high] = [this.#low[slot]!, this.#high[slot]!];
    let left = newest;
    if (slot === before) {
      this.#newestOf.delete(low, high);
      left = NONE;
    } else {
      this.#behind[before] = this.#behind[slot]!;
      if (slot === newest) {
        left = before;
        this.#newestOf.set(low, high, before);
      }
      this.#counts[left] = this.#counts[newest]! - 1;
    }
    const [older, newer] = [this.#older[slot]!, this.#newer[slot]!];
    if (older === NONE) this.#oldest = newer;
    else this.#newer[older] = newer;
    if (newer === NONE) this.#newest = older;
    else this.#older[newer] = older;
    this.#behind[slot] = this.#free;
    this.#free = slot;
    this.#size--;
    return left;
  }

  #forget(newest: number): void {
    this.#release(newest);
    this.#forgotten++;
  }

  /** The oldest of all is the first one of its connection. */
  #forgetOldest(): void {
    const oldest = this.#oldest;
    this.#forget(this.#newestOf.get(this.#low[oldest]!, this.#high[oldest]!));
  }
}
