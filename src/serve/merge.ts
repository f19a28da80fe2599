/**
 * The files of the directory as one exposition: families sorted by name, each once. A file that
 * cannot be served beside those before it is left out whole, as half a file would be a lie.
 */
import { familiesIn } from '../metrics/families.js';
import { parseSample, seriesKey, type MetricType } from '../metrics/sample.js';
import type { Bytes } from './file-bytes.js';
import { linesOf, type FamilyPart, type Scan } from './scan.js';

export interface NamedScan {
  readonly name: string;
  readonly scan: Scan;
}

/** The lines of a family in one file. */
export interface FamilySource {
  readonly file: string;
  readonly bytes: Bytes;
  readonly part: FamilyPart;
}

export interface MergedFamily {
  readonly name: string;
  readonly type: MetricType;
  readonly help: string;
  readonly sources: readonly FamilySource[];
}

export interface Merged {
  /** Sorted by name. */
  readonly families: readonly MergedFamily[];
  /** Why files are left out, by name: one sentence each, without its end. */
  readonly errors: ReadonlyMap<string, string>;
}

/** What only the endpoint itself may say: its families, and their names in OpenMetrics. */
const RESERVED: ReadonlySet<string> = new Set(
  familiesIn('endpoint').flatMap((name) => [name, name.replace(/_total$/, '')]),
);

/**
 * Merges files: of two that contradict each other the earlier wins. A file that has a family of
 * `reserved` is left out.
 */
export function mergeScans(
  files: readonly NamedScan[],
  reserved: ReadonlySet<string> = RESERVED,
): Merged {
  const merge = new Merge(reserved);
  const errors = new Map<string, string>();
  for (const { name, scan } of files) {
    const error = merge.add(name, scan);
    if (error !== null) errors.set(name, error);
  }
  return { families: merge.families(), errors };
}

/** A family while files are being added; `help` null: no file has said it yet. */
interface Growing {
  readonly name: string;
  readonly type: MetricType;
  help: string | null;
  readonly sources: FamilySource[];
}

class Merge {
  readonly #reserved: ReadonlySet<string>;
  readonly #families = new Map<string, Growing>();
  /** Names of samples, and the family that each belongs to. */
  readonly #owners = new Map<string, string>();

  constructor(reserved: ReadonlySet<string>) {
    this.#reserved = reserved;
  }

  /** Takes the whole file, or says why not. */
  add(file: string, { bytes, families }: Scan): string | null {
    const parts = [...families.values()].filter(({ ranges }) => ranges.length > 0);
    const sources = parts.map((part) => ({ file, bytes, part }));
    const error = this.#takenName(parts) ?? firstOf(sources, (source) => this.#conflict(source));
    if (error === null) for (const source of sources) this.#take(source);
    return error;
  }

  families(): readonly MergedFamily[] {
    const sorted = [...this.#families.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    return sorted.map(documented);
  }

  #take(source: FamilySource): void {
    const { name, help } = source.part;
    const type = typeOf(source.part);
    let family = this.#families.get(name);
    if (family === undefined) {
      this.#families.set(name, (family = { name, type, help, sources: [] }));
      for (const sample of sampleNames(name, type)) this.#owners.set(sample, name);
    }
    family.help ??= help;
    family.sources.push(source);
  }

  /** A name that is reserved, or that samples of two families would share. */
  #takenName(parts: readonly FamilyPart[]): string | null {
    const own = new Map<string, string>();
    for (const part of parts) {
      const { name } = part;
      if (this.#reserved.has(name)) return `it has ${name}, which only the endpoint itself exports`;
      for (const sample of sampleNames(name, typeOf(part))) {
        const owner = this.#owners.get(sample) ?? own.get(sample) ?? name;
        if (owner !== name) return `its ${name} and family ${owner} both have ${sample}`;
        own.set(sample, name);
      }
    }
    return null;
  }

  /** What contradicts the files before. */
  #conflict(source: FamilySource): string | null {
    const { name, help } = source.part;
    const type = typeOf(source.part);
    const family = this.#families.get(name);
    if (family === undefined) return null;
    const first = family.sources[0]!.file;
    if (type !== family.type) return `its ${name} is a ${type}, that of ${first} a ${family.type}`;
    if (help !== null && family.help !== null && help !== family.help) {
      return `its HELP of ${name} is not that of ${first}`;
    }
    const twin = family.sources.find((other) => haveCommonSeries(other, source));
    return twin === undefined ? null : `it has a series of ${name} that ${twin.file} has too`;
  }
}

function firstOf<T>(items: readonly T[], find: (item: T) => string | null): string | null {
  for (const item of items) {
    const found = find(item);
    if (found !== null) return found;
  }
  return null;
}

function typeOf({ type }: FamilyPart): MetricType {
  return type ?? 'untyped';
}

const SAMPLE_SUFFIXES: Readonly<Record<MetricType, readonly string[]>> = {
  counter: [''],
  gauge: [''],
  histogram: ['', '_bucket', '_sum', '_count'],
  summary: ['', '_sum', '_count'],
  untyped: [''],
};

/** All names that samples of a family may have. */
function sampleNames(name: string, type: MetricType): readonly string[] {
  return SAMPLE_SUFFIXES[type].map((suffix) => name + suffix);
}

/** A family without HELP gets what node_exporter says of it. */
function documented({ name, type, help, sources }: Growing): MergedFamily {
  const files = sources.map(({ file }) => file).join(', ');
  return { name, type, help: help ?? `Metric read from ${files}`, sources };
}

/** Kept as long as the file is: one that does not change is looked through once. */
const keys = new WeakMap<FamilyPart, ReadonlySet<string>>();

function keysOf({ bytes, part }: FamilySource): ReadonlySet<string> {
  let found = keys.get(part);
  if (found === undefined) {
    const samples = Array.from(linesOf(bytes, part.ranges), parseSample);
    found = new Set(samples.map(({ name, labels }) => seriesKey(name, labels)));
    keys.set(part, found);
  }
  return found;
}

function haveCommonSeries(a: FamilySource, b: FamilySource): boolean {
  const [ofA, ofB] = [keysOf(a), keysOf(b)];
  const [fewer, more] = ofA.size < ofB.size ? [ofA, ofB] : [ofB, ofA];
  for (const key of fewer) if (more.has(key)) return true;
  return false;
}
