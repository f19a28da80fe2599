/**
 * Keeps the heads of HTTP messages until the packet that completed them has its
 * line: with -t that is when the application has read it.
 */
import { HTTP_HEAD, PACKET } from '../generated/packet.js';
import { HeadCache, joinHttpInfo } from '../http/http-info.js';
import type { Targets } from '../http/targets.js';

const HEAD = HTTP_HEAD.at;
const TCP_SYN = 0x02;
const LOW_WORD = 0;
const HIGH_WORD = 4;
/** Heads whose packet never came (its record was lost) must not pile up. */
const MAX_WAITING = 65_536;

export class HttpHeads {
  /** By socket, direction and sequence number of the packet. */
  readonly #waiting = new Map<string, string[]>();
  readonly #texts: HeadCache;
  #view: DataView | null = null;
  #bytes: Uint8Array = new Uint8Array(0);

  /** `targets`: how much of a request's target is shown. */
  constructor(targets: Targets = 'full') {
    this.#texts = new HeadCache(undefined, targets);
  }

  /** Takes a head record. */
  add(view: DataView, at: number): void {
    if (this.#waiting.size >= MAX_WAITING) {
      const oldest = this.#waiting.keys().next().value;
      if (oldest !== undefined) this.#waiting.delete(oldest);
    }
    const length = view.getUint16(at + HEAD.lineBytes, true);
    const truncated = view.getUint8(at + HEAD.truncated) === 1;
    if (view !== this.#view) {
      this.#view = view;
      this.#bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    }
    const info = this.#texts.text(this.#bytes, at + HEAD.line, length, truncated);
    const key = keyOf(view, at, view.getUint32(at + HEAD.seq, true), view.getUint8(at + HEAD.rx));
    const heads = this.#waiting.get(key);
    if (heads === undefined) this.#waiting.set(key, [info]);
    else heads.push(info);
  }

  /** The heads of a packet as one text; null if their records were lost. */
  take(view: DataView, at: number): string | null {
    const isSyn = (view.getUint8(at + PACKET.at.tcpFlags) & TCP_SYN) !== 0;
    // a SYN has a sequence number of its own, before the data of a fast open
    const seq = (view.getUint32(at + PACKET.at.seq, true) + Number(isSyn)) >>> 0;
    const key = keyOf(view, at, seq, view.getUint8(at + PACKET.at.rx));
    const heads = this.#waiting.get(key);
    if (heads === undefined) return null;
    this.#waiting.delete(key);
    return joinHttpInfo(heads);
  }
}

function keyOf(view: DataView, at: number, seq: number, rx: number): string {
  const sock = at + PACKET.at.sock;
  const low = view.getUint32(sock + LOW_WORD, true);
  return `${view.getUint32(sock + HIGH_WORD, true)}.${low}.${seq}.${rx}`;
}
