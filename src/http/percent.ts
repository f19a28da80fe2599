/** Percent-encoding undone, however often it was done, with the way back to the text as it came. */

const PERCENT = 0x25;

/** A text as it came, and what it says. */
export interface Plain {
  readonly raw: string;
  /** One character for each byte that is meant. */
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

/** `%253F` is `%3F` is `?`. */
export function decodePercent(raw: string): Plain {
  if (!raw.includes('%')) return { raw, text: raw, starts: null };
  const starts: number[] = [];
  let text = '';
  let at = 0;
  while (at < raw.length) {
    starts.push(at);
    let code = raw.charCodeAt(at++);
    while (code === PERCENT) {
      const byte = hexByte(raw, at);
      if (byte < 0) break;
      at += 2;
      code = byte;
    }
    text += String.fromCharCode(code);
  }
  starts.push(raw.length);
  return { raw, text, starts };
}

/** True for a character that stands there as itself. */
export function isRaw({ starts }: Plain, at: number): boolean {
  return starts === null || starts[at + 1]! - starts[at]! === 1;
}
