/** Finds in a piece of an address what was drawn by lot: session ids, keys, tokens without a mark. */
import { chanceBits } from './chance.js';
import type { Hide } from './shapes.js';

const UUID = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i;
const HAS_UUID = /(?<![\da-f])[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}(?![\da-f])/i;
const RUN = /[A-Za-z\d]+/g;
/** As people are to type them. */
const GROUPS = /^(?=.*\d)[A-Z\d]{3,6}(?:-[A-Z\d]{3,6}){1,7}$/;
const HEX = /^(?:[\da-f]+|[\dA-F]+)$/;
/** Builders of sites put a digest of the content into the names of these. */
const BUILT_FILE = /\.(?:[cm]?js|css|map|wasm|woff2?|ttf)$/i;
const BUILT_DIGEST_MAX = 32;

const HEX_MIN = 16;
const MIXED_MIN = 12;
const LONG_MIN = 20;
const LETTERS_MIN = 16;
/** Bits that a run needs, by its length: what is longer has less to prove. */
const MIXED_BITS = 5;
const LONG_BITS = -2;
const LETTERS_BITS = 6;
/** Runs that were joined by - _ . ~ + or an encoded slash: characters and bits of all of them. */
const JOINED_MIN = 20;
/** In runs that speak for a draw. */
const JOINED_DRAWN_MIN = 16;
const JOINED_BITS = 10;
/** Behind a name that tells of a secret less is enough. */
const OPAQUE_MIN = 6;
const OPAQUE_BITS = -4;
/** Beside what was drawn. */
const PIECE_BITS = 8;
/** Fewer letters tell nothing. */
const HALF_MIN = 8;
/** Shorter runs at the ends are no part of what was drawn. */
const END_MIN = 4;

/** Runs beside what was drawn are part of it if they are no words. */
const NEIGHBOUR_MIN = 3;

interface Run {
  readonly text: string;
  readonly from: number;
  readonly to: number;
  readonly bits: number;
  /** As the ending of a file's name is. */
  readonly isBehindDot: boolean;
}

function isMixed(run: string): boolean {
  const kinds = [/[a-z]/, /[A-Z]/, /\d/].filter((kind) => kind.test(run)).length;
  // a capital at the beginning is a word's
  return kinds === 3 || (kinds === 2 && !/^[A-Z][a-z]+$/.test(run));
}

function isDrawn(run: string, bits: number): boolean {
  const { length } = run;
  if (length < MIXED_MIN) return false;
  if (!isMixed(run)) return length >= LETTERS_MIN && bits >= LETTERS_BITS;
  if (HEX.test(run)) return length >= HEX_MIN;
  return bits >= (length >= LONG_MIN ? LONG_BITS : MIXED_BITS);
}

/** Whether the runs together look drawn, as base64url with its - and _ does. */
function areDrawn(runs: readonly Run[]): boolean {
  const length = (list: readonly Run[]): number =>
    list.reduce((sum, { from, to }) => sum + to - from, 0);
  return (
    runs.reduce((sum, run) => sum + run.bits, 0) >= JOINED_BITS &&
    length(runs) >= JOINED_MIN &&
    length(runs.filter(({ bits }) => bits > 0)) >= JOINED_DRAWN_MIN
  );
}

/** Which of the runs, joined by - _ . ~, were drawn: some alone, their neighbours with them. */
function drawnOf(runs: readonly Run[]): boolean[] {
  const drawn = runs.map((run) => isDrawn(run.text, run.bits));
  if (areDrawn(runs)) {
    const isEnd = (run: Run): boolean => run.bits > 0 && run.text.length >= END_MIN;
    drawn.fill(true, Math.max(0, runs.findIndex(isEnd)), runs.findLastIndex(isEnd) + 1);
  }
  const belongs = ({ text, bits, isBehindDot }: Run): boolean => {
    if (isMixed(text)) return true;
    return text.length < NEIGHBOUR_MIN ? /[A-Z]/.test(text) : bits > 0 && !isBehindDot;
  };
  for (let i = 1; i < runs.length; i++) drawn[i] ||= drawn[i - 1]! && belongs(runs[i]!);
  for (let i = runs.length - 2; i >= 0; i--) drawn[i] ||= drawn[i + 1]! && belongs(runs[i]!);
  return drawn;
}

/**
 * Hides the runs in text[from, to) that look drawn. `isDigest`: what stands there is the digest of
 * something public, so hexadecimal digits stay. True if there are any.
 */
export function hideDrawn(
  text: string,
  from: number,
  to: number,
  isDigest: boolean,
  hide: Hide,
): boolean {
  if (to - from < MIXED_MIN) return false;
  const part = text.slice(from, to);
  if (UUID.test(part)) return false;
  const hexMax = isDigest ? Infinity : BUILT_FILE.test(part) ? BUILT_DIGEST_MAX : 0;
  const runs: Run[] = [];
  for (const { 0: run, index } of part.matchAll(RUN)) {
    if (run.length <= hexMax && HEX.test(run)) continue;
    const begin = from + index;
    runs.push({
      text: run,
      from: begin,
      to: begin + run.length,
      bits: chanceBits(run, 0, run.length),
      isBehindDot: part[index - 1] === '.',
    });
  }
  const drawn = drawnOf(runs);
  for (const [i, run] of runs.entries())
    if (drawn[i]) hide(drawn[i - 1] ? runs[i - 1]!.to : run.from, run.to);
  return drawn.includes(true);
}

/** True for what names nothing in any language: an id, a UUID, a number of six digits, `AB12-CD34-EF`. */
export function isOpaque(text: string, digits: boolean): boolean {
  if (HAS_UUID.test(text) || GROUPS.test(text)) return true;
  return (text.match(RUN) ?? []).some((run) => {
    if (run.length < OPAQUE_MIN) return false;
    if (/^\d+$/.test(run)) return digits;
    return isMixed(run) && chanceBits(run, 0, run.length) >= OPAQUE_BITS;
  });
}

/** True for what may be a piece of something drawn that goes on in the segment beside it. */
export function mayBePiece(text: string): boolean {
  return (text.match(RUN) ?? []).some(
    (run) =>
      run.length >= OPAQUE_MIN && isMixed(run) && chanceBits(run, 0, run.length) >= PIECE_BITS,
  );
}

/** True for a piece that may be the beginning of a secret: all but words in small letters. */
export function mayBeHalf(text: string): boolean {
  if (!/^[a-z_-]*$/.test(text)) return true;
  const letters = text.replace(/[_-]/g, '');
  return letters.length >= HALF_MIN && chanceBits(letters, 0, letters.length) > 0;
}
