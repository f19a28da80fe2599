/** The export from arguments to the last line of its report. */
import type { Writable } from 'node:stream';
import { clip, safeValue } from '../metrics/text.js';
import { findLogs } from './inputs.js';
import { loadLogs } from './load.js';
import type { LoadReport, Span } from './load.js';
import { emptyWriteReport, openMetrics } from './openmetrics.js';
import type { WriteReport } from './openmetrics.js';
import { writeToFile, writeToStream } from './output.js';
import { SampleTable } from './table.js';

export interface ExportRequest extends Span {
  readonly logs: readonly string[];
  /** Null: standard output. */
  readonly out: string | null;
}

export interface ExportStreams {
  readonly stdout: Writable;
  readonly stderr: {
    readonly write: (text: string) => unknown;
    readonly isTTY?: boolean;
  };
}

const PROGRESS_EVERY_MS = 200;
/** Of a line of the report that quotes a file. */
const LONGEST = 300;
const COMPLAINT = '\n  ';

export async function runExport(request: ExportRequest, streams: ExportStreams): Promise<void> {
  const inputs = await findLogs(request.logs);
  const total = inputs.reduce((sum, { bytes }) => sum + bytes, 0);
  const table = new SampleTable();
  const progress = progressLine(streams.stderr, total);
  const loaded = await loadLogs(inputs, table, request, progress.update);
  progress.clear();
  const written = emptyWriteReport();
  const pieces = openMetrics(table, written);
  if (request.out === null) await writeToStream(streams.stdout, pieces);
  else await writeToFile(request.out, pieces);
  streams.stderr.write(`${describe(inputs.length, loaded, written)}\n`);
}

/** Shown only to a person: nothing unless the stream is a terminal. */
function progressLine(
  stderr: ExportStreams['stderr'],
  totalBytes: number,
): { update: (bytes: number) => void; clear: () => void } {
  if (stderr.isTTY !== true) return { update: () => undefined, clear: () => undefined };
  let next = 0;
  return {
    update: (bytes) => {
      if (performance.now() < next) return;
      next = performance.now() + PROGRESS_EVERY_MS;
      const percent = totalBytes === 0 ? 100 : Math.floor((100 * bytes) / totalBytes);
      stderr.write(`\rreading ${(bytes / 1e6).toFixed(0)} MB, ${percent} % `);
    },
    clear: () => void stderr.write('\r\x1b[K'),
  };
}

/** What happened, for a person: nothing that was left out goes unsaid. */
function describe(files: number, loaded: LoadReport, written: WriteReport): string {
  const parts = [summary(files, written)];
  if (loaded.badLines > 0) {
    const more = loaded.badLines - loaded.examples.length;
    const rest = more > 0 ? [`and ${more.toLocaleString('en-US')} more`] : [];
    parts.push(`left out ${count(loaded.badLines, 'line')} that could not be read:`);
    // They quote the files: not everything in there is meant for a terminal.
    parts.push(
      ...[...loaded.examples, ...rest].map((line) => `  ${safeValue(clip(line, LONGEST))}`),
    );
  }
  for (const cut of loaded.cutFiles) parts.push(`damaged, read up to the damage: ${cut}`);
  if (written.doubles > 0) {
    parts.push(
      `left out ${count(written.doubles, 'sample')} of a series and millisecond that has a later one` +
        ` (${written.differing} with another value)`,
    );
  }
  if (loaded.outside > 0) {
    parts.push(`left out ${count(loaded.outside, 'sample')} outside --since and --until`);
  }
  return parts.join(COMPLAINT);
}

function summary(
  files: number,
  { samples, series, families, firstMs, lastMs }: WriteReport,
): string {
  const what = `netwatch: ${count(samples, 'sample')} of ${count(series, 'series', 'series')}`;
  const from = `in ${count(families, 'family', 'families')} from ${count(files, 'file')}`;
  if (samples === 0) return `${what} ${from}`;
  return `${what} ${from}, ${new Date(firstMs).toISOString()} to ${new Date(lastMs).toISOString()}`;
}

function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString('en-US')} ${n === 1 ? one : many}`;
}
