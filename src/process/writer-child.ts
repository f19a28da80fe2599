/**
 * Writes to a terminal that may not be opened anew, that of another user: its mode is shared with
 * others, so it has to be written to as it is, and write(2) waits after Ctrl-S. A child process waits
 * in our place. What it has not taken stays in a pipe, and what does not fit there is ours to bound.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Socket } from 'node:net';
import { Writable } from 'node:stream';
import { withDeadline } from '../sinks/deadline.js';

type Done = (error?: Error | null) => void;

interface Writer {
  readonly child: ChildProcess;
  readonly pipe: Socket;
}

const writers = new Set<Writer>();

/** `cat` on the descriptor; throws ENOENT where there is none. */
function startWriter(fd: number): Writer {
  // A session of its own: Ctrl-C would end it before what is said of the end.
  const child = spawn('cat', [], { stdio: ['pipe', fd, 'ignore'], detached: true });
  child.on('error', () => undefined);
  const { pid, stdin: pipe } = child;
  if (pid === undefined || !(pipe instanceof Socket))
    throw Object.assign(new Error('there is no cat'), { code: 'ENOENT' });
  const writer = { child, pipe };
  // The callback of each write has its error, too.
  pipe.on('error', () => undefined);
  // Neither keeps the process: see finishWriters().
  child.unref();
  pipe.unref();
  writers.add(writer);
  child.once('exit', () => writers.delete(writer));
  return writer;
}

/** Its other end is gone, or the child was ended. */
const readerGone = (): Error => Object.assign(new Error('nobody reads'), { code: 'EPIPE' });

/** Like a pipe: a terminal that is gone has no reader. */
export class ChildStream extends Writable {
  readonly #fd: number;
  #writer: Writer | null = null;

  constructor(fd: number) {
    super();
    this.#fd = fd;
  }

  override _write(chunk: Buffer, _encoding: string, done: Done): void {
    try {
      this.#writer ??= this.#start();
    } catch (error) {
      done(error as Error);
      return;
    }
    this.#writer.pipe.write(chunk, done);
  }

  /** The child sees first that the terminal is gone, which the next write would be too late for. */
  #start(): Writer {
    const writer = startWriter(this.#fd);
    writer.child.once('exit', () => this.destroy(readerGone()));
    return writer;
  }
}

/**
 * Lets the children write what they have, at most `timeoutMs` together, and ends those that still
 * wait for their terminal; false if there was one.
 */
export async function finishWriters(timeoutMs: number): Promise<boolean> {
  const exits = [...writers].map(async ({ child, pipe }) => {
    const exit = once(child, 'exit');
    pipe.end();
    await exit;
  });
  await withDeadline(
    Promise.all(exits).then(() => undefined),
    timeoutMs,
  );
  for (const { child } of writers) child.kill('SIGKILL');
  return writers.size === 0;
}
