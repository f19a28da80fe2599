/**
 * Label values, help texts and numbers as the Prometheus text format wants them. Values come from
 * strangers (process names, request lines): whatever they hold, the result is one line that every
 * consumer reads back alike.
 */

/** Printable ASCII without quote and backslash: needs no treatment. */
const PLAIN = /^[ !#-[\]-~]*$/;

/**
 * Never let through: control characters (a terminal obeys them; tail is a terminal), characters
 * that turn the direction of the text around, line separators (some readers end a line there),
 * halves of a surrogate pair.
 */
const UNSAFE =
  // eslint-disable-next-line no-control-regex
  /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufeff]|\p{Surrogate}/gu;

/** A label value with unsafe characters replaced by U+FFFD; a newline stays, it can be escaped. */
export function safeValue(value: string): string {
  return PLAIN.test(value) ? value : value.replace(UNSAFE, '\ufffd');
}

/** The same in one line, for a terminal. */
export function oneLine(text: string): string {
  return safeValue(text).replaceAll('\n', '\ufffd');
}

/** A label value, ready to stand between quotes. */
export function escapeLabel(value: string): string {
  if (PLAIN.test(value)) return value;
  return quoteLabel(value.replace(UNSAFE, '\ufffd'));
}

/** A label value as it is, between quotes. */
export function quoteLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

export function escapeHelp(help: string): string {
  return help.replace(UNSAFE, '\ufffd').replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** A C string (a process name, bytes of a request) up to its NUL; invalid UTF-8 becomes U+FFFD. */
export function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
}

/**
 * At most `max` UTF-16 units, the last one an ellipsis if something was cut; never half a surrogate
 * pair.
 */
export function clip(value: string, max: number): string {
  if (value.length <= max) return value;
  const cut = value.slice(0, max - 1);
  return `${/[\ud800-\udbff]$/.test(cut) ? cut.slice(0, -1) : cut}…`;
}

/** Beyond this a number is written with an exponent: nobody reads 300 digits. */
const PLAIN_DIGITS = 40;

/** A sample value: integers exact, no exponent for any size that a metric has, NaN, +Inf, -Inf. */
export function formatValue(value: number | bigint): string {
  if (typeof value === 'bigint') return value.toString();
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  if (Number.isInteger(value)) {
    if (Math.abs(value) < 10 ** PLAIN_DIGITS) return BigInt(value).toString();
    return String(value);
  }
  const text = String(value);
  return text.includes('e-') ? withoutExponent(text) : text;
}

/** `1.5e-7` as `0.00000015`. */
function withoutExponent(text: string): string {
  const [mantissa = '', exponent = ''] = text.split('e-');
  const zeros = Number(exponent) - 1;
  if (zeros >= PLAIN_DIGITS) return text;
  const sign = mantissa.startsWith('-') ? '-' : '';
  return `${sign}0.${'0'.repeat(zeros)}${mantissa.replace(/[-.]/g, '')}`;
}

/** From here on Go's shortest form has an exponent. */
const GO_EXPONENT_FROM = 1e6;

/**
 * The bound of a bucket. `le` is a text to Prometheus, so it has to be spelled as every Go program
 * spells it (`1e-06`, `2.097152e+06`): one that reads our file and shows it again would otherwise make other series
 * of it.
 */
export function formatBound(bound: number): string {
  if (bound === 0 || (bound >= 1e-4 && bound < GO_EXPONENT_FROM)) return formatValue(bound);
  return bound.toExponential().replace(/e([-+])(\d)$/, 'e$10$2');
}
