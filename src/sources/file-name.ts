/**
 * The name of an open file of another process. The kernel side knows the last part of its path; the
 * whole of it stands in /proc, as long as the process still has the file open.
 */
import { readlinkSync, statSync } from 'node:fs';

/** What the kernel side knows of a file. */
export interface KnownFile {
  readonly tid: number;
  readonly fd: number;
  /** 0: it was closed before the kernel side could look. */
  readonly inode: number;
  readonly mode: number;
  /** The last part of its path; empty for what has none. */
  readonly name: string;
}

const TYPE_MASK = 0o170000;
const SOCKET = 0o140000;
const PIPE = 0o010000;
const DEVICES: readonly number[] = [0o020000, 0o060000];

/** Its link in /proc, if the descriptor is still that file; null if not. */
function linkOf({ tid, fd, inode }: KnownFile): string | null {
  const path = `/proc/${tid}/fd/${fd}`;
  try {
    return statSync(path).ino === inode ? readlinkSync(path) : null;
  } catch {
    return null;
  }
}

/** `/dev/null`: the device node of that name, if it is that file; null if not. */
function deviceOf({ inode, mode, name }: KnownFile): string | null {
  if (!DEVICES.includes(mode & TYPE_MASK)) return null;
  const path = `/dev/${name}`;
  return statSync(path, { throwIfNoEntry: false })?.ino === inode ? path : null;
}

/** `socket:[39763]`, `/dev/dri/card0`, or `card0` where only that is known; null if nothing is. */
export function nameOfFile(file: KnownFile): string | null {
  if (file.inode === 0) return null;
  const type = file.mode & TYPE_MASK;
  if (type === SOCKET) return `socket:[${file.inode}]`;
  const link = linkOf(file) ?? deviceOf(file);
  if (link !== null) return link;
  if (file.name !== '') return file.name;
  return type === PIPE ? `pipe:[${file.inode}]` : null;
}
