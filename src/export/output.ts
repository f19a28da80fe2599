/**
 * Where the export goes: a file that appears whole or not at all, a device or pipe, or standard
 * output.
 */
import { open, realpath, rename, stat, unlink } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { errnoOf, isReaderGone } from '../sinks/errors.js';
import { NetwatchError } from '../failure.js';

/** The logs are 0640 too: peers and processes are in them. */
const FILE_MODE = 0o640;

/**
 * Writes all pieces to `path`. A device or a pipe is written to; it is never replaced by a file.
 */
export async function writeToFile(path: string, pieces: Iterable<Buffer>): Promise<void> {
  try {
    const target = await whatIs(path);
    if (target.exists && !target.isFile) {
      await writeAll(path, 'w', pieces);
      return;
    }
    // Beside the file itself, also where `path` is a link to it.
    const temporary = `${target.path}.${process.pid}.tmp`;
    try {
      await writeAll(temporary, 'wx', pieces);
      await rename(temporary, target.path);
    } catch (thrown) {
      await unlink(temporary).catch(() => undefined);
      throw thrown;
    }
  } catch (thrown) {
    const errno = errnoOf(thrown);
    if (errno === null) throw thrown;
    throw new NetwatchError({
      code: 'environment',
      message: `cannot write ${path}: ${errno}`,
      next: 'choose another file with --out',
    });
  }
}

async function whatIs(path: string): Promise<{ path: string; exists: boolean; isFile: boolean }> {
  try {
    const real = await realpath(path);
    return { path: real, exists: true, isFile: (await stat(real)).isFile() };
  } catch (thrown) {
    if (errnoOf(thrown) !== 'ENOENT') throw thrown;
    return { path, exists: false, isFile: false };
  }
}

async function writeAll(path: string, flags: string, pieces: Iterable<Buffer>): Promise<void> {
  const file = await open(path, flags, FILE_MODE);
  try {
    for (const piece of pieces) await file.writeFile(piece);
  } finally {
    await file.close();
  }
}

/**
 * Writes all pieces to a stream, waiting for slow readers. A reader that went away (`| head`) is no
 * error.
 */
export async function writeToStream(stream: Writable, pieces: Iterable<Buffer>): Promise<void> {
  // Stays: a stream reports its failure once more, later, and without a listener that ends the
  // process.
  stream.on('error', () => undefined);
  for (const piece of pieces) {
    const failed = await new Promise<Error | null | undefined>((done) => stream.write(piece, done));
    if (failed === null || failed === undefined) continue;
    const errno = errnoOf(failed);
    if (isReaderGone(errno)) return;
    throw new NetwatchError({
      code: 'environment',
      message: `cannot write the output: ${errno ?? failed.message}`,
      next: 'choose a file with --out',
    });
  }
}
