/** The load generator (load.c): compiled here, run inside the lab's namespace on one CPU. */
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE, ended, stop } from './lab.mjs';

const SOURCE = join(import.meta.dirname, 'load.c');
const PROGRAM = join(CACHE, 'load');
const READY_MS = 15_000;

export const PORT = 41_217;

/** @param {string} made @param {readonly string[]} from */
export function isNewer(made, from) {
  const time = (/** @type {string} */ path) =>
    statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return from.every((path) => time(made) > time(path));
}

function compile() {
  if (isNewer(PROGRAM, [SOURCE])) return;
  execFileSync(process.env.CC ?? 'cc', ['-O2', '-Wall', '-o', PROGRAM, SOURCE], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
}

/** Resolves when the program has written `word`. */
function said(
  /** @type {import('node:child_process').ChildProcess} */ child,
  /** @type {string} */ word,
) {
  return new Promise((resolve, reject) => {
    let text = '';
    const timer = setTimeout(() => reject(new Error(`the load is not ${word}`)), READY_MS);
    child.once('exit', (code) => reject(new Error(`the load ended (${code}): ${text}`)));
    child.stderr?.on('data', (data) => (text += data));
    child.stdout?.on('data', (data) => {
      text += data;
      if (!text.includes(`${word}\n`)) return;
      clearTimeout(timer);
      resolve(undefined);
    });
  });
}

/**
 * @typedef {object} LoadOptions
 * @property {number} seconds ends at the latest then
 * @property {number} [rate] per second; as fast as it goes without
 * @property {number} [count] in all
 */

/**
 * Starts a load and returns when it runs (`hold`: when all connections are open).
 * @param {import('./lab.mjs').Lab} lab
 * @param {'rr' | 'bulk' | 'churn' | 'hold'} kind
 * @param {LoadOptions} options
 */
export async function startLoad(lab, kind, { seconds, rate = 0, count = 0 }) {
  compile();
  const file = join(lab.folder, 'counter');
  const args = [kind, PORT, seconds, rate, count, file].map(String);
  const child = lab.startInside('taskset', ['-c', String(lab.loadCpu), PROGRAM, ...args]);
  let output = '';
  child.stdout?.on('data', (data) => (output += data));
  await said(child, kind === 'hold' ? 'held' : 'ready');
  const counterFd = openSync(file, 'r');
  const bytes = Buffer.alloc(8);
  return {
    /** How far it is: round trips, bytes or connections. */
    counter: () => {
      readSync(counterFd, bytes, 0, 8, 0);
      return Number(bytes.readBigUInt64LE());
    },
    stop: async () => {
      await stop(child, 'SIGTERM');
      closeSync(counterFd);
    },
    /** Waits for the end; what was done in how long. */
    finish: async () => {
      await ended(child);
      closeSync(counterFd);
      const [, done, ns] = /done (\d+) (\d+)/.exec(output) ?? [];
      if (done === undefined) throw new Error(`the load ended early: ${output}`);
      return { count: Number(done), seconds: Number(ns) / 1e9 };
    },
  };
}

/**
 * Runs a load to its end.
 * @param {import('./lab.mjs').Lab} lab
 * @param {'rr' | 'churn'} kind
 * @param {LoadOptions} options
 */
export async function runLoad(lab, kind, options) {
  const load = await startLoad(lab, kind, options);
  return load.finish();
}
