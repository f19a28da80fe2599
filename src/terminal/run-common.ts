/** What running a tool has in common: how it starts and ends, what it says, where its output goes. */
import { performance } from 'node:perf_hooks';
import { cgroupId, resolveNamespace } from '../kernel/host.js';
import { releaseKernelBtf } from '../kernel/kernel-btf.js';
import { setVerbose } from '../kernel/object.js';
import type { Attached, ProgramState } from '../kernel/source.js';
import { checkEnvironment } from '../kernel/system.js';
import type { Snapshot } from '../metrics/snapshot.js';
import { StandardOutput } from '../sinks/standard-output.js';
import type { CommonOptions, Scope } from './common.js';
import { PromFile } from './prom-file.js';

export type Say = (message: string) => void;

const MAX_QUEUED_BYTES = 8 * 2 ** 20;

/** Tells the user something, beside the output. */
function sayAs(tool: string): Say {
  return (message) => void process.stderr.write(`netwatch ${tool}: ${message}\n`);
}

/** Throws NetwatchError for a namespace or cgroup that is not there. */
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

/** Standard output, and whether its reader has gone, which is no error. */
export class Output {
  readonly rows: StandardOutput;
  isGone = false;

  constructor(onClosed: () => void) {
    this.rows = new StandardOutput({
      stream: process.stdout,
      maxQueuedBytes: MAX_QUEUED_BYTES,
      onClosed: ({ code }) => {
        this.isGone = code === 'reader-gone';
        onClosed();
      },
    });
  }

  /** Waits for the reader, within reason; false if it did not take it all. `unread` was not even written. */
  async close(unread: number, say: Say): Promise<boolean> {
    const taken = await this.rows.close();
    const dropped = this.rows.stats().dropped + unread;
    if (dropped > 0 && !this.isGone) say(`${dropped} rows not shown: the reader was too slow`);
    return taken;
  }
}

/** The `.prom` file of `--data`, if it is asked for. */
export class Counters {
  readonly #file: PromFile | null;
  readonly #tool: string;
  readonly #say: Say;

  constructor(file: PromFile | null, tool: string, say: Say) {
    this.#file = file;
    this.#tool = tool;
    this.#say = say;
  }

  /** Writes what `fill` adds, and how many were `lost` at which place. */
  async keep(
    stage: 'ringbuf' | 'map_full',
    lost: number,
    fill: (snapshot: Snapshot) => void,
  ): Promise<void> {
    await this.#file?.write((snapshot) => {
      fill(snapshot);
      snapshot.add('netwatch_events_lost_total', { source: this.#tool, stage }, lost);
    }, this.#say);
  }
}

interface Opens<O, S> {
  readonly name: string;
  readonly open: (options: O, scope: Scope) => Promise<S>;
  readonly notes?: (options: O, source: S) => readonly string[];
}

interface Opened {
  readonly source: Attached;
  readonly notes?: readonly string[];
}

/** A tool at work. */
export interface Run {
  /** Throws if it was a bug that ended it. */
  untilEnd(): Promise<void>;
  /** Shows what is left. False if its reader did not take it all. */
  finish(): Promise<boolean>;
}

/** From start to end. Throws NetwatchError if it cannot start; nothing is left attached then. */
export async function runTool<O extends CommonOptions, S extends Opened>(
  tool: Opens<O, S>,
  options: O,
  start: (source: S, counters: Counters, say: Say) => Run,
): Promise<void> {
  const startMs = performance.now();
  const say = sayAs(tool.name);
  if (options.libbpfLog) setVerbose((message) => void process.stderr.write(message));
  checkEnvironment();
  const scope = scopeOf(options);
  const file = options.data === undefined ? null : await PromFile.open(options.data, tool.name);
  const opened = await tool.open(options, scope);
  releaseKernelBtf();
  const run = start(opened, new Counters(file, tool.name, say), say);
  opened.notes?.forEach(say);
  tool.notes?.(options, opened).forEach(say);
  announce(opened.source.programs, performance.now() - startMs, say);
  await run.untilEnd();
  const taken = await run.finish();
  opened.source.close();
  // A write that nobody takes would keep the process.
  if (!taken) process.exit(0);
}
