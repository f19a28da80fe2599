/** A small disk of its own for a test: can be full, and can grow. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { temporaryFolder } from './collector.js';
import type { Teardown } from './netns.js';

export interface Disk {
  readonly folder: string;
  resize(bytes: number): void;
  setReadOnly(on: boolean): void;
}

/** Mounts a tmpfs until the end of the test, also if that is killed. */
export function mountDisk(t: Teardown, bytes: number): Disk {
  const folder = temporaryFolder(t);
  const mount = (...options: string[]): void =>
    void execFileSync('mount', ['-t', 'tmpfs', '-o', options.join(','), 'netwatch-test', folder]);
  mount(`size=${bytes}`, 'mode=0750');
  // Waits for the end of its standard input, which comes with the end of this process at the latest.
  const guard = spawn('sh', ['-c', 'read -r _; umount -l "$1"', 'sh', folder], {
    stdio: ['pipe', 'ignore', 'inherit'],
    detached: true,
  });
  t.teardown(async () => {
    guard.stdin.end();
    await once(guard, 'exit');
  });
  return {
    folder,
    resize: (size) => mount('remount', `size=${size}`),
    setReadOnly: (on) => mount('remount', on ? 'ro' : 'rw'),
  };
}
