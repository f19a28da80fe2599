/** A pseudo-terminal of the test's own: what is shown on it, keys, and that it vanishes. */
import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs';
import { ReadStream } from 'node:tty';
import koffi from 'koffi';
import type { Teardown } from './netns.js';

const { O_RDWR, O_NOCTTY } = constants;

/** What Ctrl-S sends: no more output, please. */
export const CTRL_S = '\x13';
/** Go on, please. */
export const CTRL_Q = '\x11';

export interface Terminal {
  /** For a child's standard streams; closed with the test. */
  readonly fd: number;
  /** All that was shown by now. */
  shown(): string;
  press(key: string): void;
  /** Closes the window: the other end is gone. */
  vanish(): void;
}

const unlock = koffi.load('libc.so.6').func('int unlockpt(int fd)') as (fd: number) => number;

/** Opens one; it is not the controlling terminal of anybody. */
export function openTerminal(t: Teardown): Terminal {
  const master = openSync('/dev/ptmx', O_RDWR | O_NOCTTY);
  if (unlock(master) !== 0) throw new Error('the terminal stays locked');
  const fdinfo = readFileSync(`/proc/self/fdinfo/${master}`, 'utf8');
  const number = /^tty-index:\s*(\d+)$/m.exec(fdinfo)?.[1] ?? '';
  const fd = openSync(`/dev/pts/${number}`, O_RDWR | O_NOCTTY);
  let shown = '';
  const window = new ReadStream(master);
  window.setEncoding('utf8').on('data', (text: string) => (shown += text));
  // EIO: the last process on it has closed it
  window.on('error', () => undefined);
  t.teardown(() => {
    window.destroy();
    closeSync(fd);
  });
  return {
    fd,
    shown: () => shown,
    press: (key) => void writeSync(master, key),
    vanish: () => void window.destroy(),
  };
}
