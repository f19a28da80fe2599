/** Tells a person that sockets have no memory for what netwatch remembers in them. */
import type { Attached } from './source.js';

/** Says it once, with what to do. */
export class SocketMemoryWarning {
  readonly #say: (message: string) => void;
  #told = false;

  constructor(say: (message: string) => void) {
    this.#say = say;
  }

  /** Looks at what the sources have counted so far. */
  check(sources: readonly Pick<Attached, 'storageFailures'>[]): void {
    const failures = sources.reduce((sum, source) => sum + (source.storageFailures() ?? 0), 0);
    if (this.#told || failures === 0) return;
    this.#told = true;
    this.#say(
      `${failures} times a socket had no memory left for what netwatch remembers in it (netwatch_events_lost_total{stage="socket_memory"}): some owners, times or requests are missing; raise the sysctl net.core.optmem_max`,
    );
  }
}
