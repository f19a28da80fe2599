/**
 * Notices changes of a directory: at once where the kernel tells of them, by looking every second
 * where it does not (a directory that is not there yet or was replaced, NFS).
 */
import { watch, type FSWatcher } from 'node:fs';
import { errnoOf } from '../sinks/errors.js';

/** Several events belong to one replacement of a file. */
const SETTLE_MS = 20;

export class DirectoryWatch {
  readonly #directory: string;
  readonly #onChange: () => void;
  readonly #poll: NodeJS.Timeout;
  #watcher: FSWatcher | null = null;
  /** Of the directory that is being watched. */
  #identity: string | null = null;
  #settling: NodeJS.Timeout | null = null;

  constructor(directory: string, pollMs: number, onChange: () => void) {
    this.#directory = directory;
    this.#onChange = onChange;
    this.#poll = setInterval(onChange, pollMs);
  }

  /** Which directory was found under the name; another one has to be watched anew. */
  found(identity: string | null): void {
    if (identity === this.#identity && this.#watcher !== null) return;
    this.#watcher?.close();
    this.#identity = identity;
    this.#watcher = identity === null ? null : this.#start();
    // For what happened before the kernel began to watch.
    if (this.#watcher !== null) this.#onChange();
  }

  close(): void {
    clearInterval(this.#poll);
    if (this.#settling !== null) clearTimeout(this.#settling);
    this.#watcher?.close();
  }

  /** null where the kernel does not watch it: then the poll has to do. */
  #start(): FSWatcher | null {
    try {
      const watcher = watch(this.#directory, (_, name) => {
        if (name === null || isOurs(name)) this.#settle();
      });
      // Nothing to do: the poll goes on, and finds out whether there is another directory.
      watcher.on('error', () => undefined);
      return watcher;
    } catch (thrown) {
      if (errnoOf(thrown) === null) throw thrown;
      return null;
    }
  }

  #settle(): void {
    this.#settling ??= setTimeout(() => {
      this.#settling = null;
      this.#onChange();
    }, SETTLE_MS);
  }
}

function isOurs(name: string): boolean {
  return name.endsWith('.prom') && !name.startsWith('.');
}
