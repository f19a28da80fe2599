/** Moves queued lines to the writer, one operation at a time, and tries again after failures. */
import { backoffMs } from './backoff.js';
import type { Batch, ByteQueue } from './byte-queue.js';
import type { SinkError } from './errors.js';
import type { LogWriter, Put } from './log-writer.js';

const NEWLINE = 10;
/** Of so many looks at a file that nothing is written to, one is taken. */
const QUIET_CHECKS = 10;

/** What the pump tells its owner. */
export interface PumpEvents {
  /** Records, and their bytes, that are in a file now. */
  readonly written: (records: number, bytes: number) => void;
  /** Records that were given up. */
  readonly lost: (records: number) => void;
  readonly failed: (error: SinkError) => void;
}

/** Runs whenever there is something to do; nothing it does throws at its owner. */
export class LogPump {
  readonly #queue: ByteQueue;
  readonly #writer: LogWriter;
  readonly #events: PumpEvents;
  #loop: Promise<void> | null = null;
  #retry: NodeJS.Timeout | null = null;
  #waiting: (() => void)[] = [];
  #batch: Batch | null = null;
  /** Bytes and records of the batch that are dealt with. */
  #offset = 0;
  #settledRecords = 0;
  #failures = 0;
  #checkDue = false;
  /** Calls of checkInTurn() since the last write. */
  #quietChecks = 0;
  #state: 'open' | 'closing' | 'stopped' = 'open';

  constructor(queue: ByteQueue, writer: LogWriter, events: PumpEvents) {
    this.#queue = queue;
    this.#writer = writer;
    this.#events = events;
  }

  /** Records that are neither written nor lost yet. */
  get pending(): number {
    const inBatch = this.#batch === null ? 0 : this.#batch.records - this.#settledRecords;
    return this.#queue.records + inBatch;
  }

  /** True from a failure until writing works again. */
  get down(): boolean {
    return this.#failures > 0;
  }

  /** Says that there may be something to do. */
  kick(): void {
    if (this.#loop !== null || this.#retry !== null || this.#state === 'stopped') return;
    this.#loop = this.#run();
  }

  /** Asks for a look at whether the file under our name is still ours. */
  check(): void {
    this.#checkDue = true;
    this.#quietChecks = 0;
    this.kick();
  }

  /**
   * The same, called at intervals. A file that nothing was written to since the last call is looked at
   * now and then only: each look is five calls in other threads. The next write looks first in any case.
   */
  checkInTurn(): void {
    this.#checkDue = true;
    this.#quietChecks += 1;
    if (this.#quietChecks > 1 && this.#quietChecks % QUIET_CHECKS !== 0) return;
    this.kick();
  }

  /** Resolves when nothing is pending. */
  async drained(): Promise<void> {
    this.kick();
    if (this.pending === 0) return;
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Writes what is pending with at most one more try, without waiting for the disk to recover. */
  async drainLast(): Promise<void> {
    this.#state = 'closing';
    this.#writer.hurry();
    await this.#loop;
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = null;
    // From here on nothing else starts a run: what this one writes is counted.
    if (this.pending > 0) this.kick();
    await this.#loop;
  }

  /**
   * Ends all work; an operation that is still stuck in the kernel no longer changes the counts.
   * @returns how many records are given up with that
   */
  stop(): number {
    const lost = this.pending;
    this.#state = 'stopped';
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#wake();
    return lost;
  }

  /** After {@link stop}: waits for the operation that is under way. */
  async ended(): Promise<void> {
    await this.#loop;
  }

  async #run(): Promise<void> {
    try {
      while (await this.#step());
    } finally {
      this.#loop = null;
    }
    // Something may have come in while the last step was finding nothing to do. At the end nothing
    // comes in, and one more run would write what its owner has given up by then.
    if (this.#state === 'open' && this.#queue.records > 0) this.kick();
  }

  /** One unit of work; false when there is none or none can be done. */
  async #step(): Promise<boolean> {
    const thorough = this.#checkDue;
    this.#checkDue = false;
    this.#batch ??= this.#queue.take();
    if (this.#state === 'stopped' || (this.#batch === null && !thorough)) return false;
    const hurry = this.#state === 'closing';
    const error = await this.#writer.ready(thorough, hurry);
    if (error !== null) return this.#fail(error);
    // what was waiting for a file that opened too late is lost by now
    if (this.#isStopped()) return false;
    if (this.#batch === null) {
      this.#failures = 0;
      return false;
    }
    this.#quietChecks = 0;
    const put = await this.#writer.put(this.#batch.bytes.subarray(this.#offset), hurry);
    this.#account(this.#batch, put);
    if (put.error !== null) return this.#fail(put.error);
    this.#failures = 0;
    return true;
  }

  #account(batch: Batch, put: Put): void {
    if (this.#isStopped()) return;
    const written = this.#settle(batch, put.written);
    const lost = this.#settle(batch, put.dropped);
    if (written > 0) this.#events.written(written, put.written);
    if (lost > 0) this.#events.lost(lost);
    if (this.#offset === batch.bytes.length) {
      this.#batch = null;
      this.#offset = 0;
      this.#settledRecords = 0;
      this.#queue.release();
    }
    if (this.pending === 0) this.#wake();
  }

  /** Counts the records in the next `bytes` bytes of the batch. */
  #settle(batch: Batch, bytes: number): number {
    const end = this.#offset + bytes;
    // The usual case, a batch that goes as a whole, needs no counting.
    const records =
      end === batch.bytes.length
        ? batch.records - this.#settledRecords
        : countLines(batch.bytes.subarray(this.#offset, end));
    this.#offset = end;
    this.#settledRecords += records;
    return records;
  }

  /**
   * A method, because the state may have changed during an await and the compiler would not believe
   * it.
   */
  #isStopped(): boolean {
    return this.#state === 'stopped';
  }

  async #fail(error: SinkError): Promise<false> {
    await this.#writer.close();
    if (this.#isStopped()) return false;
    this.#failures += 1;
    this.#events.failed(error);
    if (this.#state === 'open') {
      this.#retry = setTimeout(() => {
        this.#retry = null;
        this.check();
      }, backoffMs(this.#failures));
      this.#retry.unref();
    }
    return false;
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting = [];
  }
}

function countLines(bytes: Buffer): number {
  let lines = 0;
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) lines += 1;
  return lines;
}
