/** Whether every record is accounted for: what the kernel saw, the logs hold and netwatch.prom says. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { Collector } from './collector.js';
import type { Namespace } from './netns.js';
import { countFrom } from './nstat.js';
import { total, type Sample } from './samples.js';

export const PROM = 'netwatch.prom';

/** Where the records of one log went, as netwatch.prom has it. */
export interface Account {
  /** Handed to the file: what came out of the ring. */
  readonly accepted: number;
  readonly written: number;
  readonly lostInFile: number;
  readonly lostInRing: number;
}

/** Of packets.log. */
export function packetAccount(samples: readonly Sample[]): Account {
  const file = { file: 'packets.log' };
  const lost = (source: string, stage: string): number =>
    total(samples, 'netwatch_events_lost_total', { source, stage });
  return {
    accepted: total(samples, 'netwatch_records_accepted_total', file),
    written: total(samples, 'netwatch_records_written_total', file),
    lostInFile: lost('packets.log', 'file'),
    lostInRing: lost('packet', 'ringbuf'),
  };
}

/**
 * Counts packets as netwatch does: what arrives at TCP and what leaves it. On `lo` every segment is
 * both. The function it gives says how many there were since.
 */
export async function countPackets(namespace: Namespace): Promise<() => Promise<number>> {
  const grown = await countFrom(namespace);
  return async () => {
    const { TcpInSegs, TcpOutSegs, TcpRetransSegs } = await grown();
    return TcpInSegs + TcpOutSegs + TcpRetransSegs;
  };
}

/** The files of one log, oldest first: `x.log.2.gz`, `x.log.1`, `x.log`. */
export function logFiles(folder: string, name: string): string[] {
  const index = (file: string): number => {
    const number = file.slice(name.length).replace('.gz', '').slice(1);
    return number === '' ? -1 : Number(number);
  };
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.startsWith(name))
    .map((entry) => entry.name)
    .filter((file) => /^(\.\d+(\.gz)?)?$/.test(file.slice(name.length)))
    .sort((a, b) => index(b) - index(a));
}

/** The text of one of them. */
export function logText(folder: string, file: string): string {
  const bytes = readFileSync(join(folder, file));
  return (file.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString();
}

/** The records of a log, of all its files, in order; throws at a torn line. */
export function logLines(folder: string, name: string): string[] {
  return logFiles(folder, name).flatMap((file) => {
    const text = logText(folder, file);
    // empty: a new file after a rotation on a full disk, where even its header found no room
    if (text !== '' && !text.endsWith('\n'))
      throw new Error(`${file} ends in a torn line: ${JSON.stringify(text.slice(-200))}`);
    return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  });
}

/** How many; much faster for millions of them. */
export function countLines(folder: string, name: string): number {
  return logFiles(folder, name)
    .map((file) => logText(folder, file).match(/^netwatch_/gm)?.length ?? 0)
    .reduce((sum, lines) => sum + lines, 0);
}

export interface Summary {
  readonly packets: number;
  readonly connections: number;
  /** In all rings. */
  readonly lost: number;
}

/** What the program says at its end. */
export function summaryOf(collector: Collector): Summary {
  const line = / s: (\d+) packets, (\d+) connections closed, .* (\d+) records lost$/m;
  const found = line.exec(collector.stderr());
  if (found === null) throw new Error(`no summary: ${collector.stderr()}`);
  const [packets = NaN, connections = NaN, lost = NaN] = found.slice(1).map(Number);
  return { packets, connections, lost };
}
