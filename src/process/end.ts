/** The end of a run: a signal, its time is over, nobody reads any more, or a bug. */
import { listenForEnd } from './signals.js';
import { isTerminal } from './streams.js';

const EXIT_INTERRUPTED = 130;
const STDIN = 0;

export class End {
  /** Resolves at the end, whatever brought it. */
  readonly reached: Promise<void>;
  #resolve: () => void = () => undefined;
  #bug: Error | null = null;

  constructor() {
    this.reached = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /** The bug that brought it; the first one. */
  get bug(): Error | null {
    return this.#bug;
  }

  readonly come = (): void => {
    this.#resolve();
  };

  readonly fail = (error: unknown): void => {
    this.#bug ??= error instanceof Error ? error : new Error(String(error));
    this.come();
  };

  /**
   * SIGINT, SIGTERM or SIGQUIT, first: an orderly end; second: at once. SIGHUP: an orderly end, for
   * who was not started on a terminal `hangUp` instead. A terminal that goes away sends more than one
   * (the kernel, the shell, the kernel again when the shell is gone), so those never count as a
   * second. Any other signal that would kill is an orderly end, see signals.ts.
   */
  listen(hangUp?: () => void): void {
    let asked = false;
    const stop = (): void => {
      if (asked) process.exit(EXIT_INTERRUPTED);
      asked = true;
      this.come();
    };
    listenForEnd({
      asked: stop,
      hungUp: hangUp === undefined || isTerminal(STDIN) ? this.come : hangUp,
      struck: this.come,
    });
  }

  /** Comes after so long; undefined: never by itself. */
  after(seconds: number | undefined): void {
    if (seconds !== undefined) setTimeout(this.come, seconds * 1000).unref();
  }
}
