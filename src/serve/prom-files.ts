/**
 * The `*.prom` files of a directory, as node_exporter's textfile collector sees them: regular files
 * without a leading dot. All calls are synchronous: this runs in the worker, where nobody waits.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../sinks/errors.js';
import { STATE_FILE } from './staleness.js';

/** What tells one version of a file from another. */
export interface FileStamp {
  readonly name: string;
  readonly mtimeMs: number;
  readonly bytes: number;
  /** Equal for an unchanged file. */
  readonly identity: string;
}

export type Content =
  { readonly ok: true; readonly bytes: Buffer } | { readonly ok: false; readonly error: string };

/** A link is not followed, wherever it leads; a FIFO does not hold us up. */
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * The files in the order in which they are merged: netwatch.prom first, the others by name. A
 * directory that is missing or closed to us has none.
 */
export function stampFiles(directory: string): readonly FileStamp[] {
  const names = orNull(() => readdirSync(directory)) ?? [];
  const wanted = names.filter((name) => name.endsWith('.prom') && !name.startsWith('.'));
  const rank = (name: string): number => (name === STATE_FILE ? 0 : 1);
  wanted.sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  return wanted.flatMap((name) => {
    // Gone between the listing and the look: there is nothing to report.
    const found = orNull(() => lstatSync(join(directory, name), { bigint: true }));
    if (found === null) return [];
    const { dev, ino, size, mtimeNs, ctimeNs } = found;
    const identity = [dev, ino, size, mtimeNs, ctimeNs].join();
    return [{ name, mtimeMs: Number(found.mtimeMs), bytes: Number(size), identity }];
  });
}

/** Reads at most `limitBytes`; the error is one sentence without its end. */
export function readContent(directory: string, name: string, limitBytes: number): Content {
  try {
    const fd = openSync(join(directory, name), FLAGS);
    try {
      const stat = fstatSync(fd);
      if (!stat.isFile()) return { ok: false, error: 'it is not a regular file' };
      if (stat.size > limitBytes) {
        return { ok: false, error: 'with it the files of the directory take more than 1 GiB' };
      }
      return { ok: true, bytes: readFully(fd, stat.size) };
    } finally {
      closeSync(fd);
    }
  } catch (thrown) {
    const errno = errnoOf(thrown);
    if (errno === null) throw thrown;
    if (errno === 'ELOOP') return { ok: false, error: 'it is a link, which is not followed' };
    return { ok: false, error: `it cannot be read: ${errno}` };
  }
}

/** Less than `size` if the file was cut meanwhile: then it is seen to have changed, and read again. */
function readFully(fd: number, size: number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(size);
  let length = 0;
  while (length < size) {
    const count = readSync(fd, bytes, length, size - length, null);
    if (count === 0) break;
    length += count;
  }
  return bytes.subarray(0, length);
}

/** Tells a directory from another one under the same name; null if there is none. */
export function directoryIdentity(directory: string): string | null {
  const found = orNull(() => statSync(directory, { bigint: true }));
  return found === null ? null : `${found.dev},${found.ino}`;
}

function orNull<T>(action: () => T): T | null {
  try {
    return action();
  } catch (thrown) {
    if (errnoOf(thrown) === null) throw thrown;
    return null;
  }
}
