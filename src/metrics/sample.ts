/**
 * One line of the Prometheus text format 0.0.4, read strictly: what any consumer refuses is an
 * `ExpositionError`.
 */
import { clip } from './text.js';

/** A line or a document that breaks the format; the message names the rule. */
export class ExpositionError extends Error {}

export interface Sample {
  readonly name: string;
  readonly labels: readonly (readonly [name: string, value: string])[];
  readonly value: number;
  /** As written: integers beyond 2^53 are exact only here. */
  readonly valueText: string;
  readonly timestampMs: number | null;
}

export type MetricType = 'counter' | 'gauge' | 'histogram' | 'summary' | 'untyped';

/** A `# HELP` or `# TYPE` line. */
export type Comment =
  | { readonly kind: 'HELP'; readonly name: string; readonly help: string }
  | { readonly kind: 'TYPE'; readonly name: string; readonly type: MetricType };

const METRIC_TYPES: ReadonlySet<string> = new Set([
  'counter',
  'gauge',
  'histogram',
  'summary',
  'untyped',
] satisfies MetricType[]);
const METRIC_NAME = /[a-zA-Z_:][a-zA-Z0-9_:]*/y;
const LABEL_NAME = /[a-zA-Z_][a-zA-Z0-9_]*/y;
const BLANKS = /[ \t]*/y;
/**
 * What Go's ParseFloat takes, without the hexadecimal forms and underscores that consumers refuse.
 */
const FLOAT = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
const INFINITE = /^([+-]?)inf(?:inity)?$/i;
const INTEGER = /^[+-]?\d+$/;
/** `# HELP name text`, `# TYPE name type`; any other line that starts with `#` is a remark. */
const COMMENT = /^[ \t]*#[ \t]+(HELP|TYPE)(?:[ \t]+([^ \t]+)(?:[ \t]+(.*))?)?$/s;

/** Of a value that a message names. */
const MOST_QUOTED_CHARS = 60;

function fail(message: string): never {
  throw new ExpositionError(message);
}

function match(pattern: RegExp, text: string, at: number): string | null {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? null;
}

function skipBlanks(text: string, at: number): number {
  return at + (match(BLANKS, text, at) ?? '').length;
}

/** A sample value; NaN is a value, so a text that is none throws. */
export function parseValue(text: string): number {
  if (FLOAT.test(text)) {
    const value = Number(text);
    if (Number.isFinite(value)) return value;
  } else if (/^nan$/i.test(text)) {
    return NaN;
  } else {
    const infinite = INFINITE.exec(text);
    if (infinite !== null) return infinite[1] === '-' ? -Infinity : Infinity;
  }
  return fail(`expected float as value, got ${quoted(text)}`);
}

const INT64_MAX = 2n ** 63n - 1n;

/** Milliseconds since 1970. */
export function parseTimestamp(text: string): number {
  if (!INTEGER.test(text)) fail(`expected integer as timestamp, got ${quoted(text)}`);
  if (text.length <= 15) return Number(text);
  const exact = BigInt(text.replace('+', ''));
  if (exact > INT64_MAX || exact < -INT64_MAX - 1n) {
    fail(`expected integer as timestamp, got ${quoted(text)}`);
  }
  return Number(exact);
}

/** Undoes `\\`, `\n` and, in label values, `\"`; any other escape breaks the format. */
function unescape(text: string, quote: boolean): string {
  if (!text.includes('\\')) return text;
  return text.replace(/\\([\s\S]?)/g, (_, escaped: string) => {
    if (escaped === 'n') return '\n';
    if (escaped === '\\' || (quote && escaped === '"')) return escaped;
    return fail(`invalid escape sequence '\\${escaped}'`);
  });
}

/** Text of a stranger inside a message: its beginning, in quotes. */
const quoted = (text: string): string => JSON.stringify(clip(text, MOST_QUOTED_CHARS));

/** Where the quoted value that starts at `at` has its closing quote. */
function closingQuote(line: string, at: number): number {
  for (let end = at; ; end++) {
    end = line.indexOf('"', end);
    if (end < 0) return fail(`label value ${quoted(line.slice(at))} is not closed`);
    let slashes = 0;
    while (end - slashes > at && line[end - slashes - 1] === '\\') slashes++;
    if (slashes % 2 === 0) return end;
  }
}

/** Reads `{a="x",…}` from its brace on; returns the place after it. */
function parseLabels(
  line: string,
  brace: number,
  name: string,
  labels: [string, string][],
): number {
  let at = skipBlanks(line, brace + 1);
  const seen = new Set<string>();
  while (line[at] !== '}') {
    const label = match(LABEL_NAME, line, at) ?? fail(`invalid label name for metric "${name}"`);
    if (label === '__name__') fail('label name "__name__" is reserved');
    if (seen.has(label)) fail(`duplicate label names for metric "${name}"`);
    seen.add(label);
    at = skipBlanks(line, at + label.length);
    if (line[at] !== '=')
      fail(`expected '=' after label name, found '${line[at] ?? 'end of line'}'`);
    at = skipBlanks(line, at + 1);
    if (line[at] !== '"') {
      fail(`expected '"' at start of label value, found '${line[at] ?? 'end of line'}'`);
    }
    const end = closingQuote(line, at + 1);
    const text = line.slice(at + 1, end);
    labels.push([label, unescape(text, true)]);
    at = skipBlanks(line, end + 1);
    if (line[at] === ',') at = skipBlanks(line, at + 1);
    else if (line[at] !== '}') fail(`unexpected end of label value ${quoted(text)}`);
  }
  return at + 1;
}

/** One sample line, without its newline. */
export function parseSample(line: string): Sample {
  let at = skipBlanks(line, 0);
  const name = match(METRIC_NAME, line, at) ?? fail('invalid metric name');
  at = skipBlanks(line, at + name.length);
  const labels: [string, string][] = [];
  const hasLabels = line[at] === '{';
  if (hasLabels) at = skipBlanks(line, parseLabels(line, at, name, labels));
  if (line.includes('\0')) fail('a line must not contain NUL');
  const [valueText = '', timestamp, ...rest] = line.slice(at).split(/[ \t]/);
  const value = parseValue(valueText);
  if (rest.length > 0) fail(`spurious string after timestamp: ${quoted(rest.join(' '))}`);
  const timestampMs = timestamp === undefined ? null : parseTimestamp(timestamp);
  return { name, labels, value, valueText, timestampMs };
}

/** A line that starts with `#`, or null for a remark without meaning. */
export function parseComment(line: string): Comment | null {
  const parts = COMMENT.exec(line);
  if (parts === null) return null;
  const [, kind, name = '', text = ''] = parts;
  if (match(METRIC_NAME, name, 0) !== name) fail('invalid metric name in comment');
  if (kind === 'HELP') return { kind, name, help: unescape(text, false) };
  if (!METRIC_TYPES.has(text)) fail(`unknown metric type ${quoted(text)}`);
  return { kind: 'TYPE', name, type: text as MetricType };
}

/**
 * The label set as a key: equal for equal series, whatever the order; an empty value is an absent
 * label.
 */
export function seriesKey(name: string, labels: Sample['labels']): string {
  const present = labels.filter(([, value]) => value !== '');
  const sorted = present.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return `${name}${JSON.stringify(sorted)}`;
}

/**
 * The years 2000 to 2100. A torn line can lose the last digits of its timestamp and still look
 * whole; of those of our time none is left in this span. Neither is a timestamp in seconds.
 */
const PLAUSIBLE_MS = [946_684_800_000, 4_102_444_800_000] as const;

/** The timestamp of a history line, if it can be one. Throws ExpositionError. */
export function checkTime(timeMs: number | null): number {
  if (timeMs === null) {
    throw new ExpositionError('no timestamp: not a line of a history log, or torn');
  }
  if (timeMs < PLAUSIBLE_MS[0] || timeMs > PLAUSIBLE_MS[1]) {
    throw new ExpositionError(`timestamp ${timeMs} is not one in milliseconds, or torn`);
  }
  return timeMs;
}
