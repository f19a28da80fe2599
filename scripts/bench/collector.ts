/** netwatch as a child, watching the lab's namespace only. */
import { mkdtempSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FamilyName } from '../../src/metrics/families.js';
import { listenTo, stop } from './child.js';
import { LAUNCHER, NETWATCH, type Lab } from './lab.js';

/** What `make run` asks for. */
export const EVERYTHING = ['-x', '-r', '-t', '-i', '-e'];

/** The ready line of the collector. */
export const READY = /^netwatch: ready/m;

/** The command line of a quiet collector on the lab's namespace. */
export function commandLine(lab: Lab, data: string, args: readonly string[]): string[] {
  return [NETWATCH, '--netns', lab.name, '--data', data, '--quiet', ...args];
}

/** Sum of the samples of a family whose labels contain all of `labels`. */
function sumOf(text: string, family: FamilyName, labels: readonly string[]): number {
  const values = text
    .split('\n')
    .filter(
      (line) => line.startsWith(`${family}{`) && labels.every((label) => line.includes(label)),
    )
    .map((line) => Number(line.slice(line.lastIndexOf(' '))));
  if (values.length === 0) throw new Error(`netwatch.prom has no ${family} with ${labels.join()}`);
  return values.reduce((sum, value) => sum + value, 0);
}

/** Without `error_type`: those that have ended otherwise have one. */
function answeredIn(prom: string): number {
  return prom
    .split('\n')
    .filter((line) => /^http_(server|client)_request_duration_seconds_count\{/.test(line))
    .filter((line) => !line.includes('error_type='))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}

/** What a collector's last netwatch.prom says about packets, and its summary. */
export interface Books {
  readonly accepted: number;
  readonly written: number;
  readonly lostInRing: number;
  readonly lostInFile: number;
  /** Lines of connects.log that never got there. */
  readonly lostLines: number;
  /** HTTP requests that were answered, at either side. */
  readonly exchanges: number;
  /** Connections closed, NaN if the summary does not say so. */
  readonly closed: number;
}

export interface Collector {
  readonly pid: number;
  /** Ends it in order. */
  stop(): Promise<Books>;
}

/** Starts netwatch and returns at its ready line. */
export async function startCollector(lab: Lab, args: readonly string[]): Promise<Collector> {
  const data = mkdtempSync(join(lab.folder, 'netwatch-'));
  // Through the launcher, which gives Node.js its options.
  const child = lab.start(LAUNCHER, commandLine(lab, data, args).slice(1));
  const words = listenTo(child, 'netwatch', [child.stderr]);
  await words.heard(READY);
  return {
    pid: child.pid ?? 0,
    stop: async () => {
      await stop(child);
      if (child.exitCode !== 0) throw new Error(`netwatch ended badly: ${words.text()}`);
      const prom = readFileSync(join(data, 'netwatch.prom'), 'utf8');
      const lost = (source: string, stage: string): number =>
        sumOf(prom, 'netwatch_events_lost_total', [`source="${source}"`, `stage="${stage}"`]);
      const file = ['file="packets.log"'];
      return {
        accepted: sumOf(prom, 'netwatch_records_accepted_total', file),
        written: sumOf(prom, 'netwatch_records_written_total', file),
        lostInRing: lost('packet', 'ringbuf'),
        lostInFile: lost('packets.log', 'file'),
        lostLines: lost('connects.log', 'file'),
        exchanges: answeredIn(prom),
        closed: Number(/(\d+) connections closed/.exec(words.text())?.[1] ?? NaN),
      };
    },
  };
}
