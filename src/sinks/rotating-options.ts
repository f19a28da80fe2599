/** Options, limits and counters of a rotating log. */
import type { OpenFile } from './log-file.js';

/** How a rotating log is set up. */
export interface RotatingLogOptions {
  readonly directory: string;
  /** A plain file name such as `packets.log`. */
  readonly name: string;
  /** The lines every file starts with (`# HELP`, `# TYPE`), each ended by a newline. */
  readonly header: string;
  /** A file is rotated before the record that would make it longer than this many bytes. */
  readonly rotateBytes: number;
  /**
   * A file is also rotated when a new interval begins (counted from 1970, UTC); null: by size only.
   */
  readonly rotateIntervalSeconds: number | null;
  /** Rotated files kept (`.1` is the newest); at least 1. */
  readonly keepFiles: number;
  /** Bytes all files of this log may take together, the current one included: never exceeded. */
  readonly keepBytes: number;
  /** Compress rotated files (`.1.gz` …). */
  readonly gzip: boolean;
  /** Memory in bytes for records that wait for the disk; more are dropped and counted. */
  readonly maxBufferedBytes: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Receives one-sentence warnings, at most one per 30 s. */
  readonly log: (sentence: string) => void;
  /**
   * Milliseconds between two looks at whether the file is still the one under its name; 1,000 if
   * left out.
   */
  readonly checkMs?: number;
  /** How files are opened; for tests with a misbehaving disk. */
  readonly openFile?: OpenFile;
}

/**
 * Counters since the log was opened, in records (one record is one line). accepted = written + lost
 * + pending.
 */
export interface RotatingLogStats {
  /** Given to `write()`. */
  readonly accepted: number;
  /** Complete in a file, as far as the kernel told. */
  readonly written: number;
  /** Dropped: memory or disk cap reached, or not written when the log was closed. */
  readonly lost: number;
  /** On their way; 0 after `close()`. */
  readonly pending: number;
  /** Bytes of the written records, headers not included. */
  readonly bytesWritten: number;
  readonly rotations: number;
  /** Failed operations by error name: `ENOSPC`, `EACCES`, …; `EDQUOT` is our own disk cap. */
  readonly writeErrors: ReadonlyMap<string, number>;
  /** True from a failure until the file is open again. */
  readonly down: boolean;
}

/**
 * Files of a log that `keepBytes` has to hold at a time: the current one, the one just rotated and,
 * with gzip, its compressed copy, which can be a little larger (3.01).
 */
const filesAtATime = (gzip: boolean): number => (gzip ? 3.01 : 2);

/**
 * The size at which files are really rotated: small enough that under `keepBytes` there is room for
 * all files at a time. Otherwise the cap could only be held by dropping records.
 */
export function effectiveRotateBytes(
  options: Pick<RotatingLogOptions, 'rotateBytes' | 'keepBytes' | 'gzip'>,
): number {
  const most = Math.floor(options.keepBytes / filesAtATime(options.gzip));
  return Math.max(1, Math.min(options.rotateBytes, most));
}

/** The smallest `keepBytes` with which files hold more than their header. */
export function leastKeepBytes({
  header,
  gzip,
}: Pick<RotatingLogOptions, 'header' | 'gzip'>): number {
  return Math.ceil((Buffer.byteLength(header) + 1) * filesAtATime(gzip));
}
