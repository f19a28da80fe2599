/** A log file read from its end: plain files block by block, compressed ones through a window. */
import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';

/** Parsed at a stretch: 350 lines, 2 ms. */
const BLOCK_BYTES = 64 * 1024;
/** No line of ours is nearly as long: what is longer is not text. */
const MAX_LINE_BYTES = 256 * 1024;
/** What is kept of a compressed file while it goes by: its newest 100,000 lines. */
const WINDOW_BYTES = 16 << 20;
const GUNZIP_CHUNK = 256 * 1024;
const NEWLINE = 0x0a;
/** A link is not followed. */
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * The whole lines of a file as bytes without their newlines, the last one first. What stands after
 * the last newline is torn, or still being written: no line. Throws system errors.
 */
export async function* linesBackwards(path: string): AsyncGenerator<readonly Buffer[]> {
  const handle = await open(path, FLAGS);
  try {
    const blocks = path.endsWith('.gz') ? gzipBlocks(handle) : plainBlocks(handle);
    yield* cutBackwards(blocks);
  } finally {
    await handle.close();
  }
}

/** Blocks from the end to the beginning. */
async function* plainBlocks(handle: FileHandle): AsyncGenerator<Buffer> {
  let end = (await handle.stat()).size;
  while (end > 0) {
    const size = Math.min(BLOCK_BYTES, end);
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(size), 0, size, end - size);
    // Cut meanwhile: what was there is gone.
    if (bytesRead < size) return;
    yield buffer;
    end -= size;
  }
}

/** A compressed file opens only forwards; of a damaged one, what came before the damage. */
async function* gzipBlocks(handle: FileHandle): AsyncGenerator<Buffer> {
  const kept: Buffer[] = [];
  let bytes = 0;
  let isWhole = true;
  try {
    const file = handle.createReadStream({ autoClose: false });
    const gunzip = createGunzip({ chunkSize: GUNZIP_CHUNK });
    for await (const chunk of pipeline(file, gunzip, () => undefined)) {
      kept.push(chunk as Buffer);
      bytes += (chunk as Buffer).length;
      while (bytes > WINDOW_BYTES) {
        bytes -= kept.shift()!.length;
        isWhole = false;
      }
    }
  } catch (thrown) {
    if (!(thrown as NodeJS.ErrnoException).code?.startsWith('Z_')) throw thrown;
  }
  // The first line of the window may lack its beginning.
  if (!isWhole) kept[0] = kept[0]!.subarray(kept[0]!.indexOf(NEWLINE) + 1);
  for (const chunk of kept.toReversed()) {
    for (let end = chunk.length; end > 0; end -= BLOCK_BYTES) {
      yield chunk.subarray(Math.max(0, end - BLOCK_BYTES), end);
    }
  }
}

/** The lines of each block together, last line first. */
async function* cutBackwards(blocks: AsyncIterable<Buffer>): AsyncGenerator<readonly Buffer[]> {
  /** The end of a line whose beginning is in a block to come; null before the last newline. */
  let rest: Buffer | null = null;
  for await (const block of blocks) {
    const lines: Buffer[] = [];
    let end = block.length;
    for (;;) {
      const newline = end === 0 ? -1 : block.lastIndexOf(NEWLINE, end - 1);
      const piece = block.subarray(newline + 1, end);
      if (rest !== null && rest.length <= MAX_LINE_BYTES) rest = Buffer.concat([piece, rest]);
      if (newline < 0) break;
      if (rest !== null && rest.length <= MAX_LINE_BYTES) lines.push(rest);
      rest = Buffer.alloc(0);
      end = newline;
    }
    yield lines;
  }
  if (rest !== null && rest.length > 0) yield [rest];
}
