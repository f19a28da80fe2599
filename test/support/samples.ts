/**
 * A strict reader of the Prometheus text format, written apart from the product's writer so that
 * neither can hide the other's mistakes.
 */

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  readonly timestampMs: number | null;
  /** From 1. */
  readonly line: number;
}

export interface Exposition {
  readonly samples: readonly Sample[];
  readonly types: ReadonlyMap<string, string>;
  readonly helps: ReadonlyMap<string, string>;
}

const NAME = /[a-zA-Z_:][a-zA-Z0-9_:]*/y;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"/y;
const REST = / ([+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|Inf)|NaN)(?: (-?\d+))?$/y;
const TYPES = new Set(['counter', 'gauge', 'histogram', 'summary', 'untyped']);

/**
 * Reads a whole file; every error names its line. A `log` is read line by line by its consumers, so its
 * families may alternate, and the same thing may happen twice in a millisecond.
 */
export function parseExposition(text: string, { log = false } = {}): Exposition {
  if (text !== '' && !text.endsWith('\n')) throw new Error('the last line has no newline');
  const samples: Sample[] = [];
  const types = new Map<string, string>();
  const helps = new Map<string, string>();
  for (const [i, line] of text.split('\n').entries()) {
    const fail = (what: string): never => {
      throw new Error(`line ${i + 1}: ${what}: ${JSON.stringify(line)}`);
    };
    const [, keyword, family = '', rest = ''] = /^# (HELP|TYPE) (\S+) ?(.*)$/.exec(line) ?? [];
    if (keyword === 'HELP') {
      if (helps.has(family)) fail('second HELP');
      helps.set(family, rest);
    } else if (keyword === 'TYPE') {
      if (types.has(family)) fail('second TYPE');
      if (!TYPES.has(rest)) fail('unknown type');
      types.set(family, rest);
    } else if (line !== '' && !line.startsWith('#')) {
      samples.push(parseSample(line, i + 1, fail));
    }
  }
  if (!log) checkFamilies(samples, types);
  return { samples, types, helps };
}

/** Those of one name whose labels include these. */
export function select(
  samples: readonly Sample[],
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Sample[] {
  const wanted = Object.entries(labels);
  return samples.filter(
    (sample) => sample.name === name && wanted.every(([k, v]) => sample.labels[k] === v),
  );
}

/** The sum over those; 0 when there are none. */
export function total(...args: Parameters<typeof select>): number {
  return select(...args).reduce((sum, { value }) => sum + value, 0);
}

/** What netwatch.prom counts as lost, by source (or file) and stage. */
export function losses(samples: readonly Sample[]): Record<string, number> {
  return Object.fromEntries(
    select(samples, 'netwatch_events_lost_total')
      .filter(({ value }) => value > 0)
      .map(({ labels, value }) => [Object.values(labels).join(' '), value]),
  );
}

function parseSample(line: string, number: number, fail: (what: string) => never): Sample {
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const found = pattern.exec(line);
    at += found?.[0].length ?? 0;
    return found;
  };
  const name = take(NAME)?.[0] ?? fail('no metric name');
  const labels: Record<string, string> = {};
  if (line[at] === '{') {
    at++;
    while (line[at] !== '}') {
      const [, label = '', value = ''] = take(LABEL) ?? fail('bad label');
      if (label in labels) fail(`label ${label} twice`);
      labels[label] = unescape(value);
      if (line[at] === ',') at++;
      else if (line[at] !== '}') fail('labels not closed');
    }
    at++;
  }
  const [, value = '', timestamp] = take(REST) ?? fail('bad value or timestamp');
  return {
    name,
    labels,
    value: Number(value.replace('Inf', 'Infinity')),
    timestampMs: timestamp === undefined ? null : Number(timestamp),
    line: number,
  };
}

function unescape(value: string): string {
  return value.replace(/\\(.)/g, (_, character: string) => (character === 'n' ? '\n' : character));
}

/** Families in one piece, no two samples of the same name, labels and time. */
function checkFamilies(samples: readonly Sample[], types: ReadonlyMap<string, string>): void {
  const left = new Set<string>();
  const seen = new Set<string>();
  let current = '';
  for (const { name, labels, timestampMs, line } of samples) {
    const stem = name.replace(/_(bucket|sum|count)$/, '');
    const family = types.has(name) ? name : types.has(stem) ? stem : name;
    if (family !== current) {
      if (left.has(family)) throw new Error(`line ${line}: family ${family} in two pieces`);
      left.add((current = family));
    }
    const key = JSON.stringify([name, Object.entries(labels).sort(), timestampMs]);
    if (seen.has(key)) throw new Error(`line ${line}: sample ${key} twice`);
    seen.add(key);
  }
}
