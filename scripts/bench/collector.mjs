/** netwatch as a child, watching the lab's namespace only. */
import { mkdtempSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, stop } from './lab.mjs';

const PROGRAM = join(ROOT, 'build', 'main.js');
const READY_MS = 15_000;

/** What `make run` asks for. */
export const EVERYTHING = ['-x', '-r', '-t', '-i', '-e'];

/** The command line of a quiet collector on the lab's namespace. */
export function commandLine(
  /** @type {import('./lab.mjs').Lab} */ lab,
  /** @type {string} */ data,
  /** @type {readonly string[]} */ args,
) {
  return [PROGRAM, '--netns', lab.name, '--data', data, '--quiet', ...args];
}

/** Sum of the samples of a family whose labels contain all of `labels`. */
function sumOf(
  /** @type {string} */ text,
  /** @type {string} */ family,
  /** @type {string[]} */ labels,
) {
  const values = text
    .split('\n')
    .filter(
      (line) => line.startsWith(`${family}{`) && labels.every((label) => line.includes(label)),
    )
    .map((line) => Number(line.slice(line.lastIndexOf(' '))));
  if (values.length === 0) throw new Error(`netwatch.prom has no ${family} with ${labels.join()}`);
  return values.reduce((sum, value) => sum + value, 0);
}

/**
 * Starts netwatch and returns at its ready line.
 * @param {import('./lab.mjs').Lab} lab
 * @param {readonly string[]} args
 */
export async function startCollector(lab, args) {
  const data = mkdtempSync(join(lab.folder, 'netwatch-'));
  const child = lab.start(process.execPath, commandLine(lab, data, args));
  let errors = '';
  await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`netwatch is not ready: ${errors}`)), READY_MS);
    child.once('exit', (code) => reject(new Error(`netwatch ended (${code}): ${errors}`)));
    child.stderr?.on('data', (text) => {
      errors += text;
      if (!/^netwatch: ready/m.test(errors)) return;
      clearTimeout(timer);
      resolve(undefined);
    });
  });
  return {
    pid: child.pid ?? 0,
    data,
    /** Ends it in order; what its last netwatch.prom says about packets, and its summary. */
    stop: async () => {
      await stop(child);
      if (child.exitCode !== 0) throw new Error(`netwatch ended badly: ${errors}`);
      const prom = readFileSync(join(data, 'netwatch.prom'), 'utf8');
      const lost = (/** @type {string} */ source, /** @type {string} */ stage) =>
        sumOf(prom, 'netwatch_events_lost_total', [`source="${source}"`, `stage="${stage}"`]);
      const file = ['file="packets.log"'];
      return {
        accepted: sumOf(prom, 'netwatch_records_accepted_total', file),
        written: sumOf(prom, 'netwatch_records_written_total', file),
        lostInRing: lost('packet', 'ringbuf'),
        lostInFile: lost('packets.log', 'file'),
        /** Lines of connects.log that never got there. */
        lostLines: lost('connects.log', 'file'),
        closed: Number(/(\d+) connections closed/.exec(errors)?.[1] ?? NaN),
      };
    },
  };
}
