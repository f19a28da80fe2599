/** Runs a tool that shows a report each interval: opens its source, asks it for its counts, ends in order. */
import { performance } from 'node:perf_hooks';
import { isTerminal } from '../process/streams.js';
import type { CountingSource } from '../sources/counting.js';
import type { CommonOptions } from './common.js';
import { reportText } from './report.js';
import type { ReportTool, Schedule } from './report-tool.js';
import { runTool, type Run, type Surroundings } from './run-common.js';

/** Between two versions of the .prom file where there is no report meanwhile. */
const KEEP_MS = 5000;
/** Home, and nothing below: what `clear` does, without losing what was scrolled away. */
const STDOUT = 1;
const CLEAR = '\u001b[H\u001b[2J';

class ReportRun<O extends CommonOptions, C, S extends CountingSource<C>> implements Run {
  readonly #tool: ReportTool<O, C, S>;
  readonly #options: O;
  readonly #source: S;
  readonly #around: Surroundings;
  readonly #schedule: Schedule;
  readonly #heads = new Set<string>();
  #lastMs = performance.now();
  #reports = 0;
  #lost = 0;

  constructor(tool: ReportTool<O, C, S>, options: O, source: S, around: Surroundings) {
    this.#tool = tool;
    this.#options = options;
    this.#source = source;
    this.#around = around;
    const { rows } = around.output;
    this.#schedule = tool.schedule(options);
    const banner = options.output === 'table' ? (tool.banner?.(options) ?? '') : '';
    if (banner !== '') rows.write(`${banner}\n`, 1);
    rows.flush();
  }

  async untilEnd(): Promise<void> {
    const { end } = this.#around;
    const { everySeconds, count } = this.#schedule;
    const everyMs = everySeconds === null ? null : everySeconds * 1000;
    const reporting =
      everyMs === null
        ? null
        : setInterval(() => {
            this.#guard(() => {
              this.#report();
              if (this.#reports === count) end.come();
            });
          }, everyMs);
    const keeping = setInterval(() => {
      this.#keep().catch(end.fail);
    }, KEEP_MS);
    try {
      await end.reached;
    } finally {
      clearInterval(keeping);
      if (reporting !== null) clearInterval(reporting);
    }
  }

  async finish(): Promise<number> {
    this.#source.finish();
    const { atEnd, count } = this.#schedule;
    if (atEnd && (count === null || this.#reports < count)) this.#report();
    await this.#keep();
    this.#tellLosses();
    return 0;
  }

  #guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#around.end.fail(error);
    }
  }

  #report(): void {
    const nowMs = performance.now();
    const wallMs = Date.now();
    const elapsedSeconds = (nowMs - this.#lastMs) / 1000;
    const moment = { wallMs, elapsedSeconds, namesOf: this.#around.namesOf };
    this.#lastMs = nowMs;
    this.#reports += 1;
    const blocks = this.#tool.report(this.#source.take(), this.#options, moment, this.#source);
    const time = new Date(wallMs).toISOString();
    const { output } = this.#options;
    const text = reportText(blocks, output, time, this.#heads);
    const isCleared = this.#schedule.clears && output === 'table' && isTerminal(STDOUT);
    const { rows } = this.#around.output;
    rows.write(isCleared ? CLEAR + text : text, 1);
    rows.flush();
    this.#tellLosses();
  }

  #tellLosses(): void {
    const lost = this.#source.lost();
    const more = lost - this.#lost;
    if (more > 0) this.#around.say(`${more} counts found no room in the kernel; filter more`);
    this.#lost = lost;
  }

  async #keep(): Promise<void> {
    await this.#around.counters.keep('map_full', this.#source.lost(), (snapshot) => {
      this.#tool.metrics?.(this.#source, snapshot);
    });
  }
}

/** From start to end. Throws NetwatchError if it cannot start; nothing is left attached then. */
export async function runReportTool<O extends CommonOptions, C, S extends CountingSource<C>>(
  tool: ReportTool<O, C, S>,
  options: O,
): Promise<void> {
  await runTool(tool, options, (source, around) => new ReportRun(tool, options, source, around));
}
