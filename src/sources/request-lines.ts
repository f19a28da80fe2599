/**
 * Start lines of requests until their exchange has ended: the kernel's record of an exchange names the
 * request by its number in the connection. Bytes lie in slots of one buffer, so that most lines never
 * become a text of their own; whatever happens to exchanges, the memory is bounded.
 */
import { HTTP_EXCHANGE, HTTP_HEAD } from '../generated/packet.js';
import { HeadCache } from '../http/http-info.js';
import { pathOf, routeOf } from '../http/route.js';
import type { Targets } from '../http/targets.js';
import { readAddress } from '../kernel/read.js';

const { at: HEAD } = HTTP_HEAD;
const { at: EXCHANGE } = HTTP_EXCHANGE;

/** Bytes of a line that the kernel takes along. */
const LINE_BYTES = HTTP_HEAD.size - HEAD.line;
const NONE = -1;
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

/** The lines of a connection by the slots they are in, from its oldest to its newest. */
interface Queue {
  first: number;
  last: number;
  count: number;
}

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
  /** By socket. */
  readonly #queues = new Map<number, Queue>();
  readonly #bytes: Uint8Array;
  readonly #lengths: Uint16Array;
  readonly #isCut: Uint8Array;
  readonly #numbers: Int32Array;
  readonly #socks: Float64Array;
  /** The slot behind in the same connection; of a free slot: the next free one. */
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

  /** `targets`: how much of a request's target is shown. */
  constructor(targets: Targets = 'full', limits: RequestLineLimits = LIMITS) {
    this.#limits = limits;
    this.#texts = new HeadCache(undefined, targets);
    // Of 16 MB only the pages that are written to are taken from the machine.
    this.#bytes = new Uint8Array(limits.all * LINE_BYTES);
    this.#lengths = new Uint16Array(limits.all);
    this.#isCut = new Uint8Array(limits.all);
    this.#numbers = new Int32Array(limits.all);
    this.#socks = new Float64Array(limits.all);
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

  /** Takes the record of a head; of responses nothing is kept. */
  add(view: DataView, at: number): void {
    const sock = readAddress(view, at + HEAD.sock);
    if (sock === 0 || view.getUint16(at + HEAD.status, true) !== 0) return;
    const number = view.getInt32(at + HEAD.number, true);
    let queue = this.#queues.get(sock);
    // another connection at this address
    if (queue !== undefined && ((number - this.#numbers[queue.last]!) | 0) <= 0) {
      while (queue.count > 0) this.#release(sock, queue);
      queue = undefined;
    }
    if (queue?.count === this.#limits.perConnection) this.#forget(sock, queue);
    else if (this.#size === this.#limits.all) this.#forgetOldest();
    const slot = this.#take();
    const length = Math.min(view.getUint16(at + HEAD.lineBytes, true), LINE_BYTES);
    const line = new Uint8Array(view.buffer, view.byteOffset + at + HEAD.line, length);
    this.#bytes.set(line, slot * LINE_BYTES);
    this.#lengths[slot] = length;
    this.#isCut[slot] = view.getUint8(at + HEAD.truncated);
    this.#numbers[slot] = number;
    this.#socks[slot] = sock;
    this.#enqueue(sock, slot);
  }

  /** The line of the exchange whose record is at `at`, which is forgotten; null: it is not known. */
  take(view: DataView, at: number): RequestLine | null {
    const sock = readAddress(view, at + EXCHANGE.sock);
    const number = view.getInt32(at + EXCHANGE.number, true);
    const queue = this.#queues.get(sock);
    if (queue === undefined) return null;
    while (queue.count > 0) {
      const slot = queue.first;
      const ahead = (this.#numbers[slot]! - number) | 0;
      if (ahead > 0) return null;
      this.#release(sock, queue);
      if (ahead === 0) return this.#lineIn(slot);
    }
    return null;
  }

  /** The line in a slot that has just been released. */
  #lineIn(slot: number): RequestLine | null {
    const isCut = this.#isCut[slot] === 1;
    const text = this.#texts.text(this.#bytes, slot * LINE_BYTES, this.#lengths[slot]!, isCut);
    let parts = this.#parts.get(text);
    if (parts !== undefined) return parts;
    if (this.#parts.size >= MOST_TEXTS) this.#parts.clear();
    this.#parts.set(text, (parts = partsOf(text)));
    return parts;
  }

  #take(): number {
    this.#size++;
    const slot = this.#free;
    if (slot === NONE) return this.#unused++;
    this.#free = this.#behind[slot]!;
    return slot;
  }

  #enqueue(sock: number, slot: number): void {
    const queue = this.#queues.get(sock);
    if (queue === undefined) this.#queues.set(sock, { first: slot, last: slot, count: 1 });
    else {
      this.#behind[queue.last] = slot;
      queue.last = slot;
      queue.count++;
    }
    this.#older[slot] = this.#newest;
    this.#newer[slot] = NONE;
    if (this.#newest === NONE) this.#oldest = slot;
    else this.#newer[this.#newest] = slot;
    this.#newest = slot;
  }

  /** Frees the oldest slot of a connection; its bytes stay until the next line is added. */
  #release(sock: number, queue: Queue): void {
    const slot = queue.first;
    queue.first = this.#behind[slot]!;
    queue.count--;
    if (queue.count === 0) this.#queues.delete(sock);
    const [older, newer] = [this.#older[slot]!, this.#newer[slot]!];
    if (older === NONE) this.#oldest = newer;
    else this.#newer[older] = newer;
    if (newer === NONE) this.#newest = older;
    else this.#older[newer] = older;
    this.#behind[slot] = this.#free;
    this.#free = slot;
    this.#size--;
  }

  #forget(sock: number, queue: Queue): void {
    this.#release(sock, queue);
    this.#forgotten++;
  }

  /** The oldest of all is the first one of its connection. */
  #forgetOldest(): void {
    const sock = this.#socks[this.#oldest]!;
    const queue = this.#queues.get(sock);
    if (queue !== undefined) this.#forget(sock, queue);
  }
}
