/**
 * The log file being written: one open descriptor and what is known about it. It reports failures
 * and never retries.
 */
import { join } from 'node:path';
import { Directory } from './directory.js';
import { attempt, failure, success, type Result, type SinkError } from './errors.js';
import {
  appendAll,
  cutTornTail,
  openLogFile,
  openOnDisk,
  type LogHandle,
  type OpenFile,
} from './log-file.js';

const NEWLINE = 10;

/** What became of an append. */
export interface Appended {
  /**
   * Bytes of whole lines that are in the file now; a line that is only partly there is not counted,
   * and is cut off.
   */
  readonly complete: number;
  /** Why not everything is, or null when it is. */
  readonly error: SinkError | null;
}

/** Not safe for concurrent use: the caller awaits each call before the next. */
export class CurrentFile {
  readonly path: string;
  readonly #directoryPath: string;
  readonly #name: string;
  readonly #header: Buffer;
  readonly #openFile: OpenFile;
  /** The one that the file is in, kept until the next `open()`. */
  #directory: Directory | null = null;
  #handle: LogHandle | null = null;
  #size = 0;
  #modifiedMs = 0;

  constructor(
    directoryPath: string,
    name: string,
    header: Buffer,
    openFile: OpenFile = openOnDisk,
  ) {
    this.path = join(directoryPath, name);
    this.#directoryPath = directoryPath;
    this.#name = name;
    this.#header = header;
    this.#openFile = openFile;
  }

  get isOpen(): boolean {
    return this.#handle !== null;
  }

  /** Bytes in the file, header included. */
  get size(): number {
    return this.#size;
  }

  /** False while there is nothing but the header, so that empty files are not rotated. */
  get hasRecords(): boolean {
    return this.#size > this.#header.length;
  }

  /** When the file was last written before it was opened, in milliseconds since 1970. */
  get modifiedMs(): number {
    return this.#modifiedMs;
  }

  /** Opens the file under its name, repaired and with its header, and makes its directory. */
  async open(): Promise<SinkError | null> {
    const made = await attempt('create the directory', this.#directoryPath, () =>
      Directory.make(this.#directoryPath),
    );
    if (!made.ok) return made.error;
    await this.#leaveDirectory();
    this.#directory = made.value;
    return this.#openIn(made.value);
  }

  async #openIn(directory: Directory): Promise<SinkError | null> {
    const opened = await openLogFile(directory, this.#name, this.#header, this.#openFile);
    if (!opened.ok) return opened.error;
    this.#handle = opened.value;
    const checked = await this.checkDescriptor();
    return checked.ok ? null : checked.error;
  }

  /**
   * Looks at the file behind the descriptor: takes over its true size, gives a file that was
   * truncated from outside its header back. One fstat: cheap enough before every write.
   * @returns false when the file was deleted, so that writing on would be writing into nothing
   */
  async checkDescriptor(): Promise<Result<boolean>> {
    const handle = this.#handle;
    if (handle === null) return success(false);
    const found = await attempt('look at', this.path, () => handle.stat());
    if (!found.ok) return found;
    if (found.value.nlink === 0) return success(false);
    this.#size = found.value.size;
    this.#modifiedMs = found.value.mtimeMs;
    if (this.#size > 0) return success(true);
    const { taken, errno } = await appendAll(handle, this.#header);
    this.#size = taken;
    if (errno === null) return success(true);
    return failure({ code: 'io', operation: 'write', path: this.path, errno });
  }

  /**
   * Whether the path still leads to the open file; false after a rename, a removal or a link put in
   * its place.
   */
  async checkPath(): Promise<boolean> {
    const [handle, directory] = [this.#handle, this.#directory];
    if (handle === null || directory === null) return false;
    const same = await attempt('look at', this.path, async () => {
      if (!(await directory.isAtPath())) return false;
      const [byName, byHandle] = await Promise.all([directory.look(this.#name), handle.stat()]);
      return byName.ino === byHandle.ino && byName.dev === byHandle.dev;
    });
    return same.ok && same.value;
  }

  /** Appends whole lines. After an error the file ends with a whole line and is closed. */
  async append(lines: Buffer): Promise<Appended> {
    const handle = this.#handle;
    if (handle === null) return this.#failed(0, 'EBADF');
    const { taken, errno } = await appendAll(handle, lines);
    this.#size += taken;
    if (errno === null) return { complete: taken, error: null };
    const cut = await attempt('repair', this.path, async () => {
      const { size } = await handle.stat();
      return cutTornTail(handle, size);
    });
    // When even that fails the next open repairs it: it never appends to a torn line.
    if (cut.ok) this.#size = cut.value;
    await this.close();
    const complete = taken === 0 ? 0 : lines.lastIndexOf(NEWLINE, taken - 1) + 1;
    return this.#failed(complete, errno);
  }

  /**
   * Renames the file to `target` in its directory and starts a new one there. After an error writing
   * goes on where it was, or nothing is open.
   */
  async rotateTo(target: string): Promise<SinkError | null> {
    const directory = this.#directory;
    if (directory === null)
      return { code: 'io', operation: 'rotate', path: this.path, errno: 'EBADF' };
    const renamed = await attempt('rotate', this.path, () => directory.rename(this.#name, target));
    if (!renamed.ok) return renamed.error;
    await this.close();
    return this.#openIn(directory);
  }

  /** Closes the descriptor; an error of close(2) tells nothing that could still be acted upon. */
  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = null;
    if (handle !== null) await attempt('close', this.path, () => handle.close());
  }

  /** Lets go of file and directory. */
  async end(): Promise<void> {
    await this.close();
    await this.#leaveDirectory();
  }

  async #leaveDirectory(): Promise<void> {
    const directory = this.#directory;
    this.#directory = null;
    if (directory !== null) await attempt('close', this.path, () => directory.close());
  }

  #failed(complete: number, errno: string): Appended {
    return { complete, error: { code: 'io', operation: 'write', path: this.path, errno } };
  }
}
