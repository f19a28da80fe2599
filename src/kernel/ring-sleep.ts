/**
 * Sleeping until a record comes: poll(2) on the descriptors of rings, in another thread, since Node.js can
 * wait only for kinds of descriptors it knows. The programs wake a reader that has said it sleeps
 * (bpf/include/ring.bpf.h has the states).
 */
import { closeSync, writeSync } from 'node:fs';
import { NetwatchError } from '../failure.js';
import { errno } from './ffi.js';
import { c, pollLater } from './libc.js';
import type { Source } from './source.js';
import { describeErrno } from './system-error.js';

const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;
const POLLIN = 1;
/** struct pollfd: an int and two shorts. */
const POLLFD_BYTES = 8;
/** What the 64-bit counter of an eventfd is given. */
const ONE = Buffer.from(BigUint64Array.of(1n).buffer);

/** The reader comes once a second all the same: signs of life are given by it. */
const LONGEST_MS = 1000;

/** What of a source puts its reader to sleep and wakes it. */
export type Sleeper = Pick<Source, 'ringFd' | 'readerSleeps'>;

export class RingSleep {
  readonly #sources: readonly Sleeper[];
  readonly #longestMs: number;
  readonly #event: number;
  readonly #fds: Uint8Array;
  /** Called when the sleep under way ends; null: there is none. */
  #woken: (() => void) | null = null;
  #isClosed = false;
  /** A thread that waits would keep the process from ending. */
  readonly #onExit = (): void => {
    this.wake();
  };

  /** `longestMs`: whoever has no record comes after it all the same; -1: never. */
  constructor(sources: readonly Sleeper[], longestMs = LONGEST_MS) {
    this.#sources = sources;
    this.#longestMs = longestMs;
    this.#event = c.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (this.#event < 0) {
      const reason = describeErrno(errno());
      throw new NetwatchError({ code: 'system', what: 'cannot make an eventfd', reason });
    }
    const fds = [this.#event, ...sources.map(({ ringFd }) => ringFd)];
    this.#fds = new Uint8Array(fds.length * POLLFD_BYTES);
    const view = new DataView(this.#fds.buffer);
    for (const [i, fd] of fds.entries()) {
      view.setInt32(i * POLLFD_BYTES, fd, true);
      view.setInt16(i * POLLFD_BYTES + 4, POLLIN, true);
    }
    process.on('exit', this.#onExit);
  }

  /** Calls back, not at once, when a record has come or the time is over. */
  begin(woken: () => void): void {
    if (this.#woken !== null || this.#isClosed) throw new Error('asleep already');
    this.#woken = woken;
    for (const source of this.#sources) source.readerSleeps();
    pollLater(this.#fds, this.#fds.length / POLLFD_BYTES, this.#longestMs, () => {
      if (this.#isClosed) closeSync(this.#event);
      const call = this.#woken;
      this.#woken = null;
      call?.();
    });
  }

  wake(): void {
    if (this.#woken !== null) writeSync(this.#event, ONE);
  }

  /** Ends the sleep under way without calling back, for good. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    process.off('exit', this.#onExit);
    if (this.#woken === null) {
      closeSync(this.#event);
      return;
    }
    this.#woken = () => undefined;
    this.wake();
  }
}
