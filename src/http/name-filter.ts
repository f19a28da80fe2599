/**
 * Whether a run of bytes may be one of the names of names.ts: by hashes, as a string for each costs too
 * much. What is none is rarely taken for one; what is one, always.
 */
import { NAME_WORDS, SECRET_ENDINGS } from './names.js';
import { MARK_WORDS } from './shapes.js';

/** Alone at a name's beginning it says nothing: `x-api-key`. */
const LETTER_X = 0x78;

/** Of a name's end that are compared. */
const LAST_LETTERS = 4;

/** A set of words by their hashes, as bits: a word of it is always found, another one rarely. */
const FILTER_BITS = 1 << 16;
const FILTER = new Uint8Array(FILTER_BITS >> 3);
/** The hash of nothing; {@link hashStep} adds a byte. */
export const HASH_START = 0x811c9dc5 | 0;
const HASH_PRIME = 0x01000193;

/** The hash with one more byte, large letters as small ones. */
export const hashStep = (hash: number, code: number): number =>
  Math.imul(hash ^ (code | 0x20), HASH_PRIME);

/** Whether a word of this hash may be a name. */
export const isNamed = (hash: number): boolean => {
  const bit = (hash ^ (hash >>> 16)) & (FILTER_BITS - 1);
  return (FILTER[bit >> 3]! & (1 << (bit & 7))) !== 0;
};

for (const word of [...NAME_WORDS, ...MARK_WORDS]) {
  let hash = HASH_START;
  for (const byte of Buffer.from(word)) hash = hashStep(hash, byte);
  const bit = (hash ^ (hash >>> 16)) & (FILTER_BITS - 1);
  FILTER[bit >> 3]! |= 1 << (bit & 7);
}

const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39;
const isCapital = (code: number): boolean => code >= 0x41 && code <= 0x5a;
const isSmall = (code: number): boolean => code >= 0x61 && code <= 0x7a;
const isAlnum = (code: number): boolean => isDigit(code) || isCapital(code) || isSmall(code);

/** The last four letters of secrets' names, as a number each. */
const ENDINGS = Int32Array.from(SECRET_ENDINGS, (ending) =>
  Buffer.from(ending.slice(-LAST_LETTERS)).readInt32BE(0),
);
const PLURAL = 0x73;
const SMALL_LETTERS = 0x20202020;

/** Whether a word may end as `newpassword` and `newpasswords` do. */
export function endsNamed(bytes: Uint8Array, from: number, to: number): boolean {
  const end = (bytes[to - 1]! | 0x20) === PLURAL ? to - 1 : to;
  if (end - from <= LAST_LETTERS) return false;
  const last =
    (bytes[end - 4]! << 24) | (bytes[end - 3]! << 16) | (bytes[end - 2]! << 8) | bytes[end - 1]!;
  for (let i = 0; i < ENDINGS.length; i++) if (ENDINGS[i] === (last | SMALL_LETTERS)) return true;
  return false;
}

/** Whether one of the words of `accessToken` is a name, or of `key2` in front of its digits. */
export function hasNamedWord(bytes: Uint8Array, from: number, to: number): boolean {
  let hash = HASH_START;
  let start = from;
  for (let i = from; i < to; i++) {
    const code = bytes[i]!;
    const before = i > from ? bytes[i - 1]! : 0;
    const isHump = isCapital(code) && (isSmall(before) || isDigit(before));
    if (isHump || (isDigit(code) && !isDigit(before))) {
      if (isNamed(hash) || endsNamed(bytes, start, i)) return true;
    }
    if (isHump) {
      hash = HASH_START;
      start = i;
    }
    hash = hashStep(hash, code);
  }
  return isNamed(hash) || endsNamed(bytes, start, to);
}

/** Whether all the words of `pass_code` make a name together. */
export function isNamedTogether(bytes: Uint8Array, from: number, to: number): boolean {
  let hash = HASH_START;
  for (let i = from; i < to; i++) {
    const code = bytes[i]!;
    const isMark = i === from && (code | 0x20) === LETTER_X && !isAlnum(bytes[i + 1]!);
    if (isAlnum(code) && !isMark) hash = hashStep(hash, code);
  }
  return isNamed(hash);
}
