/**
 * All samples in memory, as columns: 20 bytes for a sample and its text once for a series. The logs
 * are out of order across files and families, so nothing can be written before everything was read.
 */
import type { MetricType, Sample } from '../metrics/sample.js';
import { quoteLabel } from '../metrics/text.js';

export interface ExportFamily {
  readonly name: string;
  type: MetricType | null;
  help: string | null;
  /** In the order in which they were first seen. */
  readonly series: number[];
  /** Names of labels in the order in which they were first seen: the order of all its series. */
  readonly labelOrder: string[];
}

/**
 * Samples as indices into the columns: those of series s are `samples[starts[s]]` up to `starts[s +
 * 1]`.
 */
export interface OrderedSamples {
  readonly samples: Int32Array;
  readonly starts: Int32Array;
}

const FIRST_CAPACITY = 1 << 16;

export class SampleTable {
  readonly families = new Map<string, ExportFamily>();
  /** Of every series, `name{labels}`. */
  readonly texts: string[] = [];
  count = 0;
  times = new Float64Array(FIRST_CAPACITY);
  values = new Float64Array(FIRST_CAPACITY);
  #seriesOf = new Int32Array(FIRST_CAPACITY);
  /** Series by their text, and by what else a line may spell for them. */
  readonly #byText = new Map<string, number>();

  family(name: string): ExportFamily {
    let family = this.families.get(name);
    if (family === undefined) {
      this.families.set(
        name,
        (family = { name, type: null, help: null, series: [], labelOrder: [] }),
      );
    }
    return family;
  }

  /** The series that was last written with exactly this text. */
  known(text: string): number | undefined {
    return this.#byText.get(text);
  }

  /** The series of a sample; `spelled` is what its line has before ` value time`. */
  series(sample: Sample, familyName: string, spelled: string | null): number {
    const family = this.family(familyName);
    const text = seriesText(sample, family.labelOrder);
    let series = this.#byText.get(text);
    if (series === undefined) {
      series = this.texts.push(text) - 1;
      family.series.push(series);
      this.#byText.set(text, series);
    }
    if (spelled !== null && spelled !== text) this.#byText.set(spelled, series);
    return series;
  }

  add(series: number, value: number, timeMs: number): void {
    if (this.count === this.times.length) this.#grow();
    this.times[this.count] = timeMs;
    this.values[this.count] = value;
    this.#seriesOf[this.count++] = series;
  }

  /**
   * All samples series by series, each in the order of time, equal times in the order of arrival.
   */
  inOrder(): OrderedSamples {
    const { count } = this;
    const starts = new Int32Array(this.texts.length + 1);
    for (let i = 0; i < count; i++) starts[this.#seriesOf[i]! + 1]!++;
    for (let series = 1; series < starts.length; series++) starts[series]! += starts[series - 1]!;
    const samples = new Int32Array(count);
    const next = starts.slice();
    for (let i = 0; i < count; i++) samples[next[this.#seriesOf[i]!]!++] = i;
    for (let series = 0; series + 1 < starts.length; series++) {
      this.#sort(samples, starts[series]!, starts[series + 1]!);
    }
    return { samples, starts };
  }

  #sort(samples: Int32Array, start: number, end: number): void {
    const { times } = this;
    let i = start + 1;
    while (i < end && times[samples[i - 1]!]! <= times[samples[i]!]!) i++;
    if (i < end) samples.subarray(start, end).sort((a, b) => times[a]! - times[b]! || a - b);
  }

  #grow(): void {
    const capacity = this.times.length * 2;
    const [times, values] = [new Float64Array(capacity), new Float64Array(capacity)];
    const seriesOf = new Int32Array(capacity);
    times.set(this.times);
    values.set(this.values);
    seriesOf.set(this.#seriesOf);
    [this.times, this.values, this.#seriesOf] = [times, values, seriesOf];
  }
}

/** One text for one series: known order, one spelling of each value, no empty labels. */
function seriesText({ name, labels }: Sample, order: string[]): string {
  if (labels.length === 0) return name;
  for (const [label] of labels) if (!order.includes(label)) order.push(label);
  const ordered = [...labels].sort(([a], [b]) => order.indexOf(a) - order.indexOf(b));
  const shown = ordered.filter(([, value]) => value !== '');
  if (shown.length === 0) return name;
  return `${name}{${shown.map(([label, value]) => `${label}="${quoteLabel(value)}"`).join(',')}}`;
}
