/**
 * Objects as lines of a rotating log, through the stream of the package `ndjson`. Loaded only with
 * --ndjson: a packet costs 4 µs more from the ring to the file, 2 of them the package's look for
 * circular references at every field (2-core development machine).
 */
import type { Transform } from 'node:stream';
import { stringify } from 'ndjson';
import { withDeadline } from './deadline.js';
import type { RotatingLog, RotatingLogStats } from './rotating.js';

/**
 * Objects that may be inside the stream at once, 10 MB. It hands them on at once as a rule; a
 * stream's own buffer has no limit.
 */
const MAX_INSIDE = 16_384;
/** Lines go to the log in pieces of this many characters, or when a drain has ended. */
const PIECE = 64 * 1024;

const DEADLINE_MS = 1500;
/** Part of the deadline that the stream may take; the rest is for the disk. */
const STREAM_PART = 1 / 3;

/** One NDJSON file with its rotated ones. Counts as `RotatingLog` does; one record is one object. */
export class NdjsonLog {
  readonly #log: RotatingLog;
  readonly #stream: Transform;
  /** Objects in the stream. */
  #inside = 0;
  #refused = 0;
  #text = '';
  #lines = 0;
  #closed = false;

  /** @param stream turns objects into lines; for tests with one that stands still */
  constructor(log: RotatingLog, stream: Transform = stringify()) {
    this.#log = log;
    this.#stream = stream;
    stream.on('data', this.#take);
  }

  /** Takes one object over; never blocks. Beyond the limits it is lost, and counted. */
  write(event: object): void {
    if (this.#closed || this.#inside >= MAX_INSIDE) {
      this.#refused++;
      return;
    }
    this.#inside++;
    this.#stream.write(event);
  }

  readonly #take = (line: string): void => {
    this.#inside--;
    // What one drain makes leaves together, when that is done.
    if (this.#lines === 0) queueMicrotask(this.#handOver);
    this.#text += line;
    this.#lines++;
    if (this.#text.length >= PIECE) this.#handOver();
  };

  readonly #handOver = (): void => {
    if (this.#lines === 0) return;
    this.#log.write(Buffer.from(this.#text), this.#lines);
    this.#text = '';
    this.#lines = 0;
  };

  /** A snapshot of the counters. */
  stats(): RotatingLogStats {
    const stats = this.#log.stats();
    const waiting = this.#inside + this.#lines;
    return {
      ...stats,
      accepted: stats.accepted + this.#refused + waiting,
      lost: stats.lost + this.#refused + (this.#closed ? waiting : 0),
      pending: stats.pending + (this.#closed ? 0 : waiting),
    };
  }

  /** As `RotatingLog.reopen()`. */
  reopen(): void {
    this.#log.reopen();
  }

  /** Waits until what has left the stream is with the kernel; false if that took too long. */
  flush(timeoutMs?: number): Promise<boolean> {
    this.#handOver();
    return this.#log.flush(timeoutMs);
  }

  /**
   * Writes what is pending, that in the stream too, and closes the file. What could not be written
   * by then counts as lost. The second call does nothing.
   * @returns false when stream or disk did not answer in time
   */
  async close(timeoutMs = DEADLINE_MS): Promise<boolean> {
    if (this.#closed) return true;
    const endMs = performance.now() + timeoutMs;
    const ended = new Promise<void>((resolve) => this.#stream.once('end', resolve));
    this.#stream.end();
    const inTime = await withDeadline(ended, timeoutMs * STREAM_PART);
    this.#handOver();
    this.#closed = true;
    return (await this.#log.close(endMs - performance.now())) && inTime;
  }
}
