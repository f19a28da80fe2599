/** The end of a run: a signal, its time is over, nobody reads any more, or a bug. */

const EXIT_INTERRUPTED = 130;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export class End {
  /** Resolves at the end; rejects with the bug that brought it. */
  readonly reached: Promise<void>;
  #resolve: () => void = () => undefined;
  #reject: (error: Error) => void = () => undefined;

  constructor() {
    this.reached = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  readonly come = (): void => {
    this.#resolve();
  };

  readonly fail = (error: unknown): void => {
    this.#reject(error instanceof Error ? error : new Error(String(error)));
  };

  /** First signal: an orderly end. Second: at once. */
  listen(durationSeconds: number | undefined): void {
    let asked = false;
    const stop = (): void => {
      if (asked) process.exit(EXIT_INTERRUPTED);
      asked = true;
      this.come();
    };
    for (const signal of SIGNALS) process.on(signal, stop);
    if (durationSeconds !== undefined) setTimeout(this.come, durationSeconds * 1000).unref();
  }
}
