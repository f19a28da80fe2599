/**
 * What happens to a log file after it was rotated: compression, then `.1` -> `.2` -> … by
 * rotating-file-stream.
 */
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { createStream, type RotatingFileStream } from 'rotating-file-stream';
import type { Directory } from './directory.js';
import { attempt, failure, type Result } from './errors.js';
import { LOG_MODE } from './log-file.js';
import { listRotated, suffixOf } from './log-names.js';
import { refuseForeign } from './refusal.js';

const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL } = constants;

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
 * error or abort `from` is whole and nothing half-compressed is left. What is not our own file is
 * refused: others may read the copy.
 *
 * Not rotating-file-stream's gzip: each failure of that one leaves a file descriptor open for ever
 * and it cannot be stopped, so that a full disk exhausts descriptors and exit waits for it (shown
 * in test/sinks-faults.test.ts).
 */
export async function compressFile(
  directory: Directory,
  from: string,
  signal: AbortSignal,
): Promise<Result<string>> {
  const to = `${from}.gz`;
  await removeIfThere(directory, to);
  const packed = await attempt('compress', directory.pathOf(from), async () => {
    const source = await directory.open(from, O_RDONLY);
    try {
      refuseForeign(directory.pathOf(from), await source.stat());
      await compressInto(directory, to, source, signal);
    } finally {
      await source.close();
    }
    await directory.unlink(from);
    return to;
  });
  if (!packed.ok) await removeIfThere(directory, to);
  return packed;
}

async function compressInto(
  directory: Directory,
  to: string,
  source: FileHandle,
  signal: AbortSignal,
): Promise<void> {
  const copy = await directory.open(to, O_WRONLY | O_CREAT | O_EXCL, LOG_MODE);
  const write = async (chunks: AsyncIterable<Buffer>): Promise<void> => {
    for await (const chunk of chunks) await copy.writeFile(chunk);
  };
  try {
    await copy.chmod(LOG_MODE);
    await pipeline(
      () => chunksOf(source),
      createGzip({ level: GZIP_LEVEL, chunkSize: CHUNK_BYTES }),
      write,
      { signal },
    );
    // The original is removed next, so the copy must have reached the disk.
    await copy.sync();
  } finally {
    await copy.close();
  }
}

/** Not a stream's: that would close the file by itself, or not, depending on what fails. */
async function* chunksOf(file: FileHandle): AsyncGenerator<Buffer> {
  for (;;) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(CHUNK_BYTES));
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}

/** Removes a file; that there is none is fine. Failures show when its name is needed. */
export async function removeIfThere(directory: Directory, name: string): Promise<void> {
  await attempt('remove', directory.pathOf(name), () => directory.unlink(name));
}

/** Size in bytes of the regular file of that name, null when there is none. */
export async function sizeIfThere(directory: Directory, name: string): Promise<number | null> {
  const found = await attempt('look at', directory.pathOf(name), () => directory.look(name));
  return found.ok && found.value.isFile() ? found.value.size : null;
}

/**
 * Makes `base` (`name.0` or `name.0.gz`) the newest of the numbered files: every number moves up by
 * one, what would get a number above `keepFiles` is gone. Refuses with EISDIR, before anything
 * moved, when a directory or link has one of the names: ageing somebody's directory like a log
 * would be worse than not rotating.
 */
export async function ageFiles(
  directory: Directory,
  name: string,
  base: string,
  keepFiles: number,
): Promise<Result<null>> {
  const listed = await listRotated(directory, name);
  if (!listed.ok) return listed;
  const obstacle = listed.value.find((file) => !file.regular);
  if (obstacle !== undefined) {
    const path = directory.pathOf(obstacle.name);
    return failure({ code: 'io', operation: 'rotate to', path, errno: 'EISDIR' });
  }
  const packed = base.endsWith('.gz');
  const numbered = (count: number): string => `${name}.${count}${suffixOf(packed)}`;
  const taken = listed.value.filter((file) => file.index > 0 && file.compressed === packed);
  return attempt('rotate', directory.pathOf(base), async () => {
    if (taken.some((file) => file.index === 1)) {
      const highest = Math.max(...taken.map((file) => file.index));
      await moveUp(directory, name, { numbered, most: Math.min(keepFiles, highest + 1) });
    }
    await directory.rename(base, numbered(1));
    return null;
  });
}

interface Numbers {
  readonly numbered: (count: number) => string;
  /** The highest number afterwards. */
  readonly most: number;
}

/**
 * Lets the package free the number 1. It looks at the file that it rotates and opens it anew by
 * name, and would follow a link: so that it is given one in a private directory, to which nobody
 * else can write, that takes its own number 1 there; its 2 is our 1, and so on. All that it does to
 * the log's files is rename(2), which follows none.
 */
async function moveUp(
  directory: Directory,
  name: string,
  { numbered, most }: Numbers,
): Promise<void> {
  const inner = `.${name}.ageing`;
  const spare = await directory.makePrivate(inner);
  const [current, rotated] = ['current', 'rotated'];
  try {
    const file = await spare.open(current, O_WRONLY | O_CREAT, LOG_MODE);
    // A file of at least one byte is over this size, so the package rotates it when it opens it.
    await file.write('\n').finally(() => file.close());
    const nameOf = (count: number | Date | null): string => {
      if (typeof count !== 'number' || count === 0) return spare.at(current);
      return count === 1 ? spare.at(rotated) : directory.at(numbered(count - 1));
    };
    await finished(createStream(nameOf, { rotate: most + 1, size: '1B' }));
    for (const left of [current, rotated]) await removeIfThere(spare, left);
  } finally {
    await spare.close();
  }
  await attempt('remove', inner, () => directory.removeDirectory(inner));
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
