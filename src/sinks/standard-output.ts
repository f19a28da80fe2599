/**
 * Rows for a terminal or a pipe. A reader that is slow costs bounded memory and then rows, which
 * are counted; a reader that is gone (`| head -1`) is no error.
 */
import type { Writable } from 'node:stream';
import { ByteQueue } from './byte-queue.js';
import { withDeadline } from './deadline.js';
import { errnoOf, isReaderGone } from './errors.js';

/** Milliseconds `close()` waits for the reader unless told otherwise. */
const DEADLINE_MS = 1500;

/** Why nothing more can be written. */
export type ClosedReason =
  { readonly code: 'reader-gone' } | { readonly code: 'io'; readonly errno: string };

/** What a writer of rows needs. */
export interface StandardOutputOptions {
  /** Usually `process.stdout`. */
  readonly stream: Writable;
  /** Memory in bytes for rows the reader has not taken yet. */
  readonly maxQueuedBytes: number;
  /**
   * Called once when writing has become impossible; on `reader-gone` the program ends quietly with
   * exit code 0.
   */
  readonly onClosed: (reason: ClosedReason) => void;
}

/** Counters in rows. accepted = written + dropped + pending. */
export interface StandardOutputStats {
  readonly accepted: number;
  readonly written: number;
  readonly dropped: number;
  readonly pending: number;
}

/** Rows given to `write()` leave together at the next `flush()`, as one write. */
export class StandardOutput {
  readonly #stream: Writable;
  readonly #queue: ByteQueue;
  readonly #onClosed: (reason: ClosedReason) => void;
  readonly #encoder = new TextEncoder();
  #closed = false;
  #inFlight = 0;
  #flushDue = false;
  #accepted = 0;
  #written = 0;
  #dropped = 0;
  #waiting: (() => void)[] = [];

  constructor(options: StandardOutputOptions) {
    this.#stream = options.stream;
    this.#queue = new ByteQueue(options.maxQueuedBytes);
    this.#onClosed = options.onClosed;
    // Stays for good: an error without a listener would end the process with a stack.
    this.#stream.on('error', (error) => this.#fail(error));
  }

  /**
   * Takes over whole rows, each ended by a newline; no text is no row. Never throws.
   * @param rows how many
   */
  write(text: string | Uint8Array, rows: number): void {
    if (text.length === 0) return;
    this.#accepted += rows;
    const bytes = typeof text === 'string' ? this.#encoder.encode(text) : text;
    if (this.#closed || !this.#queue.push(bytes, rows)) this.#dropped += rows;
  }

  /**
   * Sends what was written; while the reader has not taken the last batch it waits for that, and
   * everything leaves then.
   */
  flush(): void {
    if (this.#closed) return;
    if (this.#inFlight > 0) {
      this.#flushDue = true;
      return;
    }
    this.#flushDue = false;
    const batch = this.#queue.take();
    if (batch === null) {
      this.#wake();
      return;
    }
    this.#inFlight = batch.records;
    // The callback comes when the kernel has taken all of it; until then the queue keeps these
    // bytes untouched.
    this.#stream.write(batch.bytes, (error) => this.#sent(batch.records, error));
  }

  stats(): StandardOutputStats {
    return {
      accepted: this.#accepted,
      written: this.#written,
      dropped: this.#dropped,
      pending: this.#queue.records + this.#inFlight,
    };
  }

  /**
   * Flushes and waits until the reader's pipe has taken everything. The stream itself stays open.
   * @param timeoutMs longest wait in milliseconds
   * @returns false when rows are left that the reader did not take
   */
  async close(timeoutMs = DEADLINE_MS): Promise<boolean> {
    const done = new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.flush();
    if (this.#closed) this.#wake();
    await withDeadline(done, timeoutMs);
    const { pending } = this.stats();
    this.#giveUp();
    return pending === 0;
  }

  #sent(records: number, error: Error | null | undefined): void {
    if (this.#closed) return;
    if (error) {
      this.#fail(error);
      return;
    }
    this.#written += records;
    this.#inFlight = 0;
    this.#queue.release();
    if (this.#flushDue || this.#waiting.length > 0) this.flush();
  }

  #fail(error: Error): void {
    if (this.#closed) return;
    this.#giveUp();
    const errno = errnoOf(error) ?? 'EIO';
    this.#onClosed(isReaderGone(errno) ? { code: 'reader-gone' } : { code: 'io', errno });
  }

  /** No row is taken from here on; what is still pending counts as dropped. */
  #giveUp(): void {
    this.#closed = true;
    this.#dropped += this.#queue.records + this.#inFlight;
    this.#inFlight = 0;
    this.#wake();
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting = [];
  }
}
