/**
 * The `*.prom` files of a directory, as node_exporter's textfile collector sees them: regular files
 * without a leading dot. All calls are synchronous: this runs in the worker, where nobody waits.
 */
import { isUtf8 } from 'node:buffer';
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../sinks/errors.js';
import { FileBytes, readStretch } from './file-bytes.js';
import { STATE_FILE } from './staleness.js';

/** What tells one version of a file from another. */
export interface FileStamp {
  readonly name: string;
  readonly mtimeMs: number;
  readonly bytes: number;
  /** Equal for an unchanged file. */
  readonly identity: string;
  /** False: `name` only shows what the name is like, and opens nothing. */
  readonly isNameUtf8: boolean;
}

export type Content =
  | { readonly ok: true; readonly bytes: Buffer | FileBytes }
  | { readonly ok: false; readonly error: string };

const LARGE_BYTES = 1 << 20;
/** A link is not followed, wherever it leads; a FIFO does not hold us up. */
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * The files in the order in which they are merged: netwatch.prom first, the others by name. A
 * directory that is missing or closed to us has none.
 */
export function stampFiles(directory: string): readonly FileStamp[] {
  const listed = orNull(() => readdirSync(directory, { encoding: 'buffer' })) ?? [];
  const named = listed.map((raw): Named => ({ raw, name: String(raw), isNameUtf8: isUtf8(raw) }));
  const wanted = named.filter(({ name }) => name.endsWith('.prom') && !name.startsWith('.'));
  const rank = ({ name }: Named): number => (name === STATE_FILE ? 0 : 1);
  wanted.sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1));
  const first = new Map<string, Named>();
  for (const one of wanted) {
    // Names that are not UTF-8 may look the same; one of them stands for all.
    const before = first.get(one.name);
    if (before === undefined || (one.isNameUtf8 && !before.isNameUtf8)) first.set(one.name, one);
  }
  return [...first.values()].flatMap((one) => stampOf(directory, one));
}

interface Named {
  readonly raw: Buffer;
  readonly name: string;
  readonly isNameUtf8: boolean;
}

/** None if it has gone between the listing and the look: there is nothing to report. */
function stampOf(directory: string, { raw, name, isNameUtf8 }: Named): readonly FileStamp[] {
  const path = Buffer.concat([Buffer.from(`${directory}/`), raw]);
  const found = orNull(() => lstatSync(path, { bigint: true }));
  if (found === null) return [];
  const { dev, ino, size, mtimeNs, ctimeNs } = found;
  const identity = [dev, ino, size, mtimeNs, ctimeNs].join();
  return [{ name, isNameUtf8, identity, mtimeMs: Number(found.mtimeMs), bytes: Number(size) }];
}

/**
 * Reads at most `limitBytes`. A large netwatch.prom is not read, only opened: it is replaced, never
 * changed. The error is one sentence without its end.
 */
export function readContent(
  directory: string,
  { name, isNameUtf8 }: FileStamp,
  limitBytes: number,
): Content {
  if (!isNameUtf8) return { ok: false, error: 'its name is not UTF-8; rename it' };
  try {
    const fd = openSync(join(directory, name), FLAGS);
    let isKept = false;
    try {
      const stat = fstatSync(fd);
      if (!stat.isFile()) return { ok: false, error: 'it is not a regular file' };
      if (stat.size > limitBytes) {
        return { ok: false, error: 'with it the files of the directory take more than 1 GiB' };
      }
      isKept = name === STATE_FILE && stat.size >= LARGE_BYTES;
      return { ok: true, bytes: isKept ? new FileBytes(fd) : readStretch(fd, 0, stat.size) };
    } finally {
      if (!isKept) closeSync(fd);
    }
  } catch (thrown) {
    const errno = errnoOf(thrown);
    if (errno === null) throw thrown;
    if (errno === 'ELOOP') return { ok: false, error: 'it is a link, which is not followed' };
    return { ok: false, error: `it cannot be read: ${errno}` };
  }
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
