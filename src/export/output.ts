/**
 * Where the export goes: a file that appears whole or not at all, a device or pipe, or standard
 * output.
 */
import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import type { Writable } from 'node:stream';
import { Directory } from '../sinks/directory.js';
import { attempt, errnoOf, errorName, explainSinkError, isReaderGone } from '../sinks/errors.js';
import { NetwatchError } from '../failure.js';

const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;

/** The logs are 0640 too: peers and processes are in them. */
const FILE_MODE = 0o640;

/** As the kernel. */
const MOST_LINKS = 40;

/** Where /dev/stdout leads if that is no file: a name only for the eye. */
const NAMELESS = /^(?:pipe|socket|anon_inode):/;

/**
 * Writes all pieces to `path`. A device or a pipe is written to; it is never replaced by a file. The
 * directory may be another user's: links that they may have put there are refused.
 */
export async function writeToFile(path: string, pieces: Iterable<Buffer>): Promise<void> {
  const written = await attempt('write', path, () => writeTo(path, pieces, 0));
  if (written.ok) return;
  const { error } = written;
  throw new NetwatchError({
    code: 'environment',
    message: error.code === 'io' ? `cannot write ${path}: ${error.errno}` : explainSinkError(error),
    next: 'choose another file with --out',
  });
}

async function writeTo(path: string, pieces: Iterable<Buffer>, links: number): Promise<void> {
  if (links > MOST_LINKS) throw Object.assign(new Error(path), { code: 'ELOOP' });
  const [folder, name] = [dirname(resolve(path)), basename(path)];
  if (name === '') throw Object.assign(new Error(path), { code: 'EISDIR' });
  const directory = await Directory.open(folder);
  let target: string | null;
  try {
    target = await writeIn(directory, name, pieces);
  } finally {
    await directory.close();
  }
  if (target !== null) await writeTo(resolve(folder, target), pieces, links + 1);
}

/** Null: all is written; else where the link leads that is there. */
async function writeIn(
  directory: Directory,
  name: string,
  pieces: Iterable<Buffer>,
): Promise<string | null> {
  const found = await attempt('look at', name, () => directory.look(name));
  if (!found.ok && errorName(found.error) !== 'ENOENT')
    throw Object.assign(new Error(name), { code: errorName(found.error) });
  if (!found.ok || found.value.isFile()) {
    await replace(directory, name, pieces);
    return null;
  }
  if (!found.value.isSymbolicLink()) {
    await writeInto(await open(directory.at(name), O_WRONLY | O_NOFOLLOW), pieces);
    return null;
  }
  const target = await directory.readOwnLink(name);
  if (!NAMELESS.test(target)) return target;
  await writeInto(await open(directory.at(name), O_WRONLY), pieces);
  return null;
}

/** A temporary file beside it, in whose place it appears whole. */
async function replace(
  directory: Directory,
  name: string,
  pieces: Iterable<Buffer>,
): Promise<void> {
  const temporary = `${name}.${process.pid}.tmp`;
  try {
    const file = await directory.open(temporary, O_WRONLY | O_CREAT | O_EXCL, FILE_MODE);
    await writeInto(file, pieces);
    await directory.rename(temporary, name);
  } catch (thrown) {
    await directory.unlink(temporary).catch(() => undefined);
    throw thrown;
  }
}

async function writeInto(file: FileHandle, pieces: Iterable<Buffer>): Promise<void> {
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
