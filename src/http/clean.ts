/**
 * Knows in one pass over its bytes that a first line has nothing to hide, and copies it meanwhile: most
 * lines are so, and cost no string. Stricter than redact.ts: what it lets through, that leaves as it is;
 * what it does not, that looks at.
 */
import { WORD_BITS, WORD_LETTERS, WORD_START } from './chance.js';
import { NAME_WORDS } from './names.js';
import { MARK_WORDS } from './shapes.js';

const OTHER = 0;
const DIGIT = 1;
const LOWER = 2;
const UPPER = 3;
const GLUE = 4;
const SLASH = 5;
const QUESTION = 6;
const EQUALS = 7;
const AMPERSAND = 8;
const STAR = 9;
const SPACE = 10;

const CLASSES = new Uint8Array(256);
for (let code = 0x30; code <= 0x39; code++) CLASSES[code] = DIGIT;
for (let code = 0x61; code <= 0x7a; code++) CLASSES[code] = LOWER;
for (let code = 0x41; code <= 0x5a; code++) CLASSES[code] = UPPER;
for (const [characters, kind] of [
  ['-_.~', GLUE],
  ['/', SLASH],
  ['?', QUESTION],
  ['=', EQUALS],
  ['&', AMPERSAND],
  ['*', STAR],
  [' ', SPACE],
] as const)
  for (const character of characters) CLASSES[character.charCodeAt(0)] = kind;
const UNDERSCORE = 0x5f;

/** A set of words by their hashes, as bits: a word of it is always found, another one rarely. */
const FILTER_BITS = 1 << 16;
const FILTER = new Uint8Array(FILTER_BITS >> 3);
const HASH_START = 0x811c9dc5 | 0;
const HASH_PRIME = 0x01000193;

const isNamed = (hash: number): boolean => {
  const bit = (hash ^ (hash >>> 16)) & (FILTER_BITS - 1);
  return (FILTER[bit >> 3]! & (1 << (bit & 7))) !== 0;
};

for (const word of [...NAME_WORDS, ...MARK_WORDS]) {
  let hash = HASH_START;
  for (const byte of Buffer.from(word)) hash = Math.imul(hash ^ byte, HASH_PRIME);
  const bit = (hash ^ (hash >>> 16)) & (FILTER_BITS - 1);
  FILTER[bit >> 3]! |= 1 << (bit & 7);
}

/** Limits below those of drawn.ts and shapes.ts. */
const MIXED_RUN = 12;
const LETTER_RUN = 16;
const SEGMENT_DIGITS = 9;
const JOINED = 20;
const JOINED_BITS = 10;
/** What the cheapest alphabet tells with a character; and what a capital costs in words. */
const LEAST_BITS = 4;
const CAPITAL_BITS = 1.4;
const SMALL_BITS = 0.1;
const RUN_BITS = 0.5;

const METHODS = ['GET ', 'POST ', 'PUT ', 'HEAD ', 'DELETE ', 'PATCH ', 'OPTIONS '].map((text) =>
  Buffer.from(text),
);
const VERSION = Buffer.from('HTTP/1.');
const VERSION_BYTES = VERSION.length + 1;
const STATUS_BYTES = ' 200'.length;

function startsWith(bytes: Uint8Array, at: number, end: number, start: Uint8Array): boolean {
  if (at + start.length > end) return false;
  for (let i = 0; i < start.length; i++) if (bytes[at + i] !== start[i]) return false;
  return true;
}

/** `HTTP/1.1` at `at`. */
function isVersion(bytes: Uint8Array, at: number, end: number): boolean {
  return startsWith(bytes, at, end, VERSION) && CLASSES[bytes[at + VERSION.length]!] === DIGIT;
}

/** What has been seen of the segment and the run of letters and digits that are being read. */
class Scan {
  /** Where the scan ended. */
  at = 0;
  #word = HASH_START;
  #all = HASH_START;
  #named = false;
  #before = OTHER;
  #letter = WORD_START;
  #bits = 0;
  #runLength = 0;
  #runKinds = 0;
  #length = 0;
  #alnum = 0;
  #digits = 0;
  #capitals = 0;
  #hasUnderscore = false;
  #isMixed = false;
  #behindLetter = false;

  begin(): void {
    this.#behindLetter = false;
    this.#runLength = 0;
    this.#runKinds = 0;
    this.#word = HASH_START;
    this.#before = OTHER;
    this.#letter = WORD_START;
    this.#reset();
  }

  #reset(): void {
    this.#all = HASH_START;
    this.#named = false;
    this.#bits = 0;
    this.#length = 0;
    this.#alnum = 0;
    this.#digits = 0;
    this.#capitals = 0;
    this.#hasUnderscore = false;
    this.#isMixed = false;
  }

  character(code: number, kind: number): void {
    if (kind === UPPER && (this.#before === LOWER || this.#before === DIGIT)) this.#endWord();
    const small = code | 0x20;
    this.#word = Math.imul(this.#word ^ small, HASH_PRIME);
    this.#all = Math.imul(this.#all ^ small, HASH_PRIME);
    this.#runKinds |= 1 << kind;
    this.#runLength++;
    this.#length++;
    if (kind === DIGIT) {
      this.#digits++;
      this.#letter = WORD_START;
    } else {
      const next = small - 0x61;
      this.#bits +=
        WORD_BITS[this.#letter * WORD_LETTERS + next]! -
        LEAST_BITS +
        (kind === UPPER ? CAPITAL_BITS : SMALL_BITS);
      if (kind === UPPER) this.#capitals++;
      this.#letter = next;
    }
    this.#before = kind;
  }

  glue(code: number): boolean {
    this.#length++;
    if (code === UNDERSCORE) this.#hasUnderscore = true;
    return this.#endRun();
  }

  #endWord(): void {
    if (isNamed(this.#word)) this.#named = true;
    this.#word = HASH_START;
  }

  /** False: it may be a secret. */
  #endRun(): boolean {
    const length = this.#runLength;
    this.#before = OTHER;
    if (length === 0) return true;
    this.#endWord();
    const kinds = this.#runKinds;
    const isMixed = (kinds & (kinds - 1)) !== 0;
    if (length >= (isMixed ? MIXED_RUN : LETTER_RUN)) return false;
    this.#alnum += length;
    this.#bits += RUN_BITS;
    if (isMixed) this.#isMixed = true;
    this.#letter = WORD_START;
    this.#runLength = 0;
    this.#runKinds = 0;
    return true;
  }

  /** False: it may hold a secret, or tell of one. */
  endSegment(inQuery: boolean): boolean {
    if (!this.#endRun()) return false;
    if (this.#length === 0) return true;
    const isPlain = this.#digits === 0 && this.#capitals === 0;
    if ((this.#named || isNamed(this.#all)) && !(inQuery && isPlain)) return false;
    if (this.#digits >= SEGMENT_DIGITS || (this.#hasUnderscore && !isPlain)) return false;
    if (this.#alnum >= JOINED && (this.#isMixed || this.#bits >= JOINED_BITS)) return false;
    if (this.#behindLetter && !isPlain) return false;
    this.#behindLetter = this.#length === 1 && this.#alnum === 1;
    this.#reset();
    return true;
  }

  get isEmpty(): boolean {
    return this.#length === 0;
  }
}

const scan = new Scan();

/** What may follow a value or the star for one. */
const endsValue = (kind: number | undefined): boolean => kind === AMPERSAND || kind === SPACE;

/** Copies a target up to its space; its end in `to`, or -1. */
function putTarget(
  bytes: Uint8Array,
  from: number,
  end: number,
  to: Uint8Array,
  at: number,
): number {
  let inQuery = false;
  scan.begin();
  for (let i = from; i < end; i++) {
    const code = bytes[i]!;
    const kind = CLASSES[code]!;
    to[at++] = code;
    if (kind >= DIGIT && kind <= UPPER) scan.character(code, kind);
    else if (kind === GLUE) {
      if (!scan.glue(code)) return -1;
    } else if (kind === SLASH) {
      if (inQuery || !scan.endSegment(false)) return -1;
    } else if (kind === QUESTION) {
      if (inQuery || !scan.endSegment(false)) return -1;
      inQuery = true;
    } else if (kind === SPACE || kind === AMPERSAND) {
      // a name without a value has to go
      if (inQuery ? !scan.isEmpty : kind === AMPERSAND || !scan.endSegment(false)) return -1;
      if (kind === SPACE) {
        scan.at = i + 1;
        return at;
      }
    } else if (kind === EQUALS) {
      const next = CLASSES[bytes[i + 1]!];
      if (!inQuery || !scan.endSegment(true) || !(next === STAR || endsValue(next))) return -1;
    } else if (kind !== STAR || !inQuery || !scan.isEmpty || !endsValue(CLASSES[bytes[i + 1]!])) {
      return -1;
    }
  }
  return -1;
}

/** Copies a phrase made of words; -1 if it is none. */
function putPhrase(
  bytes: Uint8Array,
  from: number,
  end: number,
  to: Uint8Array,
  at: number,
): number {
  scan.begin();
  for (let i = from; i < end; i++) {
    const code = bytes[i]!;
    const kind = CLASSES[code]!;
    to[at++] = code;
    if (kind === LOWER || kind === UPPER) scan.character(code, kind);
    else if (kind === GLUE) {
      if (!scan.glue(code)) return -1;
    } else if (kind !== SPACE || !scan.endSegment(false)) return -1;
  }
  return scan.endSegment(false) ? at : -1;
}

function putResponse(
  bytes: Uint8Array,
  from: number,
  end: number,
  to: Uint8Array,
  at: number,
): number {
  const reason = from + VERSION_BYTES + STATUS_BYTES;
  if (reason > end) return -1;
  for (let i = from; i < reason; i++) to[at++] = bytes[i]!;
  for (let i = reason - STATUS_BYTES + 1; i < reason; i++)
    if (CLASSES[bytes[i]!] !== DIGIT) return -1;
  if (bytes[reason - STATUS_BYTES] !== 0x20) return -1;
  return reason === end ? at : bytes[reason] === 0x20 ? putPhrase(bytes, reason, end, to, at) : -1;
}

/**
 * Copies the whole first line bytes[from, from + length) to `to` at `at` if it has nothing to hide and
 * nothing to escape, and gives the place behind it; else -1, and what stands in `to` does not count.
 */
export function putClean(
  bytes: Uint8Array,
  from: number,
  length: number,
  to: Uint8Array,
  at: number,
): number {
  const end = from + length;
  if (isVersion(bytes, from, end)) return putResponse(bytes, from, end, to, at);
  for (const method of METHODS) {
    if (!startsWith(bytes, from, end, method)) continue;
    const target = from + method.length;
    if (CLASSES[bytes[target]!] !== SLASH || CLASSES[bytes[target + 1]!] === SLASH) return -1;
    to.set(method, at);
    to[at + method.length] = bytes[target]!;
    const place = putTarget(bytes, target + 1, end, to, at + method.length + 1);
    const version = scan.at;
    if (place < 0 || version + VERSION_BYTES !== end || !isVersion(bytes, version, end)) return -1;
    for (let i = 0; i < VERSION_BYTES; i++) to[place + i] = bytes[version + i]!;
    return place + VERSION_BYTES;
  }
  return -1;
}
