/** The counters of a tool as a `.prom` file, for `netwatch serve` and node_exporter. */
import { NetwatchError } from '../failure.js';
import { buildInSlices, Snapshot } from '../metrics/snapshot.js';
import { explainSinkError } from '../sinks/errors.js';
import { makeDirectory } from '../sinks/make-directory.js';
import { writePromFile } from '../sinks/prom-file.js';

export class PromFile {
  readonly #directory: string;
  readonly #name: string;
  #failed = false;

  private constructor(directory: string, name: string) {
    this.#directory = directory;
    this.#name = name;
  }

  /** DIRECTORY/NAME.prom; throws NetwatchError if the directory cannot be had. */
  static async open(directory: string, name: string): Promise<PromFile> {
    const made = await makeDirectory(directory);
    if (!made.ok) {
      const reason = explainSinkError(made.error);
      throw new NetwatchError({ code: 'directory', path: directory, reason });
    }
    return new PromFile(directory, `${name}.prom`);
  }

  /** Replaces the file. A disk that does not take it is told of once, until it does again. */
  async write(fill: (snapshot: Snapshot) => void, say: (message: string) => void): Promise<void> {
    const snapshot = new Snapshot();
    fill(snapshot);
    const bytes = await buildInSlices(snapshot);
    const result = await writePromFile(this.#directory, this.#name, bytes);
    if (!result.ok && !this.#failed) say(explainSinkError(result.error));
    this.#failed = !result.ok;
  }
}
