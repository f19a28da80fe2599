/**
 * Runs a tool that shows events: opens its source, writes what it declared until the end has come,
 * then says what is to be said. What is common to all such tools is here and in the files beside.
 */
import { createClock, type Clock } from '../kernel/clock.js';
import { messages, type Say } from '../process/streams.js';
import type { StandardOutput } from '../sinks/standard-output.js';
import type { LiveSource } from '../sources/live.js';
import type { CommonOptions, Context, Summary } from './common.js';
import { Drain } from './drain.js';
import type { EventTool } from './event-tool.js';
import { formatter, type Format, type Formatter } from './format.js';
import { namesColumn, namesIn, withUnit } from './record-columns.js';
import { runTool, type Run, type Surroundings } from './run-common.js';

/** Between two looks at what was lost, and two versions of the .prom file. */
const INTERVAL_MS = 5000;

type Timed = { readonly tsNs: number };

/** Tells of losses as they grow. */
function lossWatch(from: LiveSource<unknown>, say: Say): () => void {
  let told = 0;
  return () => {
    const { lost } = from.source.ringCounts();
    const more = lost - told;
    if (more > 0) say(`${more} events came too fast to be shown (all are counted); filter more`);
    told = lost;
  };
}

/** The summary goes where a reader of that format looks for it. */
function writeSummary(output: StandardOutput, format: Format, summary: Summary): void {
  const { lines, json, csv } = summary;
  const write = (rows: readonly string[]): void => {
    output.write(rows.map((row) => `${row}\n`).join(''), rows.length);
  };
  if (format === 'json') write([JSON.stringify(json)]);
  else if (format === 'table') write(lines);
  else if (csv !== undefined) write(csv);
  else messages.write(`${lines.join('\n')}\n`);
}

/** The records as the tool wants them shown, if it does. */
function showing<O extends CommonOptions, R extends Timed, S extends LiveSource<R>>(
  tool: EventTool<O, R, S>,
  options: O,
  live: S,
  { wallMs, namesOf }: Context & Pick<Surroundings, 'namesOf'>,
): Formatter<R> {
  const { take, below } = tool;
  const shown = tool.showsRecords?.(options) ?? true;
  const own = tool.columns(options, { wallMs }, live);
  const columns = [
    ...(options.showUnit === true ? withUnit(own, namesIn(namesOf)) : own),
    ...namesColumn<R>(options.output === 'json', namesOf),
  ];
  const lines = formatter(options.output, columns);
  const isTable = options.output === 'table';
  const banner = isTable ? (tool.banner?.(options) ?? '') : '';
  const under = (record: R): string =>
    below === undefined || !isTable || !shown
      ? ''
      : below(record, options, live)
          .map((line) => `${line}\n`)
          .join('');
  return {
    head: (banner === '' ? '' : `${banner}\n`) + (shown ? lines.head : ''),
    line: (record) => {
      take?.(record, options, live);
      return shown ? lines.line(record) + under(record) : '';
    },
  };
}

class EventRun<O extends CommonOptions, R extends Timed, S extends LiveSource<R>> implements Run {
  readonly #tool: EventTool<O, R, S>;
  readonly #options: O;
  readonly #live: S;
  readonly #around: Surroundings;
  readonly #clock: Clock = createClock();
  readonly #drain: Drain<R>;
  readonly #checkLosses: () => void;

  constructor(tool: EventTool<O, R, S>, options: O, live: S, around: Surroundings) {
    this.#tool = tool;
    this.#options = options;
    this.#live = live;
    this.#around = around;
    const { rows } = around.output;
    const wallMs = (tsNs: number): number => this.#clock.toWallMs(tsNs);
    const lines = showing(tool, options, live, { wallMs, namesOf: around.namesOf });
    if (lines.head !== '') rows.write(lines.head, 1);
    this.#drain = new Drain(live, rows, lines);
    this.#checkLosses = lossWatch(live, around.say);
  }

  async untilEnd(): Promise<void> {
    const { end } = this.#around;
    await this.#keep();
    this.#drain.start(end.fail);
    const ticking = setInterval(() => {
      this.#clock.refresh();
      this.#checkLosses();
      this.#keep().catch(end.fail);
    }, INTERVAL_MS);
    try {
      await end.reached;
    } finally {
      clearInterval(ticking);
    }
  }

  async finish(): Promise<number> {
    this.#live.finish();
    await this.#drain.finish();
    this.#checkLosses();
    await this.#keep();
    const { lost } = this.#live.source.ringCounts();
    const summary = this.#tool.atEnd?.(this.#options, this.#live, lost) ?? null;
    if (summary !== null) writeSummary(this.#around.output.rows, this.#options.output, summary);
    return this.#drain.unread;
  }

  async #keep(): Promise<void> {
    const { lost } = this.#live.source.ringCounts();
    await this.#around.counters.keep('ringbuf', lost, (snapshot) => {
      this.#tool.metrics?.(this.#live, snapshot);
    });
  }
}

/** From start to end. Throws NetwatchError if it cannot start; nothing is left attached then. */
export async function runEventTool<
  O extends CommonOptions,
  R extends Timed,
  S extends LiveSource<R>,
>(tool: EventTool<O, R, S>, options: O): Promise<void> {
  await runTool(tool, options, (live, around) => new EventRun(tool, options, live, around));
}
