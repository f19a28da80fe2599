/**
 * Reads logs into the table line by line: what is not a sample of the history is counted and left
 * out.
 */
import { dirname, join } from 'node:path';
import { getHeapStatistics } from 'node:v8';
import {
  checkTime,
  parseComment,
  parseSample,
  parseTimestamp,
  parseValue,
  ExpositionError,
} from '../metrics/sample.js';
import { NetwatchError } from '../failure.js';
import type { LogInput } from './inputs.js';
import { readLines } from './read.js';
import type { SampleTable } from './table.js';

/** Which samples are wanted; both ends belong to the span. */
export interface Span {
  readonly sinceMs: number;
  readonly untilMs: number;
}

export interface LoadReport {
  badLines: number;
  /** The first few, `file:line: why`. */
  readonly examples: string[];
  /** Samples before `sinceMs` or after `untilMs`. */
  outside: number;
  /** Files that are damaged, `file: why`. */
  readonly cutFiles: string[];
}

const EXAMPLES = 5;
/** The rest is for the moment at which the table of series doubles. */
const HEAP_SHARE = 0.7;
const HISTOGRAM_PART = /_(?:bucket|sum|count)$/;

export async function loadLogs(
  inputs: readonly LogInput[],
  table: SampleTable,
  span: Span,
  onProgress: (bytesDone: number) => void,
): Promise<LoadReport> {
  const report: LoadReport = { badLines: 0, examples: [], outside: 0, cutFiles: [] };
  let before = 0;
  for (const input of inputs) {
    let isFirst = true;
    const bad = (why: string, number: number): void => {
      report.badLines++;
      if (report.examples.length < EXAMPLES)
        report.examples.push(`${input.path}:${number}: ${why}`);
    };
    await readLines(input, {
      line: (text, number) => {
        if (isFirst && isSample(text)) {
          isFirst = false;
          refuseSnapshot(text, input.path);
        }
        try {
          takeLine(text, table, span, report);
        } catch (error) {
          if (!(error instanceof ExpositionError)) throw error;
          bad(error.message, number);
        }
      },
      bad,
      cut: (why) => report.cutFiles.push(`${input.path}: ${why}`),
      progress: (bytesRead) => {
        checkMemory();
        onProgress(before + bytesRead);
      },
    });
    before += input.bytes;
  }
  return report;
}

const isSample = (line: string): boolean => line !== '' && !line.startsWith('#');

/** Throws NetwatchError if a file begins with a whole sample without a time, as state files do. */
function refuseSnapshot(line: string, path: string): void {
  try {
    if (parseSample(line).timestampMs !== null) return;
  } catch (error) {
    if (error instanceof ExpositionError) return;
    throw error;
  }
  throw new NetwatchError({
    code: 'usage',
    message: `${path} is no history: its samples have no timestamps`,
    next: `export the logs beside it, as ${join(dirname(path), 'connects.log')}; for what is now see netwatch serve -h`,
  });
}

/** Rather a sentence than the abort with which the engine ends when its heap is full. */
function checkMemory(): void {
  const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics();
  if (used < HEAP_SHARE * limit) return;
  throw new NetwatchError({
    code: 'environment',
    message: `the samples need more memory than the ${Math.round(limit / 1e6)} MB that Node.js may use`,
    next: 'export in parts with --since and --until, or raise it: NODE_OPTIONS=--max-old-space-size=8000',
  });
}

function takeLine(line: string, table: SampleTable, span: Span, report: LoadReport): void {
  if (line === '') return;
  if (line.startsWith('#')) {
    takeComment(line, table);
    return;
  }
  // The value and the time hold no brace: what is before the last one names the series.
  const brace = line.lastIndexOf('}');
  const nameEnd = brace < 0 ? line.indexOf(' ') : brace + 1;
  const tail = line.slice(nameEnd + 1).split(' ');
  const spelled = line[nameEnd] === ' ' && tail.length === 2 ? line.slice(0, nameEnd) : null;
  const series = spelled === null ? undefined : table.known(spelled);
  if (series !== undefined) {
    const value = parseValue(tail[0]!);
    const timeMs = checkTime(parseTimestamp(tail[1]!));
    if (isWithin(timeMs, span, report)) table.add(series, value, timeMs);
    return;
  }
  const sample = parseSample(line);
  const timeMs = checkTime(sample.timestampMs);
  // Asked first: a series without samples in the span takes no memory.
  if (!isWithin(timeMs, span, report)) return;
  table.add(table.series(sample, familyOf(sample.name, table), spelled), sample.value, timeMs);
}

function isWithin(timeMs: number, span: Span, report: LoadReport): boolean {
  if (timeMs >= span.sinceMs && timeMs <= span.untilMs) return true;
  report.outside++;
  return false;
}

function takeComment(line: string, table: SampleTable): void {
  const comment = parseComment(line);
  if (comment === null) return;
  const family = table.family(comment.name);
  if (comment.kind === 'HELP') family.help ??= comment.help;
  else if (family.type === null) family.type = comment.type;
  else if (family.type !== comment.type) {
    throw new ExpositionError(
      `${comment.name} was a ${family.type} before and is a ${comment.type} now`,
    );
  }
}

function familyOf(sample: string, table: SampleTable): string {
  const base = sample.replace(HISTOGRAM_PART, '');
  const type = base === sample ? undefined : table.families.get(base)?.type;
  return type === 'histogram' || type === 'summary' ? base : sample;
}
