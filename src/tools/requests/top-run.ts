/**
 * `netwatch requests --top`: groups of exchanges as a table that is replaced in place on a terminal, or as
 * blocks one below the other. Counts are since the start, or since the key c.
 */
import type { ExchangeSource } from '../../sources/exchange-source.js';
import { RingLoop } from '../../sources/ring-loop.js';
import { oneLine } from '../../metrics/text.js';
import { clockTime } from '../../metrics/wall-clock.js';
import type { Format } from '../../terminal/format.js';
import { reportText, rowsBlock, textBlock } from '../../terminal/report.js';
import type { Run, Surroundings } from '../../terminal/run-common.js';
import { reversed, Screen, type Key } from '../../terminal/screen.js';
import {
  amountOf,
  fittingColumns,
  groupColumns,
  SORTS,
  sortTitle,
  type Sort,
} from './group-columns.js';
import { Groups, type Grouping } from './groups.js';

const MS_PER_S = 1000;
/** Above the rows of the screen: what it shows, the heads of the columns. */
const LINES_ABOVE = 2;

export interface TopOptions {
  readonly output: Format;
  readonly top: number;
  readonly by: Grouping;
  readonly sort: Sort;
  /** Names as long as they are. */
  readonly wide: boolean;
  /** Seconds between two tables. */
  readonly interval: number;
}

/** The line with the heads, that of a sort in another light. `columns`: how wide the terminal is. */
function markedHead(line: string, title: string, columns: number): string {
  const at = line.indexOf(title);
  const shown = line.slice(0, columns);
  if (at < 0 || at >= columns) return shown;
  return (
    shown.slice(0, at) +
    reversed(shown.slice(at, at + title.length)) +
    shown.slice(at + title.length)
  );
}

export class TopRun implements Run {
  readonly #options: TopOptions;
  readonly #source: ExchangeSource;
  readonly #around: Surroundings;
  readonly #groups: Groups;
  readonly #screen: Screen | null;
  readonly #heads = new Set<string>();
  #sort: Sort;
  readonly #loop: RingLoop;
  #lastMs = performance.now();
  #toldLost = 0;

  constructor(source: ExchangeSource, options: TopOptions, around: Surroundings) {
    this.#source = source;
    this.#options = options;
    this.#around = around;
    this.#groups = new Groups(options.by);
    this.#sort = options.sort;
    this.#screen =
      options.output === 'table' && Screen.isPossible
        ? new Screen(around.output.rows, this.#onKey)
        : null;
    this.#loop = new RingLoop({
      sources: [source.source],
      look: () => {
        const fill = this.#fill;
        this.#drain();
        return { fill, rest: this.#fill };
      },
      fail: around.end.fail,
    });
  }

  async untilEnd(): Promise<void> {
    const { end } = this.#around;
    this.#screen?.enter();
    this.#refresh();
    this.#loop.start();
    const showing = setInterval(() => {
      this.#guard(() => {
        this.#show();
      });
    }, this.#options.interval * MS_PER_S);
    try {
      await end.reached;
    } finally {
      clearInterval(showing);
      this.#loop.stop();
      this.#screen?.leave();
    }
  }

  async finish(): Promise<number> {
    this.#source.finish();
    while (this.#drain() > 0);
    const { rows } = this.#around.output;
    this.#setRates();
    rows.write(this.#text(), 1);
    rows.flush();
    this.#tellLosses();
    return Promise.resolve(0);
  }

  #guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#around.end.fail(error);
    }
  }

  get #fill(): number {
    const { ring } = this.#source.source;
    return ring.unread / ring.size;
  }

  #drain(): number {
    return this.#source.drain((exchange) => {
      this.#groups.add(exchange);
    });
  }

  readonly #onKey = (key: Key): void => {
    if (key === 'end') this.#around.end.come();
    else if (key === 'clear') this.#groups.clear();
    else {
      const step = key === 'right' ? 1 : SORTS.length - 1;
      this.#sort = SORTS[(SORTS.indexOf(this.#sort) + step) % SORTS.length]!;
    }
    this.#guard(() => {
      this.#refresh();
    });
  };

  #setRates(): void {
    const nowMs = performance.now();
    this.#groups.rate((nowMs - this.#lastMs) / MS_PER_S);
    this.#lastMs = nowMs;
  }

  /** An interval is over. */
  #show(): void {
    this.#setRates();
    if (this.#screen !== null) {
      this.#refresh();
      return;
    }
    const { rows } = this.#around.output;
    rows.write(this.#text(), 1);
    rows.flush();
    this.#tellLosses();
  }

  /** Columns and rows as blocks know them. */
  #text(): string {
    const { output, top, by, wide } = this.#options;
    const now = Date.now();
    const block = rowsBlock(
      groupColumns(by, wide),
      this.#groups.largest(top, amountOf(this.#sort)),
    );
    const time = new Date(now).toISOString();
    return reportText(
      [textBlock(`${clockTime(now)} ${this.#title}`), block],
      output,
      time,
      this.#heads,
    );
  }

  get #title(): string {
    const { by } = this.#options;
    return `${this.#groups.count} requests by ${by}, most ${this.#sort} first`;
  }

  #refresh(): void {
    if (this.#screen === null) return;
    const { top, by, wide } = this.#options;
    const { columns, rows } = this.#screen.size;
    const fitting = fittingColumns(by, wide, this.#sort, columns);
    const shown = Math.min(top, rows - LINES_ABOVE);
    const groups = this.#groups.largest(Math.max(0, shown), amountOf(this.#sort));
    const [head = '', ...lines] = rowsBlock(fitting, groups).table();
    const { lost } = this.#source.source.ringCounts();
    const losses = lost > 0 ? `, ${lost} records lost` : '';
    const keys = 'arrows sort, c clears, q ends';
    const title = `${clockTime(Date.now())} ${this.#title}${losses}; ${keys}`;
    this.#screen.show([
      title.slice(0, columns),
      markedHead(head, sortTitle(this.#sort), columns),
      ...lines.map((line) => oneLine(line).slice(0, columns)),
    ]);
  }

  #tellLosses(): void {
    const { lost } = this.#source.source.ringCounts();
    const more = lost - this.#toldLost;
    if (more > 0) this.#around.say(`${more} records came too fast to be read; filter more`);
    this.#toldLost = lost;
  }
}
