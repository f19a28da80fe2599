/**
 * What happens to a log file after it was rotated: compression, then `.1` -> `.2` -> … by
 * rotating-file-stream.
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { chmod, lstat, unlink } from 'node:fs/promises';
import { basename } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { createStream, type RotatingFileStream } from 'rotating-file-stream';
import { attempt, failure, success, type Result } from './errors.js';
import { LOG_MODE } from './log-file.js';
import { listRotated, suffixOf } from './log-names.js';

/**
 * Bytes per read and per deflate step; the default of 16 KiB costs the event loop four times as
 * many turns.
 */
const CHUNK_BYTES = 64 * 1024;

/**
 * Level 1 packs our lines 6:1 in a third of the time of the default, on a machine that has other
 * work to do.
 */
const GZIP_LEVEL = 1;

/**
 * Upper bound in bytes of what gzip makes of `bytes` bytes, even if they do not compress at all.
 */
export function gzipBound(bytes: number): number {
  return bytes + Math.ceil(bytes / 1000) + 64;
}

/**
 * Compresses `from` into `from`.gz and removes `from`. Deflate runs on the thread pool. After an
 * error or abort `from` is whole and nothing half-compressed is left.
 *
 * Not rotating-file-stream's gzip: each failure of that one leaves a file descriptor open for ever
 * and it cannot be stopped, so that a full disk exhausts descriptors and exit waits for it (shown
 * in test/sinks-faults.test.ts).
 */
export async function compressFile(from: string, signal: AbortSignal): Promise<Result<string>> {
  const to = `${from}.gz`;
  await removeIfThere(to);
  const packed = await attempt('compress', from, async () => {
    await pipeline(
      createReadStream(from, { highWaterMark: CHUNK_BYTES }),
      createGzip({ level: GZIP_LEVEL, chunkSize: CHUNK_BYTES }),
      // flush: the original is removed next, so the copy must have reached the disk.
      createWriteStream(to, { flags: 'wx', mode: LOG_MODE, flush: true }),
      { signal },
    );
    await chmod(to, LOG_MODE);
    await unlink(from);
    return to;
  });
  if (!packed.ok) await removeIfThere(to);
  return packed;
}

/** Removes a file; that there is none is fine. Failures show when its name is needed. */
export async function removeIfThere(path: string): Promise<void> {
  await attempt('remove', path, () => unlink(path));
}

/** Size in bytes of the regular file at `path`, null when there is none. */
export async function sizeIfThere(path: string): Promise<number | null> {
  const found = await attempt('look at', path, () => lstat(path));
  return found.ok && found.value.isFile() ? found.value.size : null;
}

/**
 * Makes `base` (`name.0` or `name.0.gz`) the newest of the numbered files: every number moves up by
 * one, what would get a number above `keepFiles` is gone. Refuses with EISDIR, before anything
 * moved, when a directory or link has one of the names: ageing somebody's directory like a log
 * would be worse than not rotating.
 */
export async function ageFiles(
  directory: string,
  name: string,
  base: string,
  keepFiles: number,
): Promise<Result<null>> {
  const listed = await listRotated(directory, name);
  if (!listed.ok) return listed;
  const obstacle = listed.value.find((file) => !file.regular);
  if (obstacle !== undefined) {
    return failure({ code: 'io', operation: 'rotate to', path: obstacle.path, errno: 'EISDIR' });
  }
  const suffix = suffixOf(base.endsWith('.gz'));
  const nameOf = (count: number | Date | null): string =>
    typeof count === 'number' && count > 0 ? `${name}.${count}${suffix}` : basename(base);
  // The package tries every number up to its limit: one more than there are files is enough.
  const highest = Math.max(...listed.value.map((file) => file.index), 0);
  const rotate = Math.min(keepFiles, highest + 1);
  const aged = await attempt('rotate', base, () =>
    // A file of at least one byte is over this size, so the package rotates it when it opens it.
    finished(createStream(nameOf, { path: directory, rotate, size: '1B' })),
  );
  if (!aged.ok) return aged;
  // The package goes on with a new empty file; it has done its work.
  if ((await sizeIfThere(base)) === 0) await removeIfThere(base);
  return success(null);
}

/** Waits until the stream has rotated and is closed again; rejects with its error. */
function finished(stream: RotatingFileStream): Promise<void> {
  return new Promise((resolve, reject) => {
    let failed: Error | null = null;
    stream.on('error', (error) => {
      failed = error;
    });
    // Emitted when a file vanished by itself: the result is the wanted one.
    stream.on('warning', () => undefined);
    stream.once('open', () => stream.end());
    stream.once('close', () => (failed === null ? resolve() : reject(failed)));
  });
}
