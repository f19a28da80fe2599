/** The store's end of the worker: asks it, one question at a time. */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Answer, Question, WorkerSettings } from './worker-protocol.js';

/** Waits for the answer to the question that is being answered. */
interface Waiting {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (why: Error) => void;
}

/** Of the worker's heap: text that it goes through is given up at once; by default 48 MB of it may wait. */
const YOUNG_MB = 6;

export class WorkerClient {
  readonly #worker: Worker;
  #waiting: Waiting | null = null;

  constructor(settings: WorkerSettings) {
    // Beside this file and of its kind: .js when built, .ts when tests run the sources.
    const entry = new URL(`./worker${extname(import.meta.url)}`, import.meta.url);
    this.#worker = new Worker(entry, {
      workerData: settings,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
    });
    this.#worker.on('message', (answer: Answer) => {
      const waiting = this.#waiting;
      this.#waiting = null;
      waiting?.resolve(answer);
    });
    // An exception in the worker is a bug: without a listener for 'error' it ends this process too.
  }

  /** Ask again only when the answer is there. */
  ask(question: Question): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#worker.postMessage(question);
    });
  }

  /** The question that is being answered fails. */
  async close(): Promise<void> {
    this.#waiting?.reject(new Error('the store is closed'));
    this.#waiting = null;
    await this.#worker.terminate();
  }
}
