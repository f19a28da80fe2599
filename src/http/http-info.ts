/**
 * The text that `http_info` shows for a packet: `GET /a/b?x=* HTTP/1.1`, `HTTP/1.1 200 OK`; several
 * pipelined heads are joined. Most lines repeat, so what the bytes of a line became is remembered:
 * 50 ns instead of 2 µs.
 */
import { clip, oneLine } from '../metrics/text.js';
import { methodName } from './methods.js';
import { redactReason, redactTarget } from './redact.js';
import { parseStartLine } from './start-line.js';
import { reduceTarget, type Targets } from './targets.js';

/** Characters of one line, the mark of a cut included. */
export const LINE_MAX = 256;
/** Characters of all the heads of one packet. */
export const INFO_MAX = 1024;
const BETWEEN = ' | ';
const MORE = '…';
/** What the framing took for a first line and this module did not; must not happen. */
const UNREADABLE = '?';

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const ASCII = /^[\0-\x7f]*$/;

/** One character a byte -> text; what is not UTF-8 becomes U+FFFD. */
function decode(latin1: string): string {
  return ASCII.test(latin1) ? latin1 : decoder.decode(Buffer.from(latin1, 'latin1'));
}

/** A captured first line as people see it, without credentials and personal data. */
export function describeHead(
  captured: Uint8Array | string,
  truncated = false,
  targets: Targets = 'full',
): string {
  const line = parseStartLine(captured, truncated);
  if (line === null) return UNREADABLE;
  if (line.kind === 'response') {
    // a phrase may repeat the target
    if (targets === 'first-segment' || targets === 'none')
      return `HTTP/${line.version} ${line.status}`;
    const reason = oneLine(decode(redactReason(line.reason, line.truncated)));
    const text = `HTTP/${line.version} ${line.status}${reason === '' ? '' : ` ${reason}`}`;
    return clip(line.truncated ? text + MORE : text, LINE_MAX);
  }
  const bare = redactTarget(line.target, line.truncated);
  const target = oneLine(decode(reduceTarget(bare, targets)));
  const end = line.version === null ? MORE : ` HTTP/${line.version}`;
  return clip(`${methodName(line.method)} ${target}${end}`, LINE_MAX);
}

/** The heads of one packet, in one line. */
export function joinHttpInfo(heads: readonly string[]): string {
  if (heads.length === 1) return heads[0]!;
  let text = '';
  for (const [i, head] of heads.entries()) {
    const next = i === 0 ? head : text + BETWEEN + head;
    if (next.length > INFO_MAX - BETWEEN.length - MORE.length && i < heads.length - 1)
      return `${next.length > INFO_MAX ? text : next}${BETWEEN}${MORE}`;
    text = next;
  }
  return clip(text, INFO_MAX);
}

interface Slot {
  readonly bytes: Uint8Array;
  readonly truncated: boolean;
  readonly text: string;
}

/**
 * From the bytes of a first line to its text, through a cache with a fixed number of slots: a line
 * displaces whatever has the same hash.
 */
export class HeadCache {
  readonly #slots: (Slot | undefined)[];
  readonly #mask: number;
  readonly #targets: Targets;
  #hits = 0;
  #misses = 0;

  /** `slots`: a power of two; `targets`: how much of a target is shown. */
  constructor(slots = 2048, targets: Targets = 'full') {
    if (slots < 1 || (slots & (slots - 1)) !== 0)
      throw new RangeError(`${slots} slots: not a power of two`);
    this.#slots = new Array<Slot | undefined>(slots).fill(undefined);
    this.#mask = slots - 1;
    this.#targets = targets;
  }

  get hits(): number {
    return this.#hits;
  }

  get misses(): number {
    return this.#misses;
  }

  /** The line in bytes[at .. at + length). */
  text(bytes: Uint8Array, at: number, length: number, truncated: boolean): string {
    const index = hash(bytes, at, length) & this.#mask;
    const slot = this.#slots[index];
    if (slot?.truncated === truncated && isEqual(slot.bytes, bytes, at, length)) {
      this.#hits++;
      return slot.text;
    }
    this.#misses++;
    const own = bytes.slice(at, at + length);
    const text = describeHead(own, truncated, this.#targets);
    this.#slots[index] = { bytes: own, truncated, text };
    return text;
  }
}

/** Of all bytes, four at a time: lines differ anywhere. */
function hash(bytes: Uint8Array, at: number, length: number): number {
  const end = at + length;
  let h = length;
  let i = at;
  for (; i + 4 <= end; i += 4) {
    const word = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    h = Math.imul(h ^ word, 0x85ebca6b) ^ (h >>> 13);
  }
  for (; i < end; i++) h = Math.imul(h ^ bytes[i]!, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  return h ^ (h >>> 16);
}

function isEqual(own: Uint8Array, bytes: Uint8Array, at: number, length: number): boolean {
  if (own.length !== length) return false;
  for (let i = 0; i < length; i++) if (own[i] !== bytes[at + i]) return false;
  return true;
}
