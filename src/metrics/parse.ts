/**
 * A strict reader of the Prometheus text format 0.0.4, line by line. Stricter than any one
 * consumer: it refuses what promtool, the textfile collector or a scrape refuses, and what they
 * lose without a word (two samples of one series, a histogram that does not add up).
 */
import { isUtf8 } from 'node:buffer';
import { boundOf, histogramContradiction, histogramGap } from './histogram-check.js';
import type { HistogramCheck } from './histogram-check.js';
import { ExpositionError, parseComment, parseSample, seriesKey } from './sample.js';
import type { MetricType, Sample } from './sample.js';

export interface ParseRules {
  readonly timestamps: 'forbid' | 'allow' | 'require';
  /** All samples of a family stand together. */
  readonly grouped: boolean;
  /** No series comes twice (with timestamps: not twice with the same). */
  readonly unique: boolean;
  /** Every family has HELP and TYPE. */
  readonly documented: boolean;
  /** Also what a scrape takes and only a careful reader refuses: `le` without TYPE, half a histogram. */
  readonly asScraped?: boolean;
}

export interface ParseIssue {
  /** From 1; 0 for what concerns the whole document. */
  readonly line: number;
  readonly message: string;
}

export interface ParsedFamily {
  readonly name: string;
  type: MetricType | null;
  help: string | null;
  samples: number;
  /** A histogram that lacks its +Inf bucket, its sum or its count. */
  isIncomplete: boolean;
}

/** Takes a sample that keeps the rules, the number of its line and its family. */
export type SampleListener = (sample: Sample, line: number, family: ParsedFamily) => void;

export class ExpositionParser {
  readonly families = new Map<string, ParsedFamily>();
  readonly issues: ParseIssue[] = [];
  #line = 0;
  readonly #rules: ParseRules;
  readonly #onSample: SampleListener;
  readonly #series = new Set<string>();
  readonly #closed = new Set<string>();
  readonly #histograms = new Map<string, HistogramCheck>();
  #current: string | null = null;

  constructor(rules: ParseRules, onSample: SampleListener = () => {}) {
    this.#rules = rules;
    this.#onSample = onSample;
  }

  /** Takes the next line, without its newline; false if it breaks a rule (see `issues`). */
  line(text: string): boolean {
    this.#line++;
    try {
      if (/\p{Surrogate}/u.test(text)) throw new ExpositionError('invalid UTF-8');
      if (/^[ \t]*#/.test(text)) this.#comment(text);
      else if (/[^ \t]/.test(text)) this.#sample(text);
      return true;
    } catch (error) {
      if (!(error instanceof ExpositionError)) throw error;
      this.issues.push({ line: this.#line, message: error.message });
      return false;
    }
  }

  /** After the last line: what can only be seen now. */
  end(): readonly ParseIssue[] {
    for (const check of this.#histograms.values()) {
      const gap = histogramGap(check);
      if (gap !== null) this.#family(check.name).isIncomplete = true;
      const message =
        (this.#rules.asScraped === true ? null : gap) ?? histogramContradiction(check);
      if (message !== null) this.issues.push({ line: check.line, message });
    }
    if (this.#rules.documented) {
      for (const { name, help, type, samples } of this.families.values()) {
        if (samples === 0) continue;
        if (help === null) this.issues.push({ line: 0, message: `${name} has no HELP` });
        if (type === null) this.issues.push({ line: 0, message: `${name} has no TYPE` });
      }
    }
    return this.issues;
  }

  #comment(text: string): void {
    const comment = parseComment(text);
    if (comment === null) return;
    const { name } = comment;
    const family = this.#family(name);
    if (this.#rules.grouped) this.#enter(name);
    if (comment.kind === 'HELP') {
      if (family.help !== null) {
        throw new ExpositionError(`second HELP line for metric name "${name}"`);
      }
      family.help = comment.help;
      return;
    }
    if (family.type !== null || family.samples > 0) {
      throw new ExpositionError(
        `second TYPE line for metric name "${name}", or TYPE reported after samples`,
      );
    }
    family.type = comment.type;
  }

  #sample(text: string): void {
    const sample = parseSample(text);
    const family = this.#familyOf(sample.name);
    this.#checkTimestamp(sample);
    if (this.#rules.grouped) this.#enter(family.name);
    if (this.#rules.unique) this.#checkUnique(sample);
    if (family.type === 'histogram') this.#checkHistogram(family.name, sample);
    else if (this.#refusesLe(family) && sample.labels.some(([label]) => label === 'le')) {
      throw new ExpositionError(`label "le" on ${sample.name}, which is no histogram`);
    }
    if (family.type === 'counter' && !(sample.value >= 0)) {
      throw new ExpositionError(`counter ${sample.name} is ${sample.valueText}`);
    }
    family.samples++;
    this.#onSample(sample, this.#line, family);
  }

  #refusesLe({ type }: ParsedFamily): boolean {
    return this.#rules.asScraped !== true || (type !== null && type !== 'untyped');
  }

  #family(name: string): ParsedFamily {
    let family = this.families.get(name);
    if (family === undefined) {
      family = { name, type: null, help: null, samples: 0, isIncomplete: false };
      this.families.set(name, family);
    }
    return family;
  }

  /** `x_bucket` belongs to histogram `x`. */
  #familyOf(sample: string): ParsedFamily {
    const base = sample.replace(/_(?:bucket|sum|count)$/, '');
    const parent = base === sample ? undefined : this.families.get(base);
    const owns =
      parent?.type === 'histogram' || (parent?.type === 'summary' && !sample.endsWith('_bucket'));
    return parent !== undefined && owns ? parent : this.#family(sample);
  }

  #enter(name: string): void {
    if (name === this.#current) return;
    if (this.#closed.has(name)) {
      throw new ExpositionError(`lines of family ${name} do not stand together`);
    }
    if (this.#current !== null) this.#closed.add(this.#current);
    this.#current = name;
  }

  #checkTimestamp({ name, timestampMs }: Sample): void {
    const { timestamps } = this.#rules;
    if (timestamps === 'forbid' && timestampMs !== null) {
      throw new ExpositionError(`${name} has a timestamp`);
    }
    if (timestamps === 'require' && timestampMs === null) {
      throw new ExpositionError(`${name} has no timestamp`);
    }
  }

  #checkUnique({ name, labels, timestampMs }: Sample): void {
    const key = `${seriesKey(name, labels)}@${timestampMs}`;
    if (this.#series.has(key)) throw new ExpositionError(`second sample of one series of ${name}`);
    this.#series.add(key);
  }

  #checkHistogram(family: string, { name, labels, value, timestampMs }: Sample): void {
    const others = labels.filter(([label]) => label !== 'le');
    const key = `${seriesKey(family, others)}@${timestampMs}`;
    let check = this.#histograms.get(key);
    if (check === undefined) {
      check = { name: family, line: this.#line, buckets: [], count: null, hasSum: false };
      this.#histograms.set(key, check);
    }
    if (name === `${family}_count`) check.count = value;
    else if (name === `${family}_sum`) check.hasSum = true;
    else if (name === family) throw new ExpositionError(`histogram ${family} has no plain sample`);
    else check.buckets.push([boundOf(name, labels), value]);
  }
}

/**
 * Feeds a whole document to a parser that has read nothing yet, or with `toFirstIssue` no more than
 * shows that something is wrong; returns its issues.
 */
export function readExposition(
  body: string | Uint8Array,
  parser: ExpositionParser,
  { toFirstIssue = false } = {},
): readonly ParseIssue[] {
  if (typeof body !== 'string' && !isUtf8(body)) {
    parser.issues.push({ line: 0, message: 'invalid UTF-8' });
    if (toFirstIssue) return parser.issues;
  }
  const text =
    typeof body === 'string' ? body : new TextDecoder('utf-8', { ignoreBOM: true }).decode(body);
  let lines = 0;
  let at = 0;
  for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', at)) {
    lines += 1;
    if (!parser.line(text.slice(at, end)) && toFirstIssue) return parser.issues;
    at = end + 1;
  }
  if (at < text.length) {
    parser.issues.push({ line: lines + 1, message: 'unexpected end of input stream' });
  }
  return parser.end();
}
