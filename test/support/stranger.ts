/**
 * Another user of the machine who swaps names in a directory of theirs, at exactly the moment that a
 * test wants: just before any one of the file operations of this process.
 */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

/** The user `nobody`. */
export const STRANGER = 65534;

/** Runs shell commands as that user, whatever comes of them. */
export function asStranger(script: string): void {
  const user = [`--reuid=${STRANGER}`, `--regid=${STRANGER}`, '--clear-groups'];
  execFileSync('setpriv', [...user, 'sh', '-c', `{ ${script}\n} 2> /dev/null || :`]);
}

type Operation = (...args: unknown[]) => unknown;
type Operations = Record<string, Operation>;

const ASYNC = [
  'open',
  'lstat',
  'stat',
  'rename',
  'unlink',
  'rmdir',
  'readdir',
  'readlink',
  'statfs',
];
/** Of node:fs: by the package, and where no other turn may come between. */
const SYNC = ['mkdirSync', 'access'];

/**
 * Runs `work` with `act` called just before the file operation number `moment`, counted from 0.
 * @returns how many operations there were: beyond the last one `act` was not called
 */
export async function interrupted(
  moment: number,
  act: () => void,
  work: () => Promise<void>,
): Promise<number> {
  let operations = 0;
  const restore: (() => void)[] = [];
  const intercept = (module: Operations, name: string): void => {
    const original = module[name];
    if (original === undefined) throw new Error(`there is no ${name}`);
    module[name] = (...args) => {
      if (operations++ === moment) act();
      return original(...args);
    };
    restore.push(() => (module[name] = original));
  };
  for (const name of ASYNC) intercept(promises as unknown as Operations, name);
  for (const name of SYNC) intercept(fs as unknown as Operations, name);
  syncBuiltinESMExports();
  try {
    await work();
  } finally {
    for (const undo of restore) undo();
    syncBuiltinESMExports();
  }
  return operations;
}
