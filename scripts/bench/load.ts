/** The load generator (load.c): compiled here, run inside the lab's namespace on one CPU. */
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ended, listenTo, stop } from './child.js';
import { CACHE, type Lab } from './lab.js';

const SOURCE = join(import.meta.dirname, 'load.c');
const PROGRAM = join(CACHE, 'load');

export const PORT = 41_217;

/** Whether a file is there and newer than its source. */
function isNewer(made: string, source: string): boolean {
  const time = (path: string): number => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return time(made) > time(source);
}

function compile(): void {
  if (isNewer(PROGRAM, SOURCE)) return;
  execFileSync(process.env['CC'] ?? 'cc', ['-O2', '-Wall', '-o', PROGRAM, SOURCE], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
}

export interface LoadOptions {
  /** Ends at the latest then. */
  readonly seconds: number;
  /** Per second; as fast as it goes without. */
  readonly rate?: number;
  /** In all. */
  readonly count?: number;
}

/** What a load came to. */
export interface Done {
  readonly count: number;
  readonly seconds: number;
}

export interface Load {
  /** How far it is: round trips, bytes or connections. */
  counter(): number;
  stop(): Promise<void>;
  /** Waits for the end; what was done in how long. */
  finish(): Promise<Done>;
}

/** Starts a load and returns when it runs (`hold`: when all connections are open). */
export async function startLoad(
  lab: Lab,
  kind: 'rr' | 'bulk' | 'churn' | 'hold' | 'http',
  { seconds, rate = 0, count = 0 }: LoadOptions,
): Promise<Load> {
  compile();
  const file = join(lab.folder, 'counter');
  const args = [kind, PORT, seconds, rate, count, file].map(String);
  const child = lab.startInside('taskset', ['-c', String(lab.loadCpu), PROGRAM, ...args]);
  const words = listenTo(child, 'the load', [child.stdout, child.stderr]);
  await words.heard(kind === 'hold' ? /^held$/m : /^ready$/m);
  const counterFd = openSync(file, 'r');
  const bytes = Buffer.alloc(8);
  return {
    counter: () => {
      readSync(counterFd, bytes, 0, 8, 0);
      return Number(bytes.readBigUInt64LE());
    },
    stop: async () => {
      await stop(child, 'SIGTERM');
      closeSync(counterFd);
    },
    finish: async () => {
      await words.heard(/^done .*$/m);
      await ended(child);
      closeSync(counterFd);
      const [, done, ns] = /^done (\d+) (\d+)$/m.exec(words.text()) ?? [];
      return { count: Number(done), seconds: Number(ns) / 1e9 };
    },
  };
}

/** Runs a load to its end. */
export async function runLoad(
  lab: Lab,
  kind: 'rr' | 'churn' | 'http',
  options: LoadOptions,
): Promise<Done> {
  const load = await startLoad(lab, kind, options);
  return load.finish();
}
