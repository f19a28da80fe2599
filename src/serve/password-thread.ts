/** This end of the thread that checks passwords: asks it, one question at a time. */
import { once } from 'node:events';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { PasswordQuestion } from './password-worker.js';

export class PasswordThread {
  readonly #worker: Worker;
  #answer: (matches: boolean) => void = () => undefined;

  /** Resolves when all that it needs of the program is loaded. */
  static async start(): Promise<PasswordThread> {
    // Beside this file and of its kind: .js when built, .ts when tests run the sources.
    const entry = new URL(`./password-worker${extname(import.meta.url)}`, import.meta.url);
    const worker = new Worker(entry);
    await once(worker, 'message');
    return new PasswordThread(worker);
  }

  private constructor(worker: Worker) {
    this.#worker = worker;
    worker.on('message', (matches: boolean) => {
      this.#answer(matches);
    });
  }

  /** Ask again only when the answer is there. */
  readonly compare = (password: string, hash: string): Promise<boolean> =>
    new Promise((resolve) => {
      this.#answer = resolve;
      this.#worker.postMessage({ password, hash } satisfies PasswordQuestion);
    });

  /** What is being checked is never answered. */
  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}
