/** Processes that a measurement starts: when they are ready, what they say, and their end. */
import type { ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';

const READY_MS = 30_000;
const STOP_MS = 10_000;

/** What a process has written so far. */
export interface Words {
  text(): string;
  /** Resolves when it has written what matches; rejects if it ends before, or takes too long. */
  heard(pattern: RegExp): Promise<void>;
}

/**
 * Listens to a process.
 * @param name for errors
 * @param streams those to read
 */
export function listenTo(
  child: ChildProcess,
  name: string,
  streams: readonly (Readable | null)[],
): Words {
  let [text, isClosed] = ['', false];
  child.once('close', () => (isClosed = true));
  for (const stream of streams)
    stream?.setEncoding('utf8').on('data', (more: string) => (text += more));
  const heard = (pattern: RegExp): Promise<void> =>
    new Promise((resolve, reject) => {
      const settle = (why: string | null): void => {
        clearTimeout(timer);
        for (const stream of streams) stream?.off('data', look);
        child.off('close', onEnd).off('error', onError);
        if (why === null) resolve();
        else reject(new Error(`${name} ${why}: ${text.trim()}`));
      };
      const look = (): void => {
        if (pattern.test(text)) settle(null);
      };
      const onEnd = (code: number | null): void => settle(`ended (${String(code)})`);
      const onError = (error: Error): void => settle(`does not start: ${error.message}`);
      const timer = setTimeout(() => settle('is not ready'), READY_MS);
      child.once('close', onEnd).once('error', onError);
      for (const stream of streams) stream?.on('data', look);
      look();
      if (isClosed) onEnd(child.exitCode);
    });
  return { text: () => text, heard };
}

/** Whether a process has ended, or could not be started; true for good then. */
export function endOf(child: ChildProcess): { readonly isOver: boolean } {
  const end = { isOver: false };
  const over = (): void => void (end.isOver = true);
  child.once('error', over).once('exit', over);
  return end;
}

/** Resolves when the process has ended and all that it said has come. */
export function ended(child: ChildProcess): Promise<void> {
  const isOver = child.exitCode !== null || child.signalCode !== null;
  const streams = [child.stdout, child.stderr];
  if (isOver && streams.every((stream) => stream?.closed ?? true)) return Promise.resolve();
  return new Promise((resolve) => child.once('close', () => resolve()));
}

/** Sends the signal and waits for the end; SIGKILL after ten seconds. */
export async function stop(child: ChildProcess, signal: NodeJS.Signals = 'SIGINT'): Promise<void> {
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  child.kill(signal);
  await ended(child);
  clearTimeout(timer);
}
