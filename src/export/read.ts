/** A log file, plain or gzip, as lines of text with their numbers. */
import { isAscii, isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { errnoOf } from '../sinks/errors.js';
import { NetwatchError } from '../failure.js';
import type { LogInput } from './inputs.js';

const CHUNK_BYTES = 1024 * 1024;
/** No line of ours is nearly as long: what is longer is not text. */
const MAX_LINE_BYTES = 256 * 1024;
const NEWLINE = 0x0a;

export interface LineReader {
  /** A whole line without its newline. */
  readonly line: (text: string, number: number) => void;
  /** A line that cannot be used. */
  readonly bad: (why: string, number: number) => void;
  /**
   * The file ends before its time (a gzip file that was cut or damaged): what came before was
   * delivered.
   */
  readonly cut: (why: string) => void;
  readonly progress: (bytesRead: number) => void;
}

export async function readLines(input: LogInput, reader: LineReader): Promise<void> {
  const file = createReadStream(input.path, { highWaterMark: CHUNK_BYTES });
  const lines = new LineSplitter(reader);
  try {
    const gunzip = () => createGunzip({ chunkSize: CHUNK_BYTES });
    // Errors reach the loop below.
    const source = input.gzip ? pipeline(file, gunzip(), () => undefined) : file;
    for await (const chunk of source) {
      lines.push(chunk as Buffer);
      reader.progress(file.bytesRead);
    }
  } catch (thrown) {
    const errno = errnoOf(thrown);
    if (errno === null) throw thrown;
    if (!errno.startsWith('Z_')) {
      throw new NetwatchError({
        code: 'environment',
        message: `cannot read ${input.path}: ${errno}`,
        next: 'check its permissions',
      });
    }
    reader.cut((thrown as Error).message);
  } finally {
    file.destroy();
  }
  lines.end();
}

/**
 * Cuts chunks into lines. Bytes become text line by line: a longer string would be kept alive by
 * each piece of it.
 */
class LineSplitter {
  readonly #reader: LineReader;
  #number = 0;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #tooLong = false;

  constructor(reader: LineReader) {
    this.#reader = reader;
  }

  push(chunk: Buffer): void {
    const ascii = isAscii(chunk);
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(NEWLINE, start);
      if (end < 0) break;
      if (this.#pendingBytes === 0 && !this.#tooLong) this.#emit(chunk, start, end, ascii);
      else this.#emitPending(chunk.subarray(start, end));
      start = end + 1;
    }
    this.#keep(chunk.subarray(start));
  }

  end(): void {
    if (this.#pendingBytes > 0 || this.#tooLong) {
      this.#reader.bad(
        'the line has no end: torn by a crash, or still being written',
        ++this.#number,
      );
    }
  }

  #keep(rest: Buffer): void {
    if (rest.length === 0 || this.#tooLong) return;
    this.#pending.push(rest);
    this.#pendingBytes += rest.length;
    if (this.#pendingBytes <= MAX_LINE_BYTES) return;
    this.#tooLong = true;
    this.#pending = [];
    this.#pendingBytes = 0;
  }

  #emitPending(rest: Buffer): void {
    this.#keep(rest);
    const line = Buffer.concat(this.#pending);
    this.#pending = [];
    this.#pendingBytes = 0;
    if (this.#tooLong) this.#reader.bad('longer than any line of netwatch', ++this.#number);
    else this.#emit(line, 0, line.length, false);
    this.#tooLong = false;
  }

  #emit(bytes: Buffer, start: number, end: number, ascii: boolean): void {
    this.#number++;
    if (ascii) {
      this.#reader.line(bytes.toString('latin1', start, end), this.#number);
    } else if (isUtf8(bytes.subarray(start, end))) {
      this.#reader.line(bytes.toString('utf8', start, end), this.#number);
    } else {
      this.#reader.bad('invalid UTF-8', this.#number);
    }
  }
}
