/**
 * Knows in one pass over its bytes that a first line has nothing to hide, and copies it meanwhile: most
 * lines are so, and cost no string. Stricter than redact.ts: what it lets through, that leaves as it is;
 * what it does not, that looks at.
 */
import { WORD_BITS, WORD_LETTERS, WORD_START } from './chance.js';
import {
  endsNamed,
  hashStep,
  HASH_START,
  hasNamedWord,
  isNamed,
  isNamedTogether,
} from './name-filter.js';

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
const SPACE_CODE = 0x20;
const DOT = 0x2e;

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

/** Bits of the kinds in a run. */
const DIGITS = 1 << DIGIT;
const SMALL = 1 << LOWER;

/** At least the bits by which the runs of letters are likelier to be drawn by lot than written. */
function mostBits(bytes: Uint8Array, from: number, to: number): number {
  let bits = 0;
  let letter = WORD_START;
  for (let i = from; i < to; i++) {
    const kind = CLASSES[bytes[i]!]!;
    if (kind !== LOWER && kind !== UPPER) {
      letter = WORD_START;
      continue;
    }
    const next = (bytes[i]! | 0x20) - 0x61;
    if (letter === WORD_START) bits += RUN_BITS;
    bits += WORD_BITS[letter * WORD_LETTERS + next]! - LEAST_BITS;
    bits += kind === UPPER ? CAPITAL_BITS : SMALL_BITS;
    letter = next;
  }
  return bits;
}

/** What has been seen of the segment that is being read. */
class Segment {
  from = 0;
  /** Letters and digits; those in runs with a digit. */
  alnum = 0;
  digits = 0;
  kinds = 0;
  isMixed = false;
  isNamed = false;
  hasGlue = false;
  hasUnderscore = false;
  /** The one before is a single letter. */
  #behindLetter = false;

  begin(from: number, behindLetter = false): void {
    this.from = from;
    this.alnum = 0;
    this.digits = 0;
    this.kinds = 0;
    this.isMixed = false;
    this.isNamed = false;
    this.hasGlue = false;
    this.hasUnderscore = false;
    this.#behindLetter = behindLetter;
  }

  /** Takes a run of letters and digits; false: it may be a secret. */
  run(bytes: Uint8Array, from: number, to: number, kinds: number, hash: number): boolean {
    const length = to - from;
    const isMixed = (kinds & (kinds - 1)) !== 0;
    if (length >= (isMixed ? MIXED_RUN : LETTER_RUN)) return false;
    if (isMixed) {
      this.isMixed = true;
      if (isNamed(hash) || hasNamedWord(bytes, from, to)) this.isNamed = true;
    } else if (kinds !== DIGITS && (isNamed(hash) || endsNamed(bytes, from, to))) {
      this.isNamed = true;
    }
    if ((kinds & DIGITS) !== 0) this.digits += length;
    this.alnum += length;
    this.kinds |= kinds;
    return true;
  }

  /** The segment ends at `to`, another one begins behind; false: it may hold a secret, or tell of one. */
  end(bytes: Uint8Array, to: number, inQuery: boolean): boolean {
    const length = to - this.from;
    if (length === 0) {
      this.from = to + 1;
      return true;
    }
    const isPlain = (this.kinds & ~SMALL) === 0;
    // `.` and `..`: what stands behind is behind another segment
    if (this.alnum === 0 && bytes[this.from] === DOT) return false;
    if (this.hasGlue && !this.#isGluedClean(bytes, to, isPlain)) return false;
    if (this.isNamed && !(inQuery && isPlain)) return false;
    if (this.digits >= SEGMENT_DIGITS || (this.#behindLetter && !isPlain)) return false;
    this.begin(to + 1, length === 1 && this.alnum === 1);
    return true;
  }

  #isGluedClean(bytes: Uint8Array, to: number, isPlain: boolean): boolean {
    if (this.hasUnderscore && !isPlain) return false;
    if (isNamedTogether(bytes, this.from, to)) return false;
    if (this.alnum < JOINED) return true;
    return !this.isMixed && mostBits(bytes, this.from, to) < JOINED_BITS;
  }
}

const segment = new Segment();

const HYPHEN = 0x2d;
const UUID_BYTES = 36;
const UUID_FIRST = 8;
const UUID_HYPHENS = [UUID_FIRST, 13, 18, 23];

/** Whether a segment that begins at `at` is a UUID. */
function isUuid(bytes: Uint8Array, at: number, end: number): boolean {
  if (at + UUID_BYTES >= end) return false;
  for (const place of UUID_HYPHENS) if (bytes[at + place] !== HYPHEN) return false;
  for (let i = 0; i < UUID_BYTES; i++) {
    const code = bytes[at + i]!;
    const small = code | 0x20;
    const isHex = CLASSES[code] === DIGIT || (small >= 0x61 && small <= 0x66);
    if (!isHex && !UUID_HYPHENS.includes(i)) return false;
  }
  const next = CLASSES[bytes[at + UUID_BYTES]!];
  return next === SLASH || next === SPACE || next === QUESTION;
}

/** What may follow a value or the star for one. */
const endsValue = (kind: number | undefined): boolean => kind === AMPERSAND || kind === SPACE;

/** What stands between two runs of letters and digits: true if it leaves the line clean. */
function isCleanBetween(bytes: Uint8Array, i: number, kind: number, inQuery: boolean): boolean {
  switch (kind) {
    case GLUE:
      segment.hasGlue = true;
      if (bytes[i] === UNDERSCORE) segment.hasUnderscore = true;
      return true;
    case SLASH:
    case QUESTION:
      return !inQuery && segment.end(bytes, i, false);
    case SPACE:
      // in a query a name without a value has to go
      return inQuery ? segment.from === i : segment.end(bytes, i, false);
    case AMPERSAND:
      if (!inQuery || segment.from !== i) return false;
      segment.begin(i + 1);
      return true;
    case EQUALS: {
      const next = CLASSES[bytes[i + 1]!];
      return inQuery && segment.end(bytes, i, true) && (next === STAR || endsValue(next));
    }
    case STAR:
      if (!inQuery || segment.from !== i || !endsValue(CLASSES[bytes[i + 1]!])) return false;
      segment.begin(i + 1);
      return true;
    default:
      return false;
  }
}

/** Copies a target and the space behind it; the place behind in `to`, or -1. */
function putTarget(
  bytes: Uint8Array,
  from: number,
  end: number,
  to: Uint8Array,
  at: number,
): number {
  let inQuery = false;
  let i = from;
  segment.begin(from);
  while (i < end) {
    let code = bytes[i]!;
    let kind = CLASSES[code]!;
    if (
      bytes[i + UUID_FIRST] === HYPHEN &&
      i === segment.from &&
      !inQuery &&
      isUuid(bytes, i, end)
    ) {
      for (const last = i + UUID_BYTES; i < last; i++) to[at++] = bytes[i]!;
      segment.kinds |= DIGITS;
      continue;
    }
    if (kind >= DIGIT && kind <= UPPER) {
      const start = i;
      let kinds = 0;
      let hash = HASH_START;
      do {
        kinds |= 1 << kind;
        hash = hashStep(hash, code);
        to[at++] = code;
        code = bytes[++i]!;
        kind = CLASSES[code]!;
      } while (i < end && kind >= DIGIT && kind <= UPPER);
      if (!segment.run(bytes, start, i, kinds, hash)) return -1;
      continue;
    }
    if (!isCleanBetween(bytes, i, kind, inQuery)) return -1;
    to[at++] = code;
    if (kind === SPACE) return at;
    if (kind === QUESTION) inQuery = true;
    i++;
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
  let hash = HASH_START;
  let start = from;
  let kinds = 0;
  segment.begin(from);
  for (let i = from; i <= end; i++) {
    const code = i < end ? bytes[i]! : SPACE_CODE;
    const kind = CLASSES[code]!;
    if (kind === LOWER || kind === UPPER) {
      kinds |= 1 << kind;
      hash = hashStep(hash, code);
    } else {
      if (kind !== GLUE && kind !== SPACE) return -1;
      if (i > start && !segment.run(bytes, start, i, kinds, hash)) return -1;
      if (!isCleanBetween(bytes, i, kind, false)) return -1;
      hash = HASH_START;
      kinds = 0;
      start = i + 1;
    }
    if (i < end) to[at++] = code;
  }
  return at;
}

/** A clean line for each status, the first one that came: servers seldom have two phrases for one. */
const RESPONSES: (Uint8Array | undefined)[] = new Array<undefined>(1000);

/** The status at `at`, three digits behind a space; -1 if it is none. */
function statusAt(bytes: Uint8Array, at: number): number {
  if (bytes[at] !== SPACE_CODE) return -1;
  let status = 0;
  for (let i = at + 1; i < at + STATUS_BYTES; i++) {
    if (CLASSES[bytes[i]!] !== DIGIT) return -1;
    status = status * 10 + (bytes[i]! & 0x0f);
  }
  return status;
}

function putResponse(
  bytes: Uint8Array,
  from: number,
  end: number,
  to: Uint8Array,
  at: number,
): number {
  const reason = from + VERSION_BYTES + STATUS_BYTES;
  const status = reason > end ? -1 : statusAt(bytes, reason - STATUS_BYTES);
  if (status < 0) return -1;
  const known = RESPONSES[status];
  if (known?.length === end - from && startsWith(bytes, from, end, known)) {
    for (let i = 0; i < known.length; i++) to[at + i] = known[i]!;
    return at + known.length;
  }
  if (reason < end && bytes[reason] !== SPACE_CODE) return -1;
  for (let i = from; i < reason; i++) to[at++] = bytes[i]!;
  const place = reason === end ? at : putPhrase(bytes, reason, end, to, at);
  if (place >= 0) RESPONSES[status] ??= bytes.slice(from, end);
  return place;
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
    for (let i = 0; i < method.length; i++) to[at + i] = method[i]!;
    to[at + method.length] = bytes[target]!;
    const place = putTarget(bytes, target + 1, end, to, at + method.length + 1);
    const version = from + place - at;
    if (place < 0 || version + VERSION_BYTES !== end || !isVersion(bytes, version, end)) return -1;
    for (let i = 0; i < VERSION_BYTES; i++) to[place + i] = bytes[version + i]!;
    return place + VERSION_BYTES;
  }
  return -1;
}
