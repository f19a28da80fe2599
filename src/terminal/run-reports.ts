/** Runs a tool that shows a report each interval: opens its source, asks it for its counts, ends in order. */
import { performance } from 'node:perf_hooks';
import type { CountingSource } from '../sources/counting.js';
import type { CommonOptions } from './common.js';
import { End } from './end.js';
import { reportText } from './report.js';
import type { ReportTool, Schedule } from './report-tool.js';
import { Output, runTool, type Counters, type Run, type Say } from './run-common.js';

/** Between two versions of the .prom file where there is no report meanwhile. */
const KEEP_MS = 5000;
/** Home, and nothing below: what `clear` does, without losing what was scrolled away. */
const CLEAR = '\u001b[H\u001b[2J';

class ReportRun<O extends CommonOptions, C, S extends CountingSource<C>> implements Run {
  readonly #tool: ReportTool<O, C, S>;
  readonly #options: O;
  readonly #source: S;
  readonly #counters: Counters;
  readonly #say: Say;
  readonly #schedule: Schedule;
  readonly #end = new End();
  readonly #output = new Output(this.#end.come);
  readonly #heads = new Set<string>();
  #lastMs = performance.now();
  #reports = 0;
  #lost = 0;

  constructor(tool: ReportTool<O, C, S>, options: O, source: S, counters: Counters, say: Say) {
    this.#tool = tool;
    this.#options = options;
    this.#source = source;
    this.#counters = counters;
    this.#say = say;
    this.#schedule = tool.schedule(options);
    const banner = options.output === 'table' ? (tool.banner?.(options) ?? '') : '';
    if (banner !== '') this.#output.rows.write(`${banner}\n`, 1);
    this.#output.rows.flush();
  }

  async untilEnd(): Promise<void> {
    this.#end.listen(this.#options.duration);
    const { everySeconds, count } = this.#schedule;
    const everyMs = everySeconds === null ? null : everySeconds * 1000;
    const reporting =
      everyMs === null
        ? null
        : setInterval(() => {
            this.#guard(() => {
              this.#report();
              if (this.#reports === count) this.#end.come();
            });
          }, everyMs);
    const keeping = setInterval(() => {
      this.#keep().catch(this.#end.fail);
    }, KEEP_MS);
    try {
      await this.#end.reached;
    } finally {
      clearInterval(keeping);
      if (reporting !== null) clearInterval(reporting);
    }
  }

  async finish(): Promise<boolean> {
    this.#source.finish();
    const { atEnd, count } = this.#schedule;
    if (atEnd && (count === null || this.#reports < count)) this.#report();
    await this.#keep();
    this.#tellLosses();
    return await this.#output.close(0, this.#say);
  }

  #guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#end.fail(error);
    }
  }

  #report(): void {
    const nowMs = performance.now();
    const wallMs = Date.now();
    const moment = { wallMs, elapsedSeconds: (nowMs - this.#lastMs) / 1000 };
    this.#lastMs = nowMs;
    this.#reports += 1;
    const blocks = this.#tool.report(this.#source.take(), this.#options, moment, this.#source);
    const time = new Date(wallMs).toISOString();
    const { output } = this.#options;
    const text = reportText(blocks, output, time, this.#heads);
    const isCleared = this.#schedule.clears && output === 'table' && process.stdout.isTTY;
    this.#output.rows.write(isCleared ? CLEAR + text : text, 1);
    this.#output.rows.flush();
    this.#tellLosses();
  }

  #tellLosses(): void {
    const lost = this.#source.lost();
    const more = lost - this.#lost;
    if (more > 0) this.#say(`${more} counts found no room in the kernel; filter more`);
    this.#lost = lost;
  }

  async #keep(): Promise<void> {
    await this.#counters.keep('map_full', this.#source.lost(), (snapshot) => {
      this.#tool.metrics?.(this.#source, snapshot);
    });
  }
}

/** From start to end. Throws NetwatchError if it cannot start; nothing is left attached then. */
export async function runReportTool<O extends CommonOptions, C, S extends CountingSource<C>>(
  tool: ReportTool<O, C, S>,
  options: O,
): Promise<void> {
  await runTool(
    tool,
    options,
    (source, counters, say) => new ReportRun(tool, options, source, counters, say),
  );
}
