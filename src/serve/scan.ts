/**
 * What a `*.prom` file holds: its families and where their lines stand, checked by all rules of
 * the strict parser (metrics/parse.ts) but at 0.4 us a line: 270,000 lines, 31 MB, in 110 ms. Only
 * what is beyond doubt is accepted here; for any other file the strict parser decides, and names
 * what is wrong.
 */
import { isUtf8 } from 'node:buffer';
import {
  boundOf,
  histogramContradiction,
  histogramGap,
  type HistogramCheck,
} from '../metrics/histogram-check.js';
import {
  ExpositionError,
  parseComment,
  parseSample,
  parseValue,
  type MetricType,
} from '../metrics/sample.js';
import { FamilySeries } from './family-series.js';
import type { Bytes } from './file-bytes.js';
import { shapeOf, type Shape } from './shapes.js';
import { strictScan } from './strict-scan.js';

/** A family of one file. */
export interface FamilyPart {
  readonly name: string;
  type: MetricType | null;
  help: string | null;
  /** A histogram that lacks its +Inf bucket, its sum or its count. */
  isIncomplete: boolean;
  /** Where its lines stand in the bytes of the scan: start, end, start, end … */
  readonly ranges: number[];
}

export interface Scan {
  /** Only what `ranges` name is checked. */
  readonly bytes: Bytes;
  readonly families: ReadonlyMap<string, FamilyPart>;
}

export type ScanResult =
  { readonly ok: true; readonly scan: Scan } | { readonly ok: false; readonly error: string };

/** Text at a time: what V8 takes from the young generation of its heap, as an object like others. */
export const CHUNK_BYTES = 96 << 10;
/** Beyond these the file is not one that repeats its shapes, and gains nothing here. */
const MOST_SHAPES = 4096;
const MOST_SHAPES_OF_NAME = 16;
const NEWLINE = 0x0a;
const HASH = 0x23;
const NAME = /[a-zA-Z_:][a-zA-Z0-9_:]*/y;
const HISTOGRAM_SUFFIX = /_(?:bucket|sum|count)$/;
const HISTOGRAM_PARTS = ['_bucket', '_sum', '_count'];

/** Checks a whole file; the error is one sentence without its end. */
export function scanExposition(bytes: Bytes): ScanResult {
  const families = quickScan(bytes);
  return families === null ? strictScan(bytes) : { ok: true, scan: { bytes, families } };
}

/** The families of a file, or null if there is anything in it that only the strict parser can judge. */
export function quickScan(bytes: Bytes): ReadonlyMap<string, FamilyPart> | null {
  const scanner = new Scanner(bytes);
  try {
    return scanner.run() ? scanner.families : null;
  } catch (error) {
    if (error instanceof ExpositionError) return null;
    throw error;
  }
}

/** A shape met in this file, with what its lines belong to. */
interface Known extends Shape {
  readonly family: FamilyPart;
}

/** One use. `false` from a method: the strict parser has to judge. */
class Scanner {
  readonly families = new Map<string, FamilyPart>();
  readonly #bytes: Bytes;
  readonly #series: FamilySeries;
  readonly #shapes = new Map<string, Known[]>();
  readonly #histograms = new Map<string, HistogramCheck>();
  #shapeCount = 0;
  /** The text at hand, one character for each byte, and where it stands in the file. */
  #text = '';
  readonly #room = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  #window: Buffer = Buffer.alloc(0);
  #base = 0;

  constructor(bytes: Bytes) {
    this.#bytes = bytes;
    this.#series = new FamilySeries(bytes);
  }

  run(): boolean {
    const { length } = this.#bytes;
    while (this.#base < length) {
      const end = Math.min(this.#base + CHUNK_BYTES, length);
      const all = this.#bytes.subarray(this.#base, end, this.#room);
      // No line is that long, and the last one has its end.
      const lines = all.subarray(0, all.lastIndexOf(NEWLINE) + 1);
      if (lines.length === 0 || !isUtf8(lines)) return false;
      this.#window = Buffer.from(lines.buffer, lines.byteOffset, lines.length);
      this.#text = this.#window.toString('latin1');
      this.#series.move(lines, this.#base);
      if (!this.#chunk()) return false;
      this.#base += lines.length;
    }
    return [...this.#histograms.values()].every(
      (check) => histogramGap(check) === null && histogramContradiction(check) === null,
    );
  }

  #chunk(): boolean {
    let at = 0;
    while (at < this.#text.length) {
      const first = this.#text.charCodeAt(at);
      if (first === NEWLINE) {
        at++;
      } else if (first === HASH) {
        const end = this.#text.indexOf('\n', at);
        if (!this.#comment(at, end)) return false;
        at = end + 1;
      } else {
        const shape = this.#find(at) ?? this.#learn(at);
        if (shape === null) return false;
        this.#series.enter(shape.family);
        const end = shape.part === 'plain' ? this.#plainLines(shape, at) : this.#line(shape, at);
        if (end === null) return false;
        addRange(shape.family.ranges, this.#base + at, this.#base + end);
        at = end;
      }
    }
    return true;
  }

  /** Takes all lines of this shape that follow each other; the place after them, or null. */
  #plainLines({ pattern }: Known, start: number): number | null {
    let at = start;
    pattern.lastIndex = at;
    while (pattern.test(this.#text)) {
      const next = pattern.lastIndex;
      if (!this.#isNew(at, next)) return null;
      at = next;
    }
    return at;
  }

  /** A line of a histogram. */
  #line({ pattern, part, name, family }: Known, at: number): number | null {
    pattern.lastIndex = at;
    const [, before = '', le = '', after = '', valueText = ''] = pattern.exec(this.#text)!;
    const end = pattern.lastIndex;
    if (!this.#isNew(at, end)) return null;
    const key = `${family.name}{${before}${before === '' || after === '' ? '' : ','}${after}`;
    let check = this.#histograms.get(key);
    if (check === undefined) {
      check = { name: family.name, line: 0, buckets: [], count: null, hasSum: false };
      this.#histograms.set(key, check);
    }
    if (part === 'count') check.count = parseValue(valueText);
    else if (part === 'sum') check.hasSum = true;
    else check.buckets.push([boundOf(name, [['le', le]]), parseValue(valueText)]);
    return end;
  }

  /** Notes the series of the line; its value, and so the blank before it, is beyond doubt. */
  #isNew(start: number, end: number): boolean {
    const blank = this.#text.lastIndexOf(' ', end - 2);
    return this.#series.add(this.#base + start, this.#base + blank);
  }

  #find(at: number): Known | null {
    NAME.lastIndex = at;
    const name = NAME.exec(this.#text)?.[0] ?? '';
    for (const shape of this.#shapes.get(name) ?? []) {
      shape.pattern.lastIndex = at;
      if (shape.pattern.test(this.#text)) return shape;
    }
    return null;
  }

  /** The first line of a shape is read strictly. */
  #learn(at: number): Known | null {
    const sample = parseSample(this.#text.slice(at, this.#text.indexOf('\n', at)));
    const family = this.#familyOf(sample.name);
    const shape = shapeOf(sample, family.name, family.type);
    if (shape === null || this.#shapeCount++ >= MOST_SHAPES) return null;
    shape.pattern.lastIndex = at;
    if (!shape.pattern.test(this.#text)) return null;
    const others = this.#shapes.get(shape.name) ?? [];
    // The same labels in another order: two spellings of one series would pass for two.
    const isMixed = others.some(({ sortedLabels }) => sortedLabels === shape.sortedLabels);
    if (isMixed || others.length >= MOST_SHAPES_OF_NAME) return null;
    const known = { ...shape, family };
    this.#shapes.set(shape.name, [...others, known]);
    return known;
  }

  #comment(start: number, end: number): boolean {
    const line = this.#window.toString('utf8', start, end);
    const comment = parseComment(line);
    if (comment === null) return true;
    const family = this.#family(comment.name);
    if (comment.kind === 'HELP') {
      if (family.help !== null) return false;
      family.help = comment.help;
      return true;
    }
    if (family.type !== null || family.ranges.length > 0) return false;
    family.type = comment.type;
    // A line before this one may have been taken for a family of its own.
    return HISTOGRAM_PARTS.every((part) => !this.#shapes.has(comment.name + part));
  }

  #family(name: string): FamilyPart {
    let family = this.families.get(name);
    if (family === undefined) {
      family = { name, type: null, help: null, isIncomplete: false, ranges: [] };
      this.families.set(name, family);
    }
    return family;
  }

  /** As in the strict parser: `x_bucket` belongs to histogram `x`. */
  #familyOf(sample: string): FamilyPart {
    const base = sample.replace(HISTOGRAM_SUFFIX, '');
    const parent = base === sample ? undefined : this.families.get(base);
    const owns =
      parent?.type === 'histogram' || (parent?.type === 'summary' && !sample.endsWith('_bucket'));
    return parent !== undefined && owns ? parent : this.#family(sample);
  }
}

/** Adds a range, to the one before if they touch. */
function addRange(ranges: number[], start: number, end: number): void {
  if (ranges.at(-1) === start) ranges[ranges.length - 1] = end;
  else ranges.push(start, end);
}

/** The lines that `ranges` name, without their newlines. */
export function* linesOf(bytes: Bytes, ranges: readonly number[]): Generator<string> {
  const room = bytes instanceof Uint8Array ? undefined : Buffer.allocUnsafe(CHUNK_BYTES);
  for (let i = 0; i < ranges.length; i += 2) {
    const end = ranges[i + 1]!;
    for (let start = ranges[i]!; start < end;) {
      let chunk = bytes.subarray(start, Math.min(start + CHUNK_BYTES, end), room);
      // Only the strict parser lets a line pass that is longer than this.
      if (!chunk.includes(NEWLINE)) chunk = bytes.subarray(start, end);
      const last = chunk.lastIndexOf(NEWLINE);
      // It was cut since: what is sent of it is checked again.
      if (last < 0) return;
      const text = Buffer.from(chunk.buffer, chunk.byteOffset, last + 1).toString();
      for (let at = 0; at < text.length;) {
        const newline = text.indexOf('\n', at);
        yield text.slice(at, newline);
        at = newline + 1;
      }
      start += last + 1;
    }
  }
}
