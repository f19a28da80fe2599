/** What a file of bench/rows is, and running it so that no failure goes unseen. */
import { performance } from 'node:perf_hooks';
import { ROW_IDS, type RowId } from './bar.js';
import type { Lab } from './lab.js';
import { isMeasured, number, verdict, type Row } from './table.js';

export interface RowModule {
  /** Every row that `measure` can give. */
  readonly ids: readonly RowId[];
  /** Measures the rows that are wanted; others may come along. */
  measure(lab: Lab, wanted: ReadonlySet<RowId>): Promise<readonly Row[]>;
}

type Progress = (text: string) => void;

const failed = (ids: readonly RowId[], detail: string): Row[] =>
  ids.map((id) => ({ id, value: null, detail }));

/** A row for each id: one that is missing, or has no number, is there and says so. */
async function rowsOf(
  module: RowModule,
  ids: readonly RowId[],
  lab: Lab,
  progress: Progress,
): Promise<Row[]> {
  try {
    const rows = await module.measure(lab, new Set(ids));
    return ids.flatMap((id) => rows.find((row) => row.id === id) ?? failed([id], 'there was none'));
  } catch (error) {
    const { stack = '', message } = error instanceof Error ? error : new Error(String(error));
    progress(stack);
    lab.killChildren();
    return failed(ids, message);
  }
}

/** What one file measures of what is wanted; a failure becomes rows that say so. */
export async function run(
  module: RowModule,
  lab: Lab,
  wanted: ReadonlySet<RowId>,
  progress: Progress,
): Promise<Row[]> {
  const ids = module.ids.filter((id) => wanted.has(id));
  if (ids.length === 0) return [];
  const start = performance.now();
  progress(`${ids.join(', ')} …`);
  const rows = await rowsOf(module, ids, lab, progress);
  const took = ((performance.now() - start) / 1000).toFixed(0);
  const short = rows.map((row) =>
    `${row.id} ${number(row.value ?? NaN)} ${verdict(row, lab.isSmoke)}`.trim(),
  );
  progress(`  ${short.join(' · ')} (${took} s)`);
  return rows;
}

/** What became of the rows that were wanted. */
export interface Outcome {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** A line for each row that was not measured. */
  readonly notes: readonly string[];
}

/**
 * Each row that was wanted is one test: passed if it was measured, whatever the number; skipped if it
 * compares with a program of others that does not run here; else failed.
 */
export function outcome(wanted: ReadonlySet<RowId>, rows: readonly Row[]): Outcome {
  const all = ROW_IDS.filter((id) => wanted.has(id)).map(
    (id): Row => rows.find((row) => row.id === id) ?? { id, value: null, detail: 'there was none' },
  );
  const missing = all.filter((row) => !isMeasured(row));
  const skipped = missing.filter(({ absent }) => absent !== undefined);
  const note = ({ id, absent, detail }: Row): string =>
    `${absent === undefined ? 'FAILED' : 'skipped'}: ${id} was not measured (${detail})`;
  return {
    passed: all.length - missing.length,
    failed: missing.length - skipped.length,
    skipped: skipped.length,
    notes: missing.map(note),
  };
}
