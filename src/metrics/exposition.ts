/**
 * Families and label sets as bytes of the Prometheus text format 0.0.4: headers, and label sets
 * that are rendered once and written many times.
 */
import { ByteWriter, Constant } from './bytes.js';
import type { CONNECTION_LABELS } from './connection-families.js';
import { familiesIn, familyOf } from './families.js';
import type { FamilyName, HistogramName, LabelsOf, HistoryLog, RequiredLabel } from './families.js';
import { cumulative } from './histogram.js';
import { escapeHelp, formatBound, formatValue } from './text.js';

/** The `# HELP` and `# TYPE` lines of a family. */
export function familyHeader(name: FamilyName): string {
  const { help, type } = familyOf(name);
  return `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`;
}

/** The first lines of a history log, also of each rotated one. */
export function logHeader(file: HistoryLog): Buffer {
  return Buffer.from(familiesIn(file).map(familyHeader).join(''));
}

type LabelValue = string | number | bigint | undefined;

/** A rendered label set, whatever its labels. */
export interface Rendered {
  /** `a="x",b="y"` */
  readonly text: string;
  /** The same in braces. */
  readonly bytes: Buffer;
  owner: object | null;
  index: number;
}

/**
 * A label set rendered once, for all families that have exactly these labels. Belongs to the one
 * snapshot at a time that numbered it (`owner`, `index`).
 */
class LabelSet<K extends string> implements Rendered {
  readonly text: string;
  readonly bytes: Buffer;
  owner: object | null = null;
  index = 0;
  /** Never set: keeps a set of few labels from passing for one of more. */
  declare readonly of: (name: K) => K;

  /** `bytes`: in braces; they are copied. */
  constructor(bytes: Buffer) {
    this.bytes = Buffer.from(bytes);
    this.text = bytes.toString('utf8', 1, Math.max(1, bytes.length - 1));
  }
}

export type ConnectionLabels = LabelSet<(typeof CONNECTION_LABELS)[number]>;

/** The label set of all families of one connection. */
export function connectionLabels(sock: string, src: string, dst: string): ConnectionLabels {
  return renderLabels('netwatch_connection_srtt_seconds', { sock, src, dst });
}

/** Labels of family N, or a rendered set that has exactly its labels. */
export type LabelsFor<N extends FamilyName> = LabelsOf<N> | LabelSet<RequiredLabel<N>>;

/** The labels as bytes, in the order of the family: do it once where many samples share them. */
export function renderLabels<N extends FamilyName>(
  name: N,
  labels: LabelsFor<N>,
): LabelSet<RequiredLabel<N>> {
  if (labels instanceof LabelSet) return labels;
  scratch.reset();
  putLabels(scratch, name, labels);
  return new LabelSet(scratch.view());
}

/** Where a label set is written before its size is known. */
const scratch = new ByteWriter(1024);

const COMMA = 0x2c;
const QUOTE = 0x22;
const OPENING = 0x7b;
const CLOSING = 0x7d;
/** `name="`, by the name. */
const beginnings = new Map<string, Constant>();

function beginningOf(name: string): Constant {
  let bytes = beginnings.get(name);
  if (bytes === undefined) beginnings.set(name, (bytes = Constant.of(`${name}="`)));
  return bytes;
}

/**
 * Writes the labels of one sample in braces, in the order of its family. An empty value is an absent
 * label: left out.
 */
export function putLabels<N extends FamilyName>(
  out: ByteWriter,
  family: N,
  labels: LabelsFor<N>,
): void {
  if (labels instanceof LabelSet) {
    out.bytes(labels.bytes);
    return;
  }
  const values: Readonly<Record<string, LabelValue>> = labels;
  const { labels: names, optional } = familyOf(family);
  const start = out.length;
  for (const name of names) putLabel(out, start, name, values[name]);
  for (const name of optional) putLabel(out, start, name, values[name]);
  if (out.length > start) out.byte(CLOSING);
}

function putLabel(out: ByteWriter, start: number, name: string, value: LabelValue): void {
  if (value === undefined || value === '') return;
  out.byte(out.length === start ? OPENING : COMMA);
  out.constant(beginningOf(name));
  out.label(typeof value === 'string' ? value : String(value));
  out.byte(QUOTE);
}

const names = new Map<FamilyName, Buffer>();

/** The name as bytes, made once. */
export function nameBytes(name: FamilyName): Buffer {
  let bytes = names.get(name);
  if (bytes === undefined) names.set(name, (bytes = Buffer.from(name)));
  return bytes;
}

const bounds = new Map<HistogramName, readonly string[]>();

/** All lines of one histogram; `counts` are per bucket, +Inf last. */
export function histogramLines(
  name: HistogramName,
  labels: string,
  counts: ArrayLike<number>,
  sum: number,
): string {
  let limits = bounds.get(name);
  if (limits === undefined) {
    bounds.set(name, (limits = [...familyOf(name).buckets.map(formatBound), '+Inf']));
  }
  const totals = cumulative(counts);
  const before = labels === '' ? '' : `${labels},`;
  const braces = labels === '' ? '' : `{${labels}}`;
  let lines = '';
  for (const [at, limit] of limits.entries()) {
    lines += `${name}_bucket{${before}le="${limit}"} ${totals[at]}\n`;
  }
  return `${lines}${name}_sum${braces} ${formatValue(sum)}\n${name}_count${braces} ${totals.at(-1)}\n`;
}
