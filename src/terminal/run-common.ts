/** What running a tool has in common: its scope, what it says at the start, where its output goes. */
import { cgroupId, resolveNamespace } from '../kernel/host.js';
import type { ProgramState } from '../kernel/source.js';
import { StandardOutput } from '../sinks/standard-output.js';
import type { CommonOptions, Scope } from './common.js';

export type Say = (message: string) => void;

const MAX_QUEUED_BYTES = 8 * 2 ** 20;

/** Tells the user something, beside the output. */
export function sayAs(tool: string): Say {
  return (message) => void process.stderr.write(`netwatch ${tool}: ${message}\n`);
}

/** Throws NetwatchError for a namespace or cgroup that is not there. */
export function scopeOf({ netns, cgroup }: CommonOptions): Scope {
  return {
    namespaces: (netns ?? []).map((name) => resolveNamespace(name).inode),
    cgroup: cgroup === undefined ? null : cgroupId(cgroup),
  };
}

/** Says what cannot be had here, by the reason, which often is one for many; and what can. */
export function announce(programs: readonly ProgramState[], ms: number, say: Say): void {
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
