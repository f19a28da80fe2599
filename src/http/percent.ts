/**
 * Percent-encoding undone, however often it was done, and letters and separators in disguise (full width,
 * with accents, overlong UTF-8, with characters between that nobody sees) made plain, with the way back to
 * the text as it came.
 */

const PERCENT = 0x25;
const LETTER_U = 0x75;
const BYTE_DIGITS = 2;
const UNIT_DIGITS = 'u0000'.length;
const NOT_PLAIN = /%|[^\0-\x7f]/;

/** A text as it came, and what it says. */
export interface Plain {
  readonly raw: string;
  /** What is meant: a character for each letter, one for each byte that belongs to none. */
  readonly text: string;
  /** Where in `raw` each character of `text` begins, and the end of `raw`; null: texts are the same. */
  readonly starts: readonly number[] | null;
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** The byte that two hexadecimal digits at `at` name; -1 if they are none. */
function hexByte(raw: string, at: number): number {
  if (at + 1 >= raw.length) return -1;
  const high = hexDigit(raw.charCodeAt(at));
  const low = hexDigit(raw.charCodeAt(at + 1));
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/** What four hexadecimal digits behind `%u` name (IIS); -1 without. */
function hexUnit(raw: string, at: number): number {
  if ((raw.charCodeAt(at) | 0x20) !== LETTER_U) return -1;
  const high = hexByte(raw, at + 1);
  const low = hexByte(raw, at + 3);
  return high < 0 || low < 0 ? -1 : high * 256 + low;
}

/** Characters of a text, and where in the raw one each begins. */
interface Units {
  readonly codes: number[];
  readonly starts: number[];
}

/** `%253F` is `%3F` is `?`. */
function undone(raw: string): Units {
  const units: Units = { codes: [], starts: [] };
  let at = 0;
  while (at < raw.length) {
    units.starts.push(at);
    let code = raw.charCodeAt(at++);
    while (code === PERCENT) {
      const byte = hexByte(raw, at);
      const unit = byte < 0 ? hexUnit(raw, at) : -1;
      if (byte < 0 && unit < 0) break;
      at += byte < 0 ? UNIT_DIGITS : BYTE_DIGITS;
      code = byte < 0 ? unit : byte;
    }
    units.codes.push(code);
  }
  return units;
}

/** Bytes of a character of UTF-8 by its first one; 1 for what is none. */
function utf8Length(lead: number): number {
  if (lead < 0xc0 || lead > 0xf7) return 1;
  return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/** The character at `at` and how many bytes it has; overlong ones count as servers have read them. */
function characterAt(codes: readonly number[], at: number): { point: number; length: number } {
  const lead = codes[at]!;
  const length = utf8Length(lead);
  if (length === 1) return { point: lead, length };
  let point = lead & (0x7f >> length);
  for (let i = 1; i < length; i++) {
    const next = codes[at + i] ?? 0;
    if ((next & 0xc0) !== 0x80 || next > 0xff) return { point: lead, length: 1 };
    point = (point << 6) | (next & 0x3f);
  }
  return point > 0x10ffff ? { point: lead, length: 1 } : { point, length };
}

/** A character without accents and width; nothing of one that nobody sees. */
function plainOf(point: number): string {
  if (point < 0x80) return String.fromCharCode(point);
  return String.fromCodePoint(point)
    .normalize('NFKD')
    .replace(/[\p{M}\p{Cf}]/gu, '');
}

/** A text as it came and what it says. */
export function decodePercent(raw: string): Plain {
  if (!NOT_PLAIN.test(raw)) return { raw, text: raw, starts: null };
  const { codes, starts: from } = undone(raw);
  const starts: number[] = [];
  let text = '';
  let begin = 0;
  for (let i = 0; i < codes.length;) {
    const { point, length } = characterAt(codes, i);
    const plain = plainOf(point);
    for (let unit = 0; unit < plain.length; unit++) starts.push(begin);
    text += plain;
    i += length;
    // what is not seen belongs to what follows
    if (plain !== '') begin = from[i] ?? raw.length;
  }
  starts.push(raw.length);
  return { raw, text, starts };
}

/** True for a character that stands there as itself. */
export function isRaw({ starts }: Plain, at: number): boolean {
  return starts === null || starts[at + 1]! - starts[at]! === 1;
}
