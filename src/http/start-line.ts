/**
 * Reads the first line of an HTTP/1.0 or 1.1 message as it was captured: perhaps cut, perhaps with its
 * line end. Pure, and lenient where the framing in the kernel is: any method token, any byte in a target.
 */

export type StartLine =
  | {
      readonly kind: 'request';
      readonly method: string;
      /** As sent; latin1, one character a byte. Cut short if `truncated`. */
      readonly target: string;
      /** `1.0`, `1.1`; null = cut off. */
      readonly version: string | null;
      readonly truncated: boolean;
    }
  | {
      readonly kind: 'response';
      readonly status: number;
      readonly reason: string;
      readonly version: string;
      readonly truncated: boolean;
    };

const METHOD_MAX = 31;
const VERSION = 'HTTP/1.';
const VERSION_LENGTH = VERSION.length + 1;
/** ` HTTP/1.1` at the end, or as much of it as a cut has left. */
const CUT_VERSION = / +(?:H(?:T(?:T(?:P(?:\/(?:1\.?)?)?)?)?)?)?$/;

function isTokenCharacter(code: number): boolean {
  if (code > 0x60) return code <= 0x7a || code === 0x7c || code === 0x7e; // ` a-z | ~
  if (code > 0x40) return code <= 0x5a || code >= 0x5e; // A-Z ^ _ `
  if (code >= 0x30) return code <= 0x39; // 0-9
  // ! # $ % & ' * + - .
  return code === 0x21 || (code >= 0x23 && code <= 0x2e && !NOT_IN_TOKEN.has(code));
}

/** Among # to .: parentheses and the comma. */
const NOT_IN_TOKEN = new Set([0x28, 0x29, 0x2c]);

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

/** `1.1` if `HTTP/1.1` stands at `at`. */
function versionAt(line: string, at: number): string | null {
  const minor = line.charCodeAt(at + VERSION.length);
  return line.startsWith(VERSION, at) && isDigit(minor) ? `1.${String.fromCharCode(minor)}` : null;
}

function parseResponse(line: string, truncated: boolean): StartLine | null {
  const version = versionAt(line, 0);
  const status = line.slice(VERSION_LENGTH + 1, VERSION_LENGTH + 4);
  if (version === null || line[VERSION_LENGTH] !== ' ' || !/^[1-9]\d\d$/.test(status)) return null;
  const rest = line.slice(VERSION_LENGTH + 4);
  if (rest !== '' && rest[0] !== ' ') return null;
  return { kind: 'response', status: Number(status), reason: rest.slice(1), version, truncated };
}

/** The length of the method in front of a space; 0 if there is none. */
function methodLength(line: string): number {
  const limit = Math.min(line.length, METHOD_MAX + 1);
  for (let i = 0; i < limit; i++) {
    const code = line.charCodeAt(i);
    if (code === 0x20) return i;
    if (!isTokenCharacter(code)) return 0;
  }
  return 0;
}

function parseRequest(line: string, truncated: boolean): StartLine | null {
  const length = methodLength(line);
  if (length === 0) return null;
  const method = line.slice(0, length);
  const version = versionAt(line, line.length - VERSION_LENGTH);
  if (version !== null && line[line.length - VERSION_LENGTH - 1] === ' ') {
    const target = line.slice(length, -VERSION_LENGTH).trim();
    if (target !== '') return { kind: 'request', method, target, version, truncated: false };
  }
  if (!truncated) return null;
  const target = line.slice(length).replace(CUT_VERSION, '').trim();
  return target === '' ? null : { kind: 'request', method, target, version: null, truncated };
}

/**
 * The first line in `captured`; null if it is none. A line that has its end is whole; one that has not
 * is what `truncated` says.
 */
export function parseStartLine(captured: Uint8Array | string, truncated = false): StartLine | null {
  const text =
    typeof captured === 'string'
      ? captured
      : Buffer.from(captured.buffer, captured.byteOffset, captured.length).toString('latin1');
  const end = text.indexOf('\n');
  const whole = end >= 0;
  let line = whole ? text.slice(0, end) : text;
  if (line.endsWith('\r')) line = line.slice(0, -1);
  const cut = truncated && !whole;
  return line.startsWith(VERSION) ? parseResponse(line, cut) : parseRequest(line, cut);
}
