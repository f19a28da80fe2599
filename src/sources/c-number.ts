/** Numbers as C reads them. */
const NUMBER = /^(0x[0-9a-f]+|0[0-7]*|[1-9]\d*)$/i;

/** Decimal, hexadecimal (0x63) or octal (0143); NaN if it is none. */
export function parseNumber(text: string): number {
  if (!NUMBER.test(text)) return NaN;
  if (/^0x/i.test(text)) return parseInt(text, 16);
  return parseInt(text, text.startsWith('0') ? 8 : 10);
}
