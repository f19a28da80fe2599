/**
 * Runs a tool that shows events: opens its source, writes what it declared until the end has come,
 * then says what is to be said. What is common to all such tools is here and in the files beside.
 */
import { performance } from 'node:perf_hooks';
import { createClock, type Clock } from '../kernel/clock.js';
import { cgroupId, resolveNamespace } from '../kernel/host.js';
import { releaseKernelBtf } from '../kernel/kernel-btf.js';
import { setVerbose } from '../kernel/object.js';
import type { ProgramState } from '../kernel/source.js';
import { checkEnvironment } from '../kernel/system.js';
import { StandardOutput } from '../sinks/standard-output.js';
import type { LiveSource } from '../sources/live.js';
import { Drain } from './drain.js';
import { End } from './end.js';
import type { CommonOptions, EventTool, Scope, Summary } from './event-tool.js';
import { formatter, type Format } from './format.js';
import { PromFile } from './prom-file.js';

const MAX_QUEUED_BYTES = 8 * 2 ** 20;
/** Between two looks at what was lost, and two versions of the .prom file. */
const INTERVAL_MS = 5000;

type Say = (message: string) => void;
type Timed = { readonly tsNs: number };

function scopeOf({ netns, cgroup }: CommonOptions): Scope {
  return {
    namespaces: (netns ?? []).map((name) => resolveNamespace(name).inode),
    cgroup: cgroup === undefined ? null : cgroupId(cgroup),
  };
}

/** Says what cannot be had here, by the reason, which often is one for many; and what can. */
function announce(programs: readonly ProgramState[], ms: number, say: Say): void {
  const reasons = new Map<string, string[]>();
  const missing = programs.filter(({ reason }) => reason !== null);
  for (const { program, reason } of missing)
    reasons.set(reason ?? '', [...(reasons.get(reason ?? '') ?? []), program]);
  for (const [reason, names] of reasons) say(`without ${names.join(', ')}: ${reason}`);
  say(`ready after ${Math.round(ms)} ms: ${programs.length - missing.length} programs attached`);
}

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
function writeSummary(output: StandardOutput, format: Format, { lines, json }: Summary): void {
  const text = `${lines.join('\n')}\n`;
  if (format === 'json') output.write(`${JSON.stringify(json)}\n`, 1);
  else if (format === 'table') output.write(text, lines.length);
  else process.stderr.write(text);
}

/** A tool at work. */
class Run<O extends CommonOptions, R extends Timed, S extends LiveSource<R>> {
  readonly #tool: EventTool<O, R, S>;
  readonly #options: O;
  readonly #live: S;
  readonly #file: PromFile | null;
  readonly #say: Say;
  readonly #end = new End();
  readonly #clock: Clock = createClock();
  readonly #output = new StandardOutput({
    stream: process.stdout,
    maxQueuedBytes: MAX_QUEUED_BYTES,
    onClosed: ({ code }) => {
      this.#isGone = code === 'reader-gone';
      this.#end.come();
    },
  });
  /** Nobody reads any more, which is no error. */
  #isGone = false;
  readonly #drain: Drain<R>;
  readonly #checkLosses: () => void;

  constructor(tool: EventTool<O, R, S>, options: O, live: S, file: PromFile | null, say: Say) {
    this.#tool = tool;
    this.#options = options;
    this.#live = live;
    this.#file = file;
    this.#say = say;
    const wallMs = (tsNs: number): number => this.#clock.toWallMs(tsNs);
    const lines = formatter(options.output, tool.columns(options, { wallMs }, live));
    if (lines.head !== '') this.#output.write(lines.head, 1);
    this.#drain = new Drain(live, this.#output, lines);
    this.#checkLosses = lossWatch(live, say);
  }

  /** Until the end. Throws if it was a bug. */
  async untilEnd(): Promise<void> {
    await this.#keep();
    this.#end.listen(this.#options.duration);
    this.#drain.start(this.#end.fail);
    const ticking = setInterval(() => {
      this.#clock.refresh();
      this.#checkLosses();
      this.#keep().catch(this.#end.fail);
    }, INTERVAL_MS);
    try {
      await this.#end.reached;
    } finally {
      clearInterval(ticking);
    }
  }

  /** Shows what is left, then the summary. False if the reader did not take it all. */
  async finish(): Promise<boolean> {
    this.#live.finish();
    await this.#drain.finish();
    this.#checkLosses();
    await this.#keep();
    const { lost } = this.#live.source.ringCounts();
    const summary = this.#tool.atEnd?.(this.#options, this.#live, lost) ?? null;
    if (summary !== null) writeSummary(this.#output, this.#options.output, summary);
    const taken = await this.#output.close();
    const dropped = this.#output.stats().dropped + this.#drain.unread;
    if (dropped > 0 && !this.#isGone)
      this.#say(`${dropped} rows not shown: the reader was too slow`);
    return taken;
  }

  async #keep(): Promise<void> {
    await this.#file?.write((snapshot) => {
      this.#tool.metrics?.(this.#live, snapshot);
      const labels = { source: this.#tool.name, stage: 'ringbuf' } as const;
      snapshot.add('netwatch_events_lost_total', labels, this.#live.source.ringCounts().lost);
    }, this.#say);
  }
}

/** From start to end. Throws NetwatchError if it cannot start; nothing is left attached then. */
export async function runEventTool<
  O extends CommonOptions,
  R extends Timed,
  S extends LiveSource<R>,
>(tool: EventTool<O, R, S>, options: O): Promise<void> {
  const startMs = performance.now();
  const say: Say = (message) => void process.stderr.write(`netwatch ${tool.name}: ${message}\n`);
  if (options.verbose) setVerbose((message) => void process.stderr.write(message));
  checkEnvironment();
  const scope = scopeOf(options);
  const file = options.data === undefined ? null : await PromFile.open(options.data, tool.name);
  const live = await tool.open(options, scope);
  releaseKernelBtf();
  const run = new Run(tool, options, live, file, say);
  announce(live.source.programs, performance.now() - startMs, say);
  await run.untilEnd();
  const taken = await run.finish();
  live.source.close();
  // A write that nobody takes would keep the process.
  if (!taken) process.exit(0);
}
