/**
 * Reads a source's ring at the pace of its filling, and writes its records in order of their time.
 * While the reader of our output is slow they stay in the ring: what does not fit is counted there.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { RingLoop, type Look } from '../sources/ring-loop.js';
import type { StandardOutput } from '../sinks/standard-output.js';
import type { LiveSource } from '../sources/live.js';
import type { Formatter } from './format.js';

/** Rows that the reader may leave behind before we wait for it. */
const MOST_PENDING = 4096;
const WAIT_MS = 5;
/** At the end a reader that takes nothing for so long is waited for no more. */
const PATIENCE_MS = 1500;

export class Drain<R extends { readonly tsNs: number }> {
  readonly #from: LiveSource<R>;
  readonly #output: StandardOutput;
  readonly #formatter: Formatter<R>;
  #loop: RingLoop | null = null;

  constructor(from: LiveSource<R>, output: StandardOutput, formatter: Formatter<R>) {
    this.#from = from;
    this.#output = output;
    this.#formatter = formatter;
  }

  get #fill(): number {
    const { ring } = this.#from.source;
    return ring.unread / ring.size;
  }

  get #isReaderSlow(): boolean {
    return this.#output.stats().pending > MOST_PENDING;
  }

  /** One batch; returns how many records it had. */
  #once(): number {
    if (this.#isReaderSlow) return 0;
    // Text at once, so that the record itself dies young: keeping a batch of them costs twice as much.
    const lines: { readonly tsNs: number; readonly text: string }[] = [];
    const count = this.#from.drain((record) => {
      lines.push({ tsNs: record.tsNs, text: this.#formatter.line(record) });
    });
    // several CPUs write into one ring
    lines.sort((a, b) => a.tsNs - b.tsNs);
    if (count > 0) this.#output.write(lines.map(({ text }) => text).join(''), count);
    this.#output.flush();
    return count;
  }

  /** Begins; `fail` is told of a bug, after which nothing is read any more. */
  start(fail: (error: unknown) => void): void {
    const look = (): Look => {
      const fill = this.#fill;
      this.#once();
      return { fill, rest: this.#fill };
    };
    const maySleep = (): boolean => this.#output.stats().pending === 0;
    this.#loop = new RingLoop({ sources: [this.#from.source], look, fail, maySleep });
    this.#loop.start();
  }

  /** Nothing new comes any more: reads what is there. */
  async finish(): Promise<void> {
    this.#loop?.stop();
    let { written } = this.#output.stats();
    let sinceMs = performance.now();
    while (this.#once() > 0 || this.#isReaderSlow) {
      if (!this.#isReaderSlow) continue;
      await sleep(WAIT_MS);
      const before = written;
      ({ written } = this.#output.stats());
      if (written > before) sinceMs = performance.now();
      else if (performance.now() - sinceMs > PATIENCE_MS) return;
    }
  }

  /** Records that are still in the ring. */
  get unread(): number {
    return this.#from.source.ring.waiting;
  }
}
