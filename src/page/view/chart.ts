/**
 * A chart over time: uPlot, with a legend of our own that shows the newest values, or those under the
 * cursor. Colours are asked for when drawing, so that a change of theme needs only that.
 */
import uPlot from 'uplot';
import { stack, type ChartData } from '../model/charts.js';
import { timeOfDay } from '../model/format.js';
import { element, setAttribute, show, setText } from './dom.js';
import { colour, onThemeChange, type Colour } from './theme.js';

export interface SeriesSpec {
  readonly label: string;
  readonly colour: Colour;
  readonly dash?: readonly number[];
}

export interface ChartSpec {
  /** Begins the text alternative. */
  readonly title: string;
  readonly series: readonly SeriesSpec[];
  readonly format: (value: number | null) => string;
  /** Areas on top of each other; default: lines. */
  readonly stacked?: boolean;
  /** Powers of ten. */
  readonly log?: boolean;
}

const AXIS_PX = 62;
const SYNC = 'time';
/** uPlot's Distr.Logarithmic: a const enum, which cannot be named in isolated modules. */
// eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment
const LOGARITHMIC = 3 as uPlot.Scale.Distr;

export class Chart {
  readonly root: HTMLElement;
  readonly #spec: ChartSpec;
  readonly #plot: uPlot;
  readonly #values: readonly HTMLElement[];
  readonly #when = element('span', { class: 'legend-when' });
  #data: ChartData = { seconds: [], columns: [] };
  #window: readonly [number, number] = [0, 60];

  constructor(spec: ChartSpec) {
    this.#spec = spec;
    this.#values = spec.series.map(() => element('span', { class: 'legend-value' }));
    const box = element('div', { class: 'plot', role: 'img', 'aria-label': spec.title });
    this.root = element('div', { class: 'chart' }, this.#legend(), box);
    this.#plot = new uPlot(this.#options(), [[], ...spec.series.map(() => [])], box);
    new ResizeObserver(() => {
      const { clientWidth: width, clientHeight: height } = box;
      if (width > 0 && height > 0) this.#plot.setSize({ width, height });
    }).observe(box);
    onThemeChange(() => this.#plot.redraw());
  }

  update(data: ChartData, window: readonly [fromSeconds: number, toSeconds: number]): void {
    this.#data = data;
    this.#window = window;
    const columns = this.#spec.stacked === true ? stack(data.columns) : data.columns;
    const drawn = this.#spec.log === true ? columns.map(positive) : columns;
    // uPlot draws the first series first: a stack has its highest one at the back.
    const order = this.#spec.stacked === true ? drawn.toReversed() : drawn;
    this.#plot.setData([data.seconds, ...order] as uPlot.AlignedData);
    this.#showValues();
  }

  /** Of the cursor, or the newest. */
  #showValues(): void {
    const { idx } = this.#plot.cursor;
    const at = idx ?? this.#data.seconds.length - 1;
    const texts = this.#spec.series.map(({ label }, i) => {
      const value = this.#data.columns[i]?.[at] ?? null;
      const text = this.#spec.format(value);
      show(this.#values[i]!, { text, value });
      return `${label} ${text}`;
    });
    const seconds = this.#data.seconds[at];
    const isPast = typeof idx === 'number' && seconds !== undefined;
    setText(this.#when, isPast ? timeOfDay(seconds, true) : '');
    if (!isPast)
      setAttribute(this.#plot.root.parentElement!, 'aria-label', describe(this.#spec, texts));
  }

  #legend(): HTMLElement {
    const items = this.#spec.series.map(({ label, colour: name }, i) =>
      element(
        'li',
        {},
        element('span', { class: `swatch ${name}`, 'aria-hidden': 'true' }),
        element('span', { class: 'legend-label' }, label),
        this.#values[i]!,
      ),
    );
    return element('div', { class: 'legend' }, element('ul', {}, ...items), this.#when);
  }

  #options(): uPlot.Options {
    const series = this.#spec.series.map((one) => this.#series(one));
    return {
      width: 300,
      height: 160,
      padding: [8, 18, 0, 0],
      legend: { show: false },
      cursor: {
        sync: { key: SYNC },
        drag: { x: false, y: false },
        points: { show: this.#spec.stacked !== true, size: 6 },
      },
      scales: {
        x: { time: true, range: () => [this.#window[0], this.#window[1]] },
        y: this.#yScale(),
      },
      axes: [this.#timeAxis(), this.#valueAxis()],
      series: [{}, ...(this.#spec.stacked === true ? series.toReversed() : series)],
      hooks: { setCursor: [() => this.#showValues()] },
    };
  }

  #series({ colour: name, label, dash }: SeriesSpec): uPlot.Series {
    const stacked = this.#spec.stacked === true;
    return {
      label,
      stroke: () => colour(name),
      width: stacked ? 1 : 1.75,
      points: { show: false },
      ...(dash === undefined ? {} : { dash: [...dash] }),
      ...(stacked ? { fill: () => colour(name) } : {}),
    };
  }

  #yScale(): uPlot.Scale {
    if (this.#spec.log === true)
      return { distr: LOGARITHMIC, range: (_, low, high) => decades(low, high) };
    return { range: (_, _low, high) => [0, high > 0 ? high * 1.1 : 1] };
  }

  #timeAxis(): uPlot.Axis {
    return {
      ...axisLook(),
      size: 28,
      space: 64,
      values: (_, splits) => splits.map((at) => timeOfDay(at, at % 60 !== 0)),
    };
  }

  #valueAxis(): uPlot.Axis {
    const { format, log } = this.#spec;
    return {
      ...axisLook(),
      size: AXIS_PX,
      space: 32,
      values: (_, splits) =>
        splits.map((at) => (log === true && !isDecade(at) ? '' : format(at === 0 ? 0 : at))),
    };
  }
}

function axisLook(): uPlot.Axis {
  return {
    stroke: () => colour('text-soft'),
    font: '11px system-ui, sans-serif',
    grid: { stroke: () => colour('grid'), width: 1 },
    ticks: { show: false },
    gap: 6,
  };
}

/** A logarithm has no place for zero. */
function positive(column: readonly (number | null)[]): (number | null)[] {
  return column.map((value) => (value === null || value <= 0 ? null : value));
}

/** Whole decades around the values, at least two. */
function decades(low: number | null, high: number | null): [number, number] {
  if (low === null || high === null || low <= 0) return [1e-6, 1e-3];
  const first = Math.floor(Math.log10(low));
  const last = Math.max(Math.ceil(Math.log10(high)), first + 2);
  return [10 ** first, 10 ** last];
}

function isDecade(value: number): boolean {
  const power = Math.log10(value);
  return Math.abs(power - Math.round(power)) < 1e-9;
}

function describe({ title }: ChartSpec, values: readonly string[]): string {
  return `${title}. Now: ${values.join(', ')}.`;
}
