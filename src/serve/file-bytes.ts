/**
 * The content of a large file, left in the file: half a gigabyte of text with 100,000 connections. What
 * is wanted of it is read each time, from the page cache; the descriptor keeps the content when the name
 * gets another one. For files that are replaced and never changed, like netwatch.prom; should one be
 * changed all the same, that is noticed before anything of it is passed on as whole.
 */
import { closeSync, fstatSync, readSync } from 'node:fs';

/** What a scan needs of content; a Buffer has it. */
export interface Bytes {
  readonly length: number;
  /** From `start` up to `end`; where it has to be read, into `room` if that is given. */
  subarray(start: number, end: number, room?: Buffer): Uint8Array;
}

/** A file that was checked; to other threads too, as descriptors are the process's. */
export interface CheckedFile {
  readonly fd: number;
  /** Equal as long as nobody has written to it. */
  readonly version: string;
}

/** A stretch of it. */
export interface FilePart {
  readonly file: CheckedFile;
  readonly start: number;
  readonly end: number;
}

function versionOf(fd: number): string {
  const { size, mtimeNs } = fstatSync(fd, { bigint: true });
  return `${size} ${mtimeNs}`;
}

/** What was read of it before this is true is what was checked. */
export const isAsChecked = ({ fd, version }: CheckedFile): boolean => versionOf(fd) === version;

/** Into new memory or, if it is given, into `room`; less if the file was cut meanwhile. */
export function readStretch(fd: number, start: number, end: number, room?: Buffer): Buffer {
  const bytes = room?.subarray(0, end - start) ?? Buffer.allocUnsafeSlow(end - start);
  let length = 0;
  while (length < bytes.length) {
    const count = readSync(fd, bytes, length, bytes.length - length, start + length);
    if (count === 0) break;
    length += count;
  }
  return bytes.subarray(0, length);
}

export class FileBytes implements Bytes {
  readonly file: CheckedFile;
  readonly length: number;

  /** Takes the descriptor over. */
  constructor(fd: number) {
    this.file = { fd, version: versionOf(fd) };
    this.length = fstatSync(fd).size;
  }

  subarray(start: number, end: number, room?: Buffer): Uint8Array {
    return readStretch(this.file.fd, start, end, room);
  }

  part(start: number, end: number): FilePart {
    return { file: this.file, start, end };
  }

  /** When nobody holds a part of it any more. */
  close(): void {
    closeSync(this.file.fd);
  }
}
