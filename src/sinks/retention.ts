/**
 * Keeps the history of one log within its limits: compresses and ages the file that was just
 * rotated, in the background, and deletes the oldest so that the disk cap holds at every moment.
 */
import { ageFiles, compressFile, gzipBound, removeIfThere, sizeIfThere } from './ageing.js';
import { Directory } from './directory.js';
import { attempt, type SinkError } from './errors.js';
import { listRotated, stagingName, suffixOf } from './log-names.js';

/** Limits of one log's history. */
export interface RetentionOptions {
  readonly directory: string;
  readonly name: string;
  /** Rotated files kept, at least 1. */
  readonly keepFiles: number;
  /** Bytes all files of the log may have together, the current one included. */
  readonly keepBytes: number;
  /** Bytes the current file may reach before it is rotated. */
  readonly rotateBytes: number;
  readonly gzip: boolean;
  /** Told about each failed run; the file concerned stays and the next run takes it up again. */
  readonly onError: (error: SinkError) => void;
}

/** The history of one log. Runs are started by `start()` and never overlap. */
export class Retention {
  readonly #options: RetentionOptions;
  readonly #abort = new AbortController();
  #run: Promise<void> | null = null;
  /** Until the first run has looked, something may be left over from a crash. */
  #occupied = true;
  #bytes = 0;

  constructor(options: RetentionOptions) {
    this.#options = options;
  }

  /** Bytes of all rotated files, an upper bound while a run is on. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A run is on. */
  isRunning(): boolean {
    return this.#run !== null;
  }

  /** The last rotated file could not be put away: there is no place for another one. */
  isOccupied(): boolean {
    return this.#occupied;
  }

  /**
   * Takes up whatever waits to be aged, after a rotation, a crash or a failure. Returns at once.
   * @param movedBytes size of the file that a rotation has just moved over
   */
  start(movedBytes = 0): void {
    if (this.#run !== null) return;
    this.#bytes += movedBytes;
    this.#occupied = true;
    if (!this.isStopped()) this.#run = this.#age();
  }

  /** Takes up a file that is left over from a crash or a failed run, if none is on. */
  resume(): void {
    if (this.#occupied) this.start();
  }

  /** Resolves when no run is on. */
  async settled(): Promise<void> {
    await this.#run;
  }

  /** No further run starts: what is rotated now waits for the next start of the program. */
  isStopped(): boolean {
    return this.#abort.signal.aborted;
  }

  /** Ends a compression that is on, leaving its source whole, and starts no further run. */
  abort(): void {
    this.#abort.abort();
  }

  /**
   * Deletes the oldest rotated files until `bytes` more bytes fit under the cap.
   * @returns whether they do now
   */
  async makeRoom(bytes: number): Promise<boolean> {
    if (this.#run !== null) return this.#bytes + bytes <= this.#options.keepBytes;
    const error = await this.#inDirectory(async (directory) => {
      await this.#trim(directory, bytes);
      return null;
    });
    if (error !== null) this.#options.onError(error);
    return this.#bytes + bytes <= this.#options.keepBytes;
  }

  /**
   * Makes the room a rotation needs: the current file moves over to the history, may for a while
   * exist compressed as well, and a new one grows to its limit.
   */
  async makeRoomForRotation(currentBytes: number): Promise<void> {
    const copy = this.#options.gzip ? gzipBound(currentBytes) : 0;
    await this.makeRoom(currentBytes + copy + this.#options.rotateBytes);
  }

  /** The place is free and the run over at the same moment: a rotation in between would be lost. */
  async #age(): Promise<void> {
    let error: SinkError | null = null;
    try {
      error = await this.#inDirectory(async (directory) => {
        const failed = await this.#putAway(directory);
        await this.#trim(directory, 0);
        return failed;
      });
    } finally {
      this.#occupied = error !== null;
      this.#run = null;
    }
    if (error !== null && !this.#abort.signal.aborted) this.#options.onError(error);
  }

  /** A descriptor of its own: the log's may be left for another while a run is on. */
  async #inDirectory(
    work: (directory: Directory) => Promise<SinkError | null>,
  ): Promise<SinkError | null> {
    const { directory: path } = this.#options;
    const opened = await attempt('open', path, () => Directory.open(path));
    if (!opened.ok) return opened.error;
    try {
      return await work(opened.value);
    } finally {
      await opened.value.close();
    }
  }

  async #putAway(directory: Directory): Promise<SinkError | null> {
    const { name, keepFiles } = this.#options;
    const staging = stagingName(name);
    const packed = staging + suffixOf(true);
    // Empty: what rotating-file-stream started and a crash kept us from removing.
    if ((await sizeIfThere(directory, staging)) === 0) await removeIfThere(directory, staging);
    if ((await sizeIfThere(directory, packed)) === 0) await removeIfThere(directory, packed);
    const bytes = await sizeIfThere(directory, staging);
    if (bytes !== null) {
      // With its source still there a compressed file is half of one, left by a crash.
      await removeIfThere(directory, packed);
      const error = await this.#compress(directory, staging, bytes);
      if (error !== null) return error;
    }
    const base = (await sizeIfThere(directory, packed)) === null ? staging : packed;
    if ((await sizeIfThere(directory, base)) === null) return null;
    const aged = await ageFiles(directory, name, base, keepFiles);
    return aged.ok ? null : aged.error;
  }

  /**
   * Compresses the file if asked to and if the copy fits under the cap; else it is kept as it is.
   */
  async #compress(directory: Directory, file: string, bytes: number): Promise<SinkError | null> {
    const { gzip, keepBytes, rotateBytes } = this.#options;
    const copy = gzipBound(bytes);
    if (!gzip || this.#bytes + copy + rotateBytes > keepBytes) return null;
    this.#bytes += copy;
    const done = await compressFile(directory, file, this.#abort.signal);
    return done.ok ? null : done.error;
  }

  /** Counts what is on disk and deletes the oldest while there are too many files or bytes. */
  async #trim(directory: Directory, extraBytes: number): Promise<void> {
    const { name, keepBytes, keepFiles } = this.#options;
    const listed = await listRotated(directory, name);
    if (!listed.ok) return;
    const regular = listed.value.filter((file) => file.regular);
    let total = regular.reduce((sum, file) => sum + file.bytes, 0);
    // The file that waits to be aged is not history yet.
    const history = regular.filter((file) => file.index > 0);
    for (const [position, file] of history.entries()) {
      const fits = total + extraBytes <= keepBytes;
      if (fits && history.length - position <= keepFiles) break;
      const gone = await attempt('remove', directory.pathOf(file.name), () =>
        directory.unlink(file.name),
      );
      if (gone.ok) total -= file.bytes;
      else this.#options.onError(gone.error);
    }
    this.#bytes = total;
  }
}
