/** Tells a person that sockets, or tables of them, have no room for what netwatch remembers. */
import type { Attached } from './source.js';

type Counts = Pick<Attached, 'storageFailures' | 'tableFailures'>;

const MESSAGES: Readonly<Record<keyof Counts, (count: number) => string>> = {
  storageFailures: (count) =>
    `${count} times a socket had no memory left for what netwatch remembers in it (netwatch_events_lost_total{stage="socket_memory"}): some owners, times or requests are missing; raise the sysctl net.core.optmem_max`,
  tableFailures: (count) =>
    `${count} times a table of sockets and their owners was full (netwatch_events_lost_total{stage="map_full"}): some owners are missing; watch less, with --netns`,
};

/** Says each once, with what to do. */
export class SocketMemoryWarning {
  readonly #say: (message: string) => void;
  readonly #told = new Set<keyof Counts>();

  constructor(say: (message: string) => void) {
    this.#say = say;
  }

  /** Looks at what the sources have counted so far. */
  check(sources: readonly Counts[]): void {
    for (const kind of ['storageFailures', 'tableFailures'] as const) {
      const failures = sources.reduce((sum, source) => sum + (source[kind]() ?? 0), 0);
      if (this.#told.has(kind) || failures === 0) continue;
      this.#told.add(kind);
      this.#say(MESSAGES[kind](failures));
    }
  }
}
