/** What became of the records: read, written, lost on the way. */
import type { Part } from '../../metrics/snapshot.js';
import type { RotatingLogStats } from '../../sinks/rotating.js';

/** What this file writes. */
type Writes = Part<
  | 'netwatch_records_accepted_total'
  | 'netwatch_records_written_total'
  | 'netwatch_file_write_errors_total'
  | 'netwatch_events_lost_total'
  | 'netwatch_last_event_timestamp_seconds'
  | 'netwatch_collection_interval_seconds'
>;

/** Readings of the collector's way from the rings to the files. */
export interface IntakeReading {
  readonly intervalSeconds: number;
  /** When the last record was read, in ms since 1970; 0 = none yet. */
  readonly lastEventMs: number;
  /** Records that a bug kept from becoming a line. */
  readonly undecoded: number;
  /** Rows that the reader of standard output was too slow for; null with --quiet. */
  readonly droppedRows: number | null;
}

export function addIntake(
  snapshot: Writes,
  { intervalSeconds, lastEventMs, undecoded, droppedRows }: IntakeReading,
): void {
  snapshot.add('netwatch_collection_interval_seconds', {}, intervalSeconds);
  snapshot.add('netwatch_last_event_timestamp_seconds', {}, lastEventMs / 1000);
  snapshot.add('netwatch_events_lost_total', { source: 'packet', stage: 'decode' }, undecoded);
  if (droppedRows !== null)
    snapshot.add('netwatch_events_lost_total', { source: 'stdout', stage: 'queue' }, droppedRows);
}

export function addFiles(snapshot: Writes, files: ReadonlyMap<string, RotatingLogStats>): void {
  for (const [file, stats] of files) {
    snapshot.add('netwatch_records_accepted_total', { file }, stats.accepted);
    snapshot.add('netwatch_records_written_total', { file }, stats.written);
    snapshot.add('netwatch_events_lost_total', { source: file, stage: 'file' }, stats.lost);
    for (const [errno, count] of stats.writeErrors)
      snapshot.add('netwatch_file_write_errors_total', { file, errno }, count);
  }
}

/** `errors`: failed writes of the state file itself, by error name. */
export function addStateErrors(
  snapshot: Writes,
  file: string,
  errors: ReadonlyMap<string, number>,
): void {
  for (const [errno, count] of errors)
    snapshot.add('netwatch_file_write_errors_total', { file, errno }, count);
}
