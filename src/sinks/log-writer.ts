/**
 * Decides where the next lines go: the open file, a new one after a rotation, nowhere when the disk
 * cap is reached. Knows bytes and lines; records are counted by its caller.
 */
import { backoffMs } from './backoff.js';
import { CurrentFile } from './current-file.js';
import type { SinkError } from './errors.js';
import { stagingName } from './log-names.js';
import { Retention } from './retention.js';
import { effectiveRotateBytes, type RotatingLogOptions } from './rotating-options.js';

const NEWLINE = 10;

/**
 * What became of the lines offered to `put()`; what is neither written nor dropped is to be offered
 * again.
 */
export interface Put {
  /** Bytes of whole lines that are in the file. */
  readonly written: number;
  /** Bytes of whole lines, after the written ones, that were given up. */
  readonly dropped: number;
  /** Set when the file had to be closed. */
  readonly error: SinkError | null;
}

/** Not safe for concurrent use: the caller awaits each call before the next. */
export class LogWriter {
  readonly #options: RotatingLogOptions;
  readonly #rotateBytes: number;
  readonly #file: CurrentFile;
  readonly #retention: Retention;
  readonly #onError: (error: SinkError) => void;
  #interval = 0;
  #rotations = 0;
  #failures = 0;
  #rotateNotBefore = 0;

  /** @param onError told about failures that do not stop the writing, such as a failed rotation */
  constructor(options: RotatingLogOptions, onError: (error: SinkError) => void) {
    const { directory, name, header, openFile } = options;
    this.#options = options;
    this.#onError = onError;
    this.#rotateBytes = effectiveRotateBytes(options);
    this.#file = new CurrentFile(directory, name, Buffer.from(header), openFile);
    const failed = (error: SinkError): void => this.#rotationFailed(error);
    const keepFiles = Math.max(1, Math.floor(options.keepFiles));
    const limits = { ...options, keepFiles, rotateBytes: this.#rotateBytes };
    this.#retention = new Retention({ ...limits, onError: failed });
  }

  get rotations(): number {
    return this.#rotations;
  }

  /** Opens the file, its directory too, and takes up what a crash left half done. */
  async open(): Promise<SinkError | null> {
    const error = await this.#file.open();
    if (error !== null) return error;
    const { hasRecords, modifiedMs, size } = this.#file;
    this.#interval = this.#intervalOf(hasRecords ? modifiedMs : this.#options.now());
    if (this.#retention.isRunning()) return null;
    await this.#retention.makeRoom(Math.max(size, this.#rotateBytes));
    this.#resumeAgeing();
    return null;
  }

  /**
   * Makes sure the open file is the one to write to: reopens it if it was removed, renamed or
   * replaced, rotates it if its time has come.
   * @param thorough also look whether the path still leads to the file
   * @param hurry as for `put()`
   */
  async ready(thorough: boolean, hurry: boolean): Promise<SinkError | null> {
    if (thorough && !(await this.#file.checkPath())) await this.#file.close();
    if (this.#file.isOpen) {
      const alive = await this.#file.checkDescriptor();
      if (!alive.ok || !alive.value) await this.#file.close();
      if (!alive.ok) return alive.error;
    }
    if (!this.#file.isOpen) {
      const error = await this.open();
      if (error !== null) return error;
    }
    this.#resumeAgeing();
    const interval = this.#intervalOf(this.#options.now());
    if (interval === this.#interval) return null;
    if (!this.#file.hasRecords) this.#interval = interval;
    const outcome = this.#file.hasRecords ? await this.#rotate(hurry) : 'unchanged';
    return typeof outcome === 'string' ? null : outcome;
  }

  /**
   * Writes some or all of `lines`.
   * @param hurry do not wait for a compression to finish before rotating, rather let the file grow
   */
  async put(lines: Buffer, hurry: boolean): Promise<Put> {
    let part = linesWithin(lines, this.#rotateBytes - this.#file.size);
    if (part.length === 0 && this.#file.hasRecords) {
      const outcome = await this.#rotate(hurry);
      if (outcome !== 'unchanged') {
        return { written: 0, dropped: 0, error: outcome === 'rotated' ? null : outcome };
      }
      part = lines;
    }
    // A record longer than the limit gets a file of its own.
    if (part.length === 0) part = lines.subarray(0, lines.indexOf(NEWLINE) + 1);
    if (!(await this.#roomFor(part.length))) {
      this.#onError({ code: 'io', operation: 'write', path: this.#file.path, errno: 'EDQUOT' });
      return { written: 0, dropped: part.length, error: null };
    }
    const { complete, error } = await this.#file.append(part);
    return { written: complete, dropped: 0, error };
  }

  /** Lets go of the file; the next `ready()` opens it by its name. */
  async close(): Promise<void> {
    await this.#file.close();
  }

  /** Lets go of everything, when nothing is under way any more. */
  async end(): Promise<void> {
    await this.#stopRetention();
    await this.#file.end();
  }

  /** The end is near: who waits for a compression goes on at once, the next start takes it up. */
  hurry(): void {
    if (this.#retention.isRunning()) this.#retention.abort();
  }

  /** Stops a compression that is on and waits until nothing is on any more. */
  async #stopRetention(): Promise<void> {
    this.#retention.abort();
    await this.#retention.settled();
  }

  /** 'rotated', 'unchanged' (go on with the old file) or why there is no open file any more. */
  async #rotate(hurry: boolean): Promise<'rotated' | 'unchanged' | SinkError> {
    // A second file would take the place of one that nobody puts away any more.
    if (this.#retention.isStopped()) return 'unchanged';
    if (hurry && this.#retention.isRunning()) return 'unchanged';
    if (performance.now() < this.#rotateNotBefore) return 'unchanged';
    if (this.#retention.isOccupied()) {
      this.#retention.start();
      // Meanwhile records pile up in memory, up to its cap: the disk cap must not be broken by a
      // second copy.
      await this.#retention.settled();
      if (this.#retention.isOccupied()) return 'unchanged';
    }
    // Somebody else's file under our name must not be rotated as if it were ours.
    if (!(await this.#file.checkPath())) {
      await this.#file.close();
      return (await this.open()) ?? 'rotated';
    }
    return this.#moveOver();
  }

  async #moveOver(): Promise<'rotated' | 'unchanged' | SinkError> {
    const moved = this.#file.size;
    await this.#retention.makeRoomForRotation(moved);
    const error = await this.#file.rotateTo(stagingName(this.#options.name));
    if (error !== null && this.#file.isOpen) {
      this.#rotationFailed(error);
      return 'unchanged';
    }
    this.#failures = 0;
    this.#rotations += 1;
    this.#interval = this.#intervalOf(this.#options.now());
    this.#retention.start(moved);
    return error ?? 'rotated';
  }

  #resumeAgeing(): void {
    if (performance.now() >= this.#rotateNotBefore) this.#retention.resume();
  }

  #rotationFailed(error: SinkError): void {
    this.#failures += 1;
    this.#rotateNotBefore = performance.now() + backoffMs(this.#failures);
    this.#onError(error);
  }

  async #roomFor(bytes: number): Promise<boolean> {
    const needed = this.#file.size + bytes;
    if (this.#retention.bytes + needed <= this.#options.keepBytes) return true;
    await this.#retention.settled();
    return this.#retention.makeRoom(needed);
  }

  /** The number of the interval a moment lies in; always 0 without rotation by time. */
  #intervalOf(ms: number): number {
    const seconds = this.#options.rotateIntervalSeconds;
    return seconds === null ? 0 : Math.floor(ms / (seconds * 1000));
  }
}

/** As many whole lines from the start of `lines` as fit into `room` bytes, possibly none. */
function linesWithin(lines: Buffer, room: number): Buffer {
  if (lines.length <= room) return lines;
  if (room <= 0) return lines.subarray(0, 0);
  return lines.subarray(0, lines.lastIndexOf(NEWLINE, room - 1) + 1);
}
