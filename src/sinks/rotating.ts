/**
 * An append-only log of whole lines that rotates by size and time, survives full disks and removed
 * files, and accounts for every record: written, lost or still pending.
 */
import { ByteQueue } from './byte-queue.js';
import { withDeadline } from './deadline.js';
import {
  errorName,
  explainSinkError,
  failure,
  success,
  type Result,
  type SinkError,
} from './errors.js';
import { LogPump } from './log-pump.js';
import { LogWriter } from './log-writer.js';
import type { RotatingLogOptions, RotatingLogStats } from './rotating-options.js';
import { quietWarnings, type Warn } from './warnings.js';

export type { RotatingLogOptions, RotatingLogStats } from './rotating-options.js';

const NEWLINE = 10;

/** Milliseconds between two looks at the file under our name, unless the options say otherwise. */
const CHECK_MS = 1000;

/**
 * Milliseconds `flush()` and `close()` wait unless told otherwise: a stop within 2 s leaves room
 * for the rest.
 */
const DEADLINE_MS = 1500;

/**
 * One log. `write()` never blocks and never throws; all file work happens on the thread pool, one
 * operation at a time.
 */
export class RotatingLog {
  readonly #queue: ByteQueue;
  readonly #writer: LogWriter;
  readonly #pump: LogPump;
  readonly #warn: Warn;
  readonly #errors = new Map<string, number>();
  #check: NodeJS.Timeout | undefined;
  #state: 'open' | 'closing' | 'closed' = 'open';
  #accepted = 0;
  #written = 0;
  #lost = 0;
  #bytesWritten = 0;

  /**
   * Opens the log: creates directory and file as needed, repairs what a crash left. An unusable
   * directory or file is a value, so that a collector can refuse to start; later failures are
   * retried and counted instead.
   */
  static async open(options: RotatingLogOptions): Promise<Result<RotatingLog>> {
    const log = new RotatingLog(options);
    const error = await log.#writer.open();
    if (error !== null) {
      await log.#writer.end();
      return failure(error);
    }
    // Only now: the pump and this function must not both be opening the file.
    log.#check = setInterval(() => log.#pump.checkInTurn(), options.checkMs ?? CHECK_MS);
    // Looking after the file is no reason to keep the process alive.
    log.#check.unref();
    return success(log);
  }

  private constructor(options: RotatingLogOptions) {
    this.#queue = new ByteQueue(options.maxBufferedBytes);
    this.#warn = quietWarnings(options.log, options.now);
    this.#writer = new LogWriter(options, (error) => this.#report(error));
    this.#pump = new LogPump(this.#queue, this.#writer, {
      written: (records, bytes) => {
        this.#written += records;
        this.#bytesWritten += bytes;
      },
      lost: (records) => {
        this.#lost += records;
      },
      failed: (error) => this.#report(error),
    });
  }

  /**
   * Takes over whole lines; the bytes are copied. Lines without a newline at their end would run
   * into the next ones and are lost.
   * @param records number of lines
   */
  write(lines: Uint8Array, records: number): void {
    this.#accepted += records;
    const usable = this.#state === 'open' && lines[lines.length - 1] === NEWLINE;
    if (usable && this.#queue.push(lines, records)) this.#pump.kick();
    else this.#lost += records;
  }

  /** A snapshot of the counters. */
  stats(): RotatingLogStats {
    return {
      accepted: this.#accepted,
      written: this.#written,
      lost: this.#lost,
      pending: this.#state === 'closed' ? 0 : this.#pump.pending,
      bytesWritten: this.#bytesWritten,
      rotations: this.#writer.rotations,
      writeErrors: new Map(this.#errors),
      down: this.#pump.down,
    };
  }

  /**
   * Goes over to the file that now has our name: for SIGHUP after an external rename. Without it
   * that takes a second.
   */
  reopen(): void {
    this.#pump.check();
  }

  /**
   * Waits until everything accepted so far is with the kernel.
   * @param timeoutMs longest wait in milliseconds
   * @returns false when something is still pending
   */
  async flush(timeoutMs = DEADLINE_MS): Promise<boolean> {
    const inTime = await withDeadline(this.#pump.drained(), timeoutMs);
    return inTime && this.#pump.pending === 0;
  }

  /**
   * Writes what is pending, with one more try if the disk is failing, and closes the file. What
   * could not be written by then counts as lost. The second call does nothing.
   * @param timeoutMs longest wait in milliseconds
   * @returns false when the disk did not answer in time: an operation is then still stuck in the kernel, and
   *   `process.exit()` would wait for it
   */
  async close(timeoutMs = DEADLINE_MS): Promise<boolean> {
    if (this.#state !== 'open') return true;
    this.#state = 'closing';
    clearInterval(this.#check);
    const endMs = performance.now() + timeoutMs;
    const drained = await withDeadline(this.#pump.drainLast(), timeoutMs);
    this.#lost += this.#pump.stop();
    this.#state = 'closed';
    return (await withDeadline(this.#end(), endMs - performance.now())) && drained;
  }

  /** Lets go of the file behind an operation that is still stuck: that may be the one that opens it. */
  async #end(): Promise<void> {
    this.#writer.hurry();
    await this.#pump.ended();
    await this.#writer.end();
  }

  #report(error: SinkError): void {
    const name = errorName(error);
    this.#errors.set(name, (this.#errors.get(name) ?? 0) + 1);
    this.#warn(
      `${explainSinkError(error)}; trying again, ${this.#pump.pending} records wait in memory, ${this.#lost} lost so far`,
    );
  }
}
