/**
 * Opening a log file so that it can be trusted: never through a link, never what another user has
 * put there, mode 0640 whatever the umask, always appending, starting with its header and ending
 * with a whole line.
 *
 * Why an own descriptor and not rotating-file-stream's: it ignores the count that write(2) returns,
 * so a short write on a nearly full disk is reported as success and the records are gone uncounted;
 * its stream is dead for ever after the first error; and it opens through symbolic links.
 * test/sinks-faults.test.ts shows each on the package itself.
 */
import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import {
  attempt,
  errnoOf,
  errorName,
  failure,
  success,
  type Result,
  type SinkError,
} from './errors.js';
import type { Directory } from './directory.js';
import { refuseForeign } from './refusal.js';

/** rw-r-----, see the directory's mode. */
export const LOG_MODE = 0o640;

/** How far back, in bytes, the last line end is looked for: far longer than any line. */
const LOOK_BACK_BYTES = 1024 * 1024;
const NEWLINE = 10;

/**
 * O_APPEND: after `copytruncate` the next line lands at the new end, not behind a sparse hole.
 * O_RDWR: the tail is read for repair; and a named pipe in place of the log is opened at once and
 * refused, instead of blocking a thread for ever.
 */
const OPEN_FLAGS = constants.O_RDWR | constants.O_APPEND | constants.O_NOFOLLOW;

/** For a file that must not be there yet. */
const NEW = constants.O_CREAT | constants.O_EXCL;

/** The part of a file handle that logs use: what a test has to imitate. */
export type LogHandle = Pick<
  FileHandle,
  'write' | 'read' | 'stat' | 'truncate' | 'chmod' | 'close'
>;

/** Opens a file of a directory by `Directory.at()`; tests pass one whose disk misbehaves. */
export type OpenFile = (path: string, flags: number, mode: number) => Promise<LogHandle>;

/** The real disk. */
export const openOnDisk: OpenFile = (path, flags, mode) => open(path, flags, mode);

/**
 * Opens the file `name` for appending, cuts a torn last line off it and writes `header` if it is
 * empty. The handle is closed again when any of this fails.
 */
export async function openLogFile(
  directory: Directory,
  name: string,
  header: Buffer,
  openFile: OpenFile,
): Promise<Result<LogHandle>> {
  const path = directory.pathOf(name);
  const open = (flags: number): Promise<LogHandle> => openFile(directory.at(name), flags, LOG_MODE);
  const opened = await attempt('open', path, () => openOrCreate(open, OPEN_FLAGS));
  if (!opened.ok) return opened;
  const { handle, created } = opened.value;
  const prepared = await attempt('prepare', path, () => prepare(handle, path, header, created));
  const error = prepared.ok ? prepared.value : prepared.error;
  if (error === null) return success(handle);
  await attempt('close', path, () => handle.close());
  return failure(error);
}

/** An open file. */
export interface Opened<H> {
  readonly handle: H;
  /** False: it was there, whoever has made it. */
  readonly created: boolean;
}

/** Opens with `flags`, and with those that create a file if there is none. */
export async function openOrCreate<H>(
  open: (flags: number) => Promise<H>,
  flags: number,
): Promise<Opened<H>> {
  for (let tries = 0; ; tries += 1) {
    try {
      return { handle: await open(flags | NEW), created: true };
    } catch (thrown) {
      if (errnoOf(thrown) !== 'EEXIST') throw thrown;
    }
    try {
      return { handle: await open(flags), created: false };
    } catch (thrown) {
      // Removed between the two calls: once more, but not for ever.
      if (errnoOf(thrown) !== 'ENOENT' || tries > 0) throw thrown;
    }
  }
}

async function prepare(
  handle: LogHandle,
  path: string,
  header: Buffer,
  created: boolean,
): Promise<SinkError | null> {
  // Only what we created: an administrator's chmod on an existing log is respected.
  if (created) await handle.chmod(LOG_MODE);
  const found = await handle.stat();
  if (!found.isFile()) return { code: 'io', operation: 'use as a log', path, errno: 'EINVAL' };
  refuseForeign(path, found);
  const size = await cutTornTail(handle, found.size);
  if (!(await isTornHeader(handle, size, header))) return null;
  await handle.truncate(0);
  const { errno } = await appendAll(handle, header);
  return errno === null ? null : { code: 'io', operation: 'write', path, errno };
}

/**
 * Makes the file end with a whole line again after a crash or a full disk: cuts what follows the
 * last line end, or, when none is near, ends the line.
 * @returns the size in bytes afterwards
 */
export async function cutTornTail(handle: LogHandle, size: number): Promise<number> {
  if (size === 0) return 0;
  const last = Buffer.alloc(1);
  await handle.read(last, 0, 1, size - 1);
  if (last[0] === NEWLINE) return size;
  const tail = Buffer.alloc(Math.min(size, LOOK_BACK_BYTES));
  await handle.read(tail, 0, tail.length, size - tail.length);
  const lineEnd = tail.lastIndexOf(NEWLINE);
  if (lineEnd < 0 && size > LOOK_BACK_BYTES) {
    await handle.write(Buffer.from('\n'));
    return size + 1;
  }
  const whole = size - tail.length + lineEnd + 1;
  await handle.truncate(whole);
  return whole;
}

/** True for an empty file too. */
async function isTornHeader(handle: LogHandle, size: number, header: Buffer): Promise<boolean> {
  if (size >= header.length) return false;
  const start = Buffer.alloc(size);
  await handle.read(start, 0, size, 0);
  return start.equals(header.subarray(0, size));
}

/**
 * Writes all of `bytes`, going on after short writes.
 * @returns how many bytes the kernel took, and the error name that stopped it or null
 */
export async function appendAll(
  handle: LogHandle,
  bytes: Buffer,
): Promise<{ readonly taken: number; readonly errno: string | null }> {
  let taken = 0;
  while (taken < bytes.length) {
    const wrote = await attempt('write', '', () => handle.write(bytes, taken));
    if (!wrote.ok) return { taken, errno: errorName(wrote.error) };
    // write(2) never takes 0 of n bytes on a sane disk; on an insane one this would spin.
    if (wrote.value.bytesWritten === 0) return { taken, errno: 'EIO' };
    taken += wrote.value.bytesWritten;
  }
  return { taken, errno: null };
}
