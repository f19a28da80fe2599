/**
 * The newest samples of a history log as an exposition: what `/metrics/packets?last=` answers. Read
 * from the end of the file, so that it costs the same however long the log is: 1,000 packets in
 * 20 ms.
 */
import { isUtf8 } from 'node:buffer';
import { lstat } from 'node:fs/promises';
import { basename } from 'node:path';
import { NetwatchError } from '../failure.js';
import { familyHeader } from '../metrics/exposition.js';
import { familiesIn, familyOf, type FamilyName, type HistoryLog } from '../metrics/families.js';
import { checkTime, ExpositionError, parseSample, seriesKey } from '../metrics/sample.js';
import { errnoOf } from '../sinks/errors.js';
import { logFilesOldestFirst } from '../sinks/log-names.js';
import { linesBackwards } from './backwards.js';

export type TailedLog = HistoryLog;

/** More than anybody reads; a larger `last` counts as this. */
export const MOST_TAIL_SAMPLES = 10_000;
/** Of lines, good and bad: then it ends, with what was found until there. */
const MOST_BYTES = 64 << 20;
/** Rotations that may disturb one reading. */
const ATTEMPTS = 5;
const HASH = 0x23;

/**
 * The newest `last` samples of the log. Of err.log with their times, as when something went wrong is
 * half of what it says. Of the others without, and of several of one series only the newest: a
 * scraper takes them for the state of now. Lines that are torn or broken do not count. Empty if there
 * is no log. Throws NetwatchError if it is closed to us.
 */
export async function tailExposition(
  directory: string,
  log: TailedLog,
  last: number,
): Promise<Buffer> {
  const wanted = Math.min(last, MOST_TAIL_SAMPLES);
  let files = await filesNewestFirst(directory, log);
  for (let attempt = 1; ; attempt++) {
    const tail = await readTail(log, wanted, files);
    const now = await filesNewestFirst(directory, log);
    // A rotation renames all files: what was read may be double, or lack a piece.
    if (attempt === ATTEMPTS || isSame(files, now)) return tail.text();
    files = now;
  }
}

/** A file of a log. */
export interface LogFile {
  readonly path: string;
  readonly identity: string;
}

export async function filesNewestFirst(
  directory: string,
  log: TailedLog,
): Promise<readonly LogFile[]> {
  const listed = await logFilesOldestFirst(directory, `${log}.log`);
  if (!listed.ok) return [];
  const files: LogFile[] = [];
  for (const path of listed.value.toReversed()) {
    const stat = await orNull(lstat(path));
    if (stat !== null) files.push({ path, identity: `${path} ${stat.dev} ${stat.ino}` });
  }
  return files;
}

function isSame(a: readonly LogFile[], b: readonly LogFile[]): boolean {
  return a.length === b.length && a.every(({ identity }, i) => identity === b[i]!.identity);
}

async function readTail(log: TailedLog, wanted: number, files: readonly LogFile[]): Promise<Tail> {
  const tail = new Tail(log, wanted);
  for (const { path } of files) {
    if (tail.isFull) break;
    await readBackwards(path, tail);
  }
  return tail;
}

/** Who is given the lines of a file, the last one first, until it has enough. */
export interface LineTaker {
  readonly isFull: boolean;
  add(line: Buffer): void;
}

/** A file that is gone has no lines. Throws NetwatchError if it is closed to us. */
export async function readBackwards(path: string, taker: LineTaker): Promise<void> {
  await orNull(readFile(path, taker));
}

async function readFile(path: string, taker: LineTaker): Promise<void> {
  try {
    for await (const lines of linesBackwards(path)) {
      for (const line of lines) {
        taker.add(line);
        if (taker.isFull) return;
      }
    }
  } catch (thrown) {
    // An empty answer would say that nothing happened.
    if (errnoOf(thrown) === 'EACCES') throw closedToUs(path);
    throw thrown;
  }
}

const closedToUs = (path: string): NetwatchError =>
  new NetwatchError({
    code: 'environment',
    message: `${basename(path)} cannot be read: EACCES`,
    next: 'make it readable for the group of its directory, or start netwatch serve again',
  });

/** A file that is gone has nothing to show. */
async function orNull<T>(action: Promise<T>): Promise<T | null> {
  try {
    return await action;
  } catch (thrown) {
    if (errnoOf(thrown) === null) throw thrown;
    return null;
  }
}

/** What was found so far, newest first. */
class Tail implements LineTaker {
  readonly #families: ReadonlyMap<string, string[]>;
  readonly #keepsTime: boolean;
  readonly #series = new Set<string>();
  #room: number;
  #bytes = 0;

  constructor(log: TailedLog, room: number) {
    this.#families = new Map(familiesIn(log).map((name) => [name, []]));
    this.#keepsTime = log === 'err';
    this.#room = room;
  }

  get isFull(): boolean {
    return this.#room <= 0 || this.#bytes >= MOST_BYTES;
  }

  add(line: Buffer): void {
    this.#bytes += line.length;
    if (line.length === 0 || line[0] === HASH || !isUtf8(line)) return;
    try {
      this.#addSample(line.toString());
    } catch (error) {
      if (!(error instanceof ExpositionError)) throw error;
    }
  }

  text(): Buffer {
    let text = '';
    for (const [name, lines] of this.#families) {
      if (lines.length > 0) text += familyHeader(name as FamilyName) + lines.toReversed().join('');
    }
    return Buffer.from(text);
  }

  #addSample(line: string): void {
    const { name, labels, timestampMs, value } = parseSample(line);
    checkTime(timestampMs);
    const lines = this.#families.get(name);
    if (lines === undefined) return;
    // Torn just so that it still looks like a sample, of another value or another series.
    if (familyOf(name as FamilyName).type === 'counter' && !(value >= 0)) return;
    this.#room--;
    const series = seriesKey(name, labels);
    const key = this.#keepsTime ? `${series} ${timestampMs}` : series;
    if (this.#series.has(key)) return;
    this.#series.add(key);
    lines.push(`${this.#keepsTime ? line : line.slice(0, line.lastIndexOf(' '))}\n`);
  }
}
