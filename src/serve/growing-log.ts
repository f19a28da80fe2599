/**
 * What a log has got since the last look, across its rotations: read once, block by block. Where more came
 * than anybody could read in time, only the newest.
 */
import { constants, type Stats } from 'node:fs';
import { lstat, open, type FileHandle } from 'node:fs/promises';
import { errnoOf } from '../sinks/errors.js';

/** A link is not followed. */
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
/** Of one look: 8,000 requests, 100 ms. */
const MOST_BYTES = 4 << 20;
/** Parsed at a stretch: 400 lines, 2 ms. */
const BLOCK_BYTES = 256 * 1024;
/** No line of ours is nearly as long. */
const MAX_LINE_BYTES = 64 * 1024;
const NEWLINE = 0x0a;
const NONE = Buffer.alloc(0);

export interface LogReader {
  /** Whole lines, without the newline of the last one. */
  readonly lines: (text: string) => void;
  /** What follows does not join what came before: the file is new to us, or was too long. */
  readonly gap: (file: Stats, isFromStart: boolean) => void;
}

export class GrowingLog {
  readonly #path: string;
  readonly #reader: LogReader;
  readonly #mostBytes: number;
  #file: FileHandle | null = null;
  #at = 0;
  /** A line whose end has not been written yet. */
  #rest: Buffer = NONE;

  constructor(path: string, reader: LogReader, mostBytes = MOST_BYTES) {
    this.#path = path;
    this.#reader = reader;
    this.#mostBytes = mostBytes;
  }

  /** Reads what is new. False if there is no such log, or if it is closed to us. */
  async look(): Promise<boolean> {
    const now = await this.#found();
    if (this.#file !== null) {
      const stats = await this.#file.stat();
      await this.#readTo(this.#file, stats.size);
      if (now !== null && now.ino === stats.ino && now.dev === stats.dev) return true;
      // rotated: all that was written to the old file has been read
      await this.close();
      if (now === null) return false;
      return this.#open(false);
    }
    return now !== null && (await this.#open(true));
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    this.#at = 0;
    this.#rest = NONE;
    await file?.close();
  }

  async #found(): Promise<Stats | null> {
    try {
      const stats = await lstat(this.#path);
      return stats.isFile() ? stats : null;
    } catch (error) {
      return orThrow(error);
    }
  }

  /** `isFirst`: nothing of this log has been read before. */
  async #open(isFirst: boolean): Promise<boolean> {
    try {
      this.#file = await open(this.#path, FLAGS);
    } catch (error) {
      orThrow(error);
      return false;
    }
    const stats = await this.#file.stat();
    if (isFirst && stats.size <= this.#mostBytes) this.#reader.gap(stats, true);
    await this.#readTo(this.#file, stats.size);
    return true;
  }

  async #readTo(file: FileHandle, size: number): Promise<void> {
    // cut by somebody: what is there now is new
    if (size < this.#at) this.#at = 0;
    if (size - this.#at > this.#mostBytes) {
      this.#at = size - this.#mostBytes;
      this.#reader.gap(await file.stat(), false);
      this.#rest = (await this.#block(file, size, true)) ?? NONE;
    }
    while (this.#at < size) {
      const block = await this.#block(file, size, false);
      if (block === null) return;
      const end = block.lastIndexOf(NEWLINE);
      if (end > 0) this.#reader.lines(block.toString('utf8', 0, end));
      const rest = block.subarray(end + 1);
      this.#rest = rest.length > MAX_LINE_BYTES ? NONE : rest;
    }
  }

  /** The next bytes behind what waits; `isTorn`: from the first whole line on. */
  async #block(file: FileHandle, size: number, isTorn: boolean): Promise<Buffer | null> {
    const length = Math.min(BLOCK_BYTES, size - this.#at);
    const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, this.#at);
    if (bytesRead === 0) return null;
    this.#at += bytesRead;
    const read = buffer.subarray(0, bytesRead);
    if (isTorn) return read.subarray(read.indexOf(NEWLINE) + 1);
    return Buffer.concat([this.#rest, read]);
  }
}

/** A file that is not there, or not for us, has nothing to show. */
function orThrow(error: unknown): null {
  if (errnoOf(error) === null) throw error;
  return null;
}
