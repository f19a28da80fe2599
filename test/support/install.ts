/** The program installed below a temporary folder, readable for every user. */
import { execFileSync } from 'node:child_process';
import { chmodSync, lstatSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { temporaryFolder } from './collector.js';
import type { Teardown } from './netns.js';

const ROOT = resolve(import.meta.dirname, '../..');

export interface Installed {
  /** What DESTDIR was. */
  readonly folder: string;
  /** A path of the installed system, as `/usr/local/bin/netwatch`, where it lies now. */
  readonly path: (name: string) => string;
  /** For {@link CollectorOptions.program}. */
  readonly program: string;
}

/** Runs scripts/install with these variables; gives what it says. */
export function runInstall(env: NodeJS.ProcessEnv, ...args: readonly string[]): string {
  const own = { ...process.env, PREFIX: '', DESTDIR: '', ...env };
  return execFileSync('scripts/install', args, { cwd: ROOT, env: own, encoding: 'utf8' });
}

let documented = false;

/** Installs below DESTDIR, with man page and completions made anew if they are old. */
export function install(t: Teardown, env: NodeJS.ProcessEnv = {}): Installed {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o755);
  if (!documented)
    execFileSync('make', ['docs'], { cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] });
  documented = true;
  runInstall({ ...env, DESTDIR: folder });
  const path = (name: string): string => join(folder, name);
  return { folder, path, program: path('/usr/local/lib/netwatch/build/main.js') };
}

/** Everything below a folder, as paths from there; those of folders end in a slash. */
export function treeOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => `/${name}${lstatSync(join(folder, name)).isDirectory() ? '/' : ''}`)
    .sort();
}
