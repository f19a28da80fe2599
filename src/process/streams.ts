/**
 * Standard output and standard error, whatever they are: a pipe, a file on a full disk, a terminal
 * whose other end vanishes, a descriptor that cannot be written to. Nothing that happens to them is
 * thrown at whoever writes, and no reader that takes nothing keeps the process from ending.
 */
import { closeSync, fstatSync, openSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { isatty } from 'node:tty';
import { withDeadline } from '../sinks/deadline.js';
import { errnoOf, isReaderGone } from '../sinks/errors.js';
import { writerOf } from './descriptor-stream.js';
import { finishWriters } from './writer-child.js';

const [STDIN, STDOUT, STDERR] = [0, 1, 2] as const;
type Descriptor = typeof STDIN | typeof STDOUT | typeof STDERR;

/** Of standard error; a reader that takes nothing costs this much and then sentences. */
const MAX_PENDING_BYTES = 8 * 2 ** 20;
/** How long the end waits for the reader of standard error, milliseconds. */
const PATIENCE_MS = 1500;
const EXIT_ENVIRONMENT = 3;

/** Tells the user something, beside the output. */
export type Say = (message: string) => void;

// As they were at the start: of a terminal that has vanished nobody can tell that it was one.
const terminals = [STDIN, STDOUT, STDERR].map((fd) => isatty(fd));

/** Whether it was a terminal when the program began. */
export function isTerminal(fd: Descriptor): boolean {
  return terminals[fd] === true;
}

/** Node waits for pipes and sockets as it should; files and terminals are written to by ourselves. */
function openStream(fd: typeof STDOUT | typeof STDERR): Writable {
  const kind = fstatSync(fd);
  if (kind.isFile() || kind.isCharacterDevice()) return writerOf(fd, isTerminal(fd));
  return fd === STDOUT ? process.stdout : process.stderr;
}

/** Standard output for who handles its errors; each caller's own. */
export function openStandardOutput(): Writable {
  return openStream(STDOUT);
}

/** Standard error: takes text at once and in order, never throws, and never waits. */
class Messages {
  #stream: Writable | null = null;
  #isGone = false;
  #pendingBytes = 0;
  #waiting: (() => void)[] = [];
  #leftOut = 0;

  /** Whether everything has been taken. */
  get #isIdle(): boolean {
    return this.#pendingBytes === 0;
  }

  /** How many texts were left out: the reader is there, but takes nothing. */
  get leftOut(): number {
    return this.#leftOut;
  }

  /** At the start, with all rights: a user that the program becomes may not open its terminal. */
  open(): Writable {
    // The callback of each write has its error, too.
    this.#stream ??= openStream(STDERR).on('error', () => undefined);
    return this.#stream;
  }

  /** What the reader does not take is left out, and so is everything after it has gone. */
  readonly write = (text: string): void => {
    const bytes = Buffer.from(text);
    if (this.#isGone) return;
    if (this.#pendingBytes + bytes.length > MAX_PENDING_BYTES) {
      this.#leftOut += 1;
      return;
    }
    this.#pendingBytes += bytes.length;
    this.open().write(bytes, (error) => {
      this.#taken(bytes.length, error);
    });
  };

  /** The same for what is worth nothing later: left out unless everything before it has been taken. */
  offer(text: string): void {
    if (this.#isIdle) this.write(text);
    else this.#leftOut += 1;
  }

  /** Waits for the reader, within reason; false if something is left. */
  async settle(): Promise<boolean> {
    if (this.#isIdle) return true;
    await withDeadline(new Promise((resolve) => this.#waiting.push(resolve)), PATIENCE_MS);
    return this.#isIdle;
  }

  #taken(bytes: number, error: Error | null | undefined): void {
    this.#pendingBytes -= bytes;
    if (error) {
      this.#isGone ||= isReaderGone(errnoOf(error));
      // A full disk may have room again, but a stream that failed takes nothing more.
      this.#stream = null;
    }
    if (!this.#isIdle) return;
    for (const resolve of this.#waiting) resolve();
    this.#waiting = [];
  }
}

/** The one writer of standard error. */
export const messages = new Messages();

/** Says it as `who`: `netwatch` or `netwatch tcplife`. */
export function sayAs(who: string): Say {
  return (message) => {
    messages.write(`${who}: ${message}\n`);
  };
}

/** What is said where standard output takes nothing more and the program has nothing else to do. */
export function cannotWrite(errno: string): string {
  return `cannot write to standard output: ${errno}; send it to another file or pipe`;
}

let isAbandoned = false;

/** There are rows that the reader does not take: a write that waits would keep the process. */
export function abandonOutput(): void {
  isAbandoned = true;
}

/**
 * For what is written past this module: commander's help, the report of `doctor`. A reader that
 * goes away (`netwatch -h | head -1`) is no error; any other failure is one sentence and exit code 3.
 */
export function guardStandardStreams(): void {
  messages.open();
  process.stderr.on('error', () => undefined);
  process.stdout.on('error', (error: Error) => {
    const errno = errnoOf(error) ?? error.message;
    if (isReaderGone(errno) || (errno === 'EIO' && isTerminal(STDOUT))) return;
    if (process.exitCode === EXIT_ENVIRONMENT) return; // whoever wrote has said it
    messages.write(`netwatch: ${cannotWrite(errno)}\n`);
    process.exitCode = EXIT_ENVIRONMENT;
  });
  process.once('exit', replaceVanishedTerminals);
}

/**
 * At its very end Node resets the mode of each terminal it was started with, and aborts if that
 * fails, as it does for one that has vanished; what is another file by then is left alone.
 */
function replaceVanishedTerminals(): void {
  for (const fd of [STDIN, STDOUT, STDERR]) {
    if (!isTerminal(fd) || isatty(fd)) continue;
    closeSync(fd);
    // the lowest number that is free
    openSync('/dev/null', 'r+');
  }
}

/** The last thing that the program does: waits for the readers, but not for ever. */
export async function leave(): Promise<void> {
  const isTold = await messages.settle();
  const isShown = await finishWriters(PATIENCE_MS);
  if (!isTold || !isShown || isAbandoned) process.exit();
}
