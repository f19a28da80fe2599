/**
 * Writes to a file or a terminal by its descriptor. A terminal that takes nothing (Ctrl-S, a hung
 * ssh) would stop the whole process in write(2), as Node's own stream does; here it is written to
 * through an open file of our own that does not block, whose mode nobody else shares.
 */
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { Writable } from 'node:stream';
import { errnoOf } from '../sinks/errors.js';
import { ChildStream } from './writer-child.js';

/** Between two tries on a terminal that takes nothing, milliseconds. */
const RETRY_MS = 10;
const { O_WRONLY, O_NOCTTY, O_NONBLOCK } = constants;

type Done = (error?: Error | null) => void;

/** For a file, or for a terminal; never waits for either. */
export function writerOf(fd: number, isTerminal: boolean): Writable {
  const ownFd = isTerminal ? openUnblocked(fd) : null;
  return isTerminal && ownFd === null ? new ChildStream(fd) : new DescriptorStream(fd, ownFd);
}

/** Null where it may not be opened: the terminal of another user. */
export function openUnblocked(fd: number): number | null {
  try {
    return openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NOCTTY | O_NONBLOCK);
  } catch {
    return null;
  }
}

/** A terminal whose other end is gone is what a pipe without a reader is: EPIPE. */
function asOfPipe(thrown: unknown): Error {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  return errnoOf(error) === 'EIO' ? Object.assign(error, { code: 'EPIPE' }) : error;
}

/** Its errors come through the callback of the write, and as an event of the stream. */
class DescriptorStream extends Writable {
  readonly #fd: number;
  readonly #ownFd: number | null;
  #retry: NodeJS.Timeout | null = null;

  /** @param ownFd of a terminal: the same one, opened anew; closed with the stream */
  constructor(fd: number, ownFd: number | null) {
    super();
    this.#ownFd = ownFd;
    this.#fd = ownFd ?? fd;
  }

  override _write(chunk: Buffer, _encoding: string, done: Done): void {
    this.#writeFrom(chunk, 0, done);
  }

  override _destroy(error: Error | null, done: Done): void {
    if (this.#retry !== null) clearTimeout(this.#retry);
    if (this.#ownFd !== null) closeSync(this.#ownFd);
    done(error);
  }

  /** A write may be taken in part: by a full disk, by a terminal that is slow. */
  #writeFrom(chunk: Buffer, start: number, done: Done): void {
    let at = start;
    try {
      while (at < chunk.length) at += writeSync(this.#fd, chunk, at);
    } catch (error) {
      if (errnoOf(error) !== 'EAGAIN') {
        done(this.#ownFd !== null ? asOfPipe(error) : (error as Error));
        return;
      }
      this.#retry = setTimeout(() => {
        this.#writeFrom(chunk, at, done);
      }, RETRY_MS);
      return;
    }
    done();
  }
}
