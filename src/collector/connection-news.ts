/**
 * What of a connection gets a line in connects.log at a look at it. A connection has 44 values with
 * -x and -r, and most say nothing new: with every change on record, a request of one packet took 40
 * lines, 5 KB.
 *
 * `changes` (--connects), which takes it 13 lines, under 2 KB:
 * - at open what the handshake has brought: the first round trip, the windows, segments that were
 *   sent again. Everything else is what each new connection of the host begins with, and only kept
 *   in mind;
 * - at the first pull that finds it open, all that is not 0;
 * - after that what has moved by more than 10 % from its last line;
 * - at close the same, from its beginning where there is no line yet, and each total that has moved
 *   at all, so that totals of closed connections are exact. A connection that no pull has found open
 *   has none of the values that say how an open one is doing (isOfOpen).
 *
 * So what has no line was 0 all the time, is not known, or has hardly moved from where each new
 * connection begins. `all`: whatever differs from its last line, zeros too.
 */
import type { Row, RowStore } from '../kernel/rows.js';
import type { Connection } from '../sources/connection.js';
import { isOfOpen, type ConnectionValue } from './state/connection-values.js';

export const CONNECT_LINES = ['changes', 'all'] as const;
export type ConnectLines = (typeof CONNECT_LINES)[number];

/** What makes netwatch look at a connection. */
export type Look = 'open' | 'sample' | 'close';

/** Share of the value on the last line. */
const MOST_UNSAID = 0.1;

const AT_OPEN: ReadonlySet<string> = new Set<ConnectionValue['family']>([
  'netwatch_connection_rwnd_bytes',
  'netwatch_connection_cwnd_segments',
  'netwatch_connection_srtt_seconds',
  'netwatch_connection_retransmits_total',
]);
const isTotal = (family: string): boolean => family.endsWith('_total');

/** What was said of one connection's values, and what is news. */
export class ValueNews {
  readonly #lines: ConnectLines;
  readonly #store: RowStore;
  /** Values on the last lines; NaN = none yet. */
  readonly #row: Row;
  /** Where they begin in the row's chunk. */
  readonly #first: number;
  /** What it began with, until a pull finds it open. */
  #begun: Float64Array | null = null;

  /** `store`: with rows of `count` numbers, as many as {@link take} gets. */
  constructor(lines: ConnectLines, store: RowStore, count: number) {
    this.#lines = lines;
    this.#store = store;
    this.#row = store.take();
    this.#first = this.#row.index * count;
    this.#row.chunk.wide.fill(NaN, this.#first, this.#first + count);
  }

  /** It is not used any more. */
  release(): void {
    this.#store.give(this.#row);
  }

  /** Hands over each value that gets a line now. */
  take(
    values: readonly ConnectionValue[],
    connection: Connection,
    look: Look,
    line: (family: ConnectionValue['family'], value: number) => void,
  ): void {
    if (look === 'open') this.#begun = new Float64Array(values.length).fill(NaN);
    else if (look === 'sample') this.#begun = null;
    for (let i = 0; i < values.length; i++) {
      const { family, of } = values[i]!;
      const value = of(connection);
      if (value === null || !this.#isNews(i, family, value, look)) continue;
      this.#row.chunk.wide[this.#first + i] = value;
      line(family, value);
    }
  }

  #isNews(i: number, family: string, value: number, look: Look): boolean {
    const said = this.#row.chunk.wide[this.#first + i]!;
    if (this.#lines === 'all') return value !== said;
    if (look === 'open' && Number.isNaN(said)) {
      this.#begun![i] = value;
      return value !== 0 && AT_OPEN.has(family);
    }
    if (this.#begun !== null && isOfOpen(family)) return false;
    const before = Number.isNaN(said) ? (this.#begun?.[i] ?? NaN) : said;
    if (Number.isNaN(before)) return value !== 0;
    if (look === 'close' && isTotal(family)) return value !== before;
    return Math.abs(value - before) > MOST_UNSAID * Math.abs(before);
  }
}

/** The same for what is in one of several states `S`: its state, its congestion control. */
export class StateNews<S extends string> {
  readonly #lines: ConnectLines;
  #said: S | null = null;
  #begun: S | null = null;

  constructor(lines: ConnectLines) {
    this.#lines = lines;
  }

  /** Hands over what gets a line now: the state that is over, with 0, and the one that is, with 1. */
  take(state: S, look: Look, line: (state: S, value: 0 | 1) => void): void {
    const before = this.#said;
    if (state === before) return;
    if (this.#lines === 'changes' && before === null) {
      if (look === 'open') this.#begun = state;
      if (look === 'open' || (look === 'close' && state === this.#begun)) return;
    }
    this.#said = state;
    if (before !== null) line(before, 0);
    line(state, 1);
  }
}
