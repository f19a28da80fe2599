/**
 * Whether a run of bytes may be one of the names of names.ts: by hashes, as a string for each costs too
 * much. What is none is rarely taken for one; what is one, always.
 */
import { CLASSES, DIGIT, GLUE, LOWER, OTHER, UPPER } from './byte-classes.js';
import { NAME_WORDS, SECRET_ENDINGS } from './names.js';
import { MARK_WORDS } from './shapes.js';

/** Alone at a name's beginning it says nothing: `x-api-key`. */
const LETTER_X = 0x78;

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

/** True for a capital behind a small letter or a digit: there a word begins. */
const isHump = (before: number, kind: number): boolean =>
  kind === UPPER && (before === LOWER || before === DIGIT);

/** Last letters of secrets' names; a byte for each, that most words have not as their last. */
const ENDINGS = SECRET_ENDINGS.map((ending) => Buffer.from(ending));
const LAST_LETTERS = new Uint8Array(256);
for (const ending of ENDINGS) LAST_LETTERS[ending.at(-1)!] = 1;
const PLURAL = 0x73;
const ENDING_MIN = Math.min(...ENDINGS.map(({ length }) => length));

/** Whether a word ends as `newpassword` and `newpasswords` do. */
export function endsNamed(bytes: Uint8Array, from: number, to: number): boolean {
  if (to - from < ENDING_MIN) return false;
  const end = (bytes[to - 1]! | 0x20) === PLURAL ? to - 1 : to;
  if (LAST_LETTERS[bytes[end - 1]! | 0x20] === 0) return false;
  for (const ending of ENDINGS) {
    let i = 1;
    while (i <= ending.length && end - i >= from && (bytes[end - i]! | 0x20) === ending.at(-i)) i++;
    if (i > ending.length) return true;
  }
  return false;
}

/** Whether one of the words of `accessToken` is a name, or of `key2` in front of its digits. */
export function hasNamedWord(bytes: Uint8Array, from: number, to: number): boolean {
  let hash = HASH_START;
  let before = OTHER;
  let start = from;
  for (let i = from; i < to; i++) {
    const code = bytes[i]!;
    const kind = CLASSES[code]!;
    const begins = isHump(before, kind);
    if ((begins || kind === DIGIT) && before !== DIGIT)
      if (isNamed(hash) || endsNamed(bytes, start, i)) return true;
    if (begins) {
      if (isNamed(hash)) return true;
      hash = HASH_START;
      start = i;
    }
    hash = hashStep(hash, code);
    before = kind;
  }
  return isNamed(hash) || endsNamed(bytes, start, to);
}

/** Whether all the words of `pass_code` make a name together. */
export function isNamedTogether(bytes: Uint8Array, from: number, to: number): boolean {
  let hash = HASH_START;
  const isMarked = (bytes[from]! | 0x20) === LETTER_X && CLASSES[bytes[from + 1]!] === GLUE;
  for (let i = isMarked ? from + 1 : from; i < to; i++)
    if (CLASSES[bytes[i]!] !== GLUE) hash = hashStep(hash, bytes[i]!);
  return isNamed(hash);
}
