/** The counters of a tool as a `.prom` file, for `netwatch serve` and node_exporter. */
import { buildInSlices, Snapshot } from '../metrics/snapshot.js';
import type { DirectoryLock } from '../sinks/directory-lock.js';
import { explainSinkError } from '../sinks/errors.js';
import { ownDirectory } from '../sinks/own-directory.js';
import { writePromFile } from '../sinks/prom-file.js';

export class PromFile {
  readonly #directory: string;
  readonly #tool: string;
  readonly #lock: DirectoryLock;
  readonly #dropped = new Map<string, number>();
  #failed = false;

  private constructor(directory: string, tool: string, lock: DirectoryLock) {
    this.#directory = directory;
    this.#tool = tool;
    this.#lock = lock;
  }

  /**
   * DIRECTORY/TOOL.prom. Throws NetwatchError if the directory cannot be had, or if the same tool
   * writes there already: each would replace the counters of the other.
   */
  static async open(directory: string, tool: string): Promise<PromFile> {
    return new PromFile(directory, tool, await ownDirectory(directory, tool));
  }

  /** Replaces the file. A disk that does not take it is told of once, until it does again. */
  async write(fill: (snapshot: Snapshot) => void, say: (message: string) => void): Promise<void> {
    const snapshot = new Snapshot({ dropped: this.#dropped, tool: this.#tool });
    fill(snapshot);
    const bytes = await buildInSlices(snapshot);
    const result = await writePromFile(this.#directory, `${this.#tool}.prom`, bytes);
    if (!result.ok && !this.#failed) say(explainSinkError(result.error));
    this.#failed = !result.ok;
  }

  /** Lets another run of the tool write there; the file stays. */
  async close(): Promise<void> {
    await this.#lock.release();
  }
}
