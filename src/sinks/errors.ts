/**
 * What can go wrong when a sink touches the disk, as values: a sink never throws at the code that
 * feeds it.
 */

import { Refusal, UnsuitableDirectory } from './refusal.js';

/**
 * Why a sink could not do its work. `errno` is the kernel's symbolic name, for example `ENOSPC`.
 */
export type SinkError =
  | {
      readonly code: 'io';
      /** What was being done, as a verb phrase: "write", "open", "rotate". */
      readonly operation: string;
      readonly path: string;
      readonly errno: string;
    }
  /** Something is there that others may have put there; `reason` goes on after the path. */
  | { readonly code: 'refused'; readonly path: string; readonly reason: string }
  | { readonly code: 'unsuitable-directory'; readonly path: string; readonly fileSystem: string }
  | { readonly code: 'already-running'; readonly pid: number; readonly directory: string };

/** Success with a value, or the reason there is none. */
export type Result<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: SinkError };

/** Wraps a value as a success. */
export function success<T>(value: T): Result<T> {
  return { ok: true, value };
}

/** Wraps a reason as a failure. */
export function failure(error: SinkError): { readonly ok: false; readonly error: SinkError } {
  return { ok: false, error };
}

/**
 * The system's error name inside a thrown value (`ENOSPC`, …), or null when it is not a system
 * error.
 */
export function errnoOf(thrown: unknown): string | null {
  if (typeof thrown !== 'object' || thrown === null || !('code' in thrown)) return null;
  return typeof thrown.code === 'string' ? thrown.code : null;
}

/** Whether it says that nobody reads the other end of a pipe any more, which is no error. */
export function isReaderGone(errno: string | null): boolean {
  // ERR_STREAM_DESTROYED: a write that was already under way when the pipe broke.
  return errno === 'EPIPE' || errno === 'ERR_STREAM_DESTROYED' || errno === 'ECONNRESET';
}

/**
 * Runs one file operation and turns a system error into a value.
 * Anything that is not a system error is a bug in netwatch and is thrown on, with its stack.
 */
export async function attempt<T>(
  operation: string,
  path: string,
  action: () => Promise<T>,
): Promise<Result<T>> {
  try {
    return success(await action());
  } catch (thrown) {
    const known = knownError(thrown);
    if (known !== null) return failure(known);
    const errno = errnoOf(thrown);
    if (errno === null) throw thrown;
    return failure({ code: 'io', operation, path, errno });
  }
}

/** What the directory itself has found out. */
function knownError(thrown: unknown): SinkError | null {
  if (thrown instanceof Refusal) {
    const { path, reason } = thrown;
    return { code: 'refused', path, reason };
  }
  if (thrown instanceof UnsuitableDirectory) {
    const { path, fileSystem } = thrown;
    return { code: 'unsuitable-directory', path, fileSystem };
  }
  return null;
}

/** The short name under which an error is counted in metrics. */
export function errorName(error: SinkError): string {
  if (error.code === 'refused') return 'EPERM';
  return error.code === 'io' ? error.errno : error.code;
}

/** One sentence for the user: what failed and where. */
export function explainSinkError(error: SinkError): string {
  switch (error.code) {
    case 'io':
      return `cannot ${error.operation} ${error.path}: ${error.errno}`;
    case 'refused':
      return `cannot use ${error.path}: it ${error.reason}`;
    case 'unsuitable-directory':
      return `${error.path} is on a ${error.fileSystem} file system, which holds no ordinary files; choose another directory`;
    case 'already-running':
      return `another netwatch (pid ${error.pid}) already writes to ${error.directory}; stop it or choose another directory`;
    default:
      return error satisfies never;
  }
}
