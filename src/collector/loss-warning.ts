/** Tells a person of lost records, at most once in a while, with what to do. */

const QUIET_MS = 30_000;

export class LossWarning {
  readonly #say: (message: string) => void;
  readonly #now: () => number;
  #told = 0;
  #toldMs = -Infinity;

  constructor(say: (message: string) => void, now: () => number = () => performance.now()) {
    this.#say = say;
    this.#now = now;
  }

  /** `lost` is the total so far; it never falls. */
  check(lost: number): void {
    if (lost === this.#told || this.#now() - this.#toldMs < QUIET_MS) return;
    const more = lost - this.#told;
    this.#told = lost;
    this.#toldMs = this.#now();
    this.#say(
      `${more} records lost because a ring buffer was full (netwatch_events_lost_total says which); filter more, or enlarge that of the packets with --ring`,
    );
  }
}
