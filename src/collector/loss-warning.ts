/** Tells a person of lost records, at most once in a while, with what to do. */

const QUIET_MS = 30_000;

/** What makes records get lost, and what helps; `simulateDrops` is the option. */
export function lossCause(simulateDrops: number | undefined): string {
  return simulateDrops === undefined
    ? 'because a ring buffer was full (netwatch_events_lost_total says which); filter more, or enlarge that of the packets with --ring'
    : `(netwatch_events_lost_total): of ${simulateDrops} one on purpose, as --simulate-drops asks`;
}

export class LossWarning {
  readonly #say: (message: string) => void;
  readonly #cause: string;
  readonly #now: () => number;
  #told = 0;
  #toldMs = -Infinity;

  constructor(
    say: (message: string) => void,
    cause: string,
    now: () => number = () => performance.now(),
  ) {
    this.#say = say;
    this.#cause = cause;
    this.#now = now;
  }

  /** `lost` is the total so far; it never falls. */
  check(lost: number): void {
    if (lost === this.#told || this.#now() - this.#toldMs < QUIET_MS) return;
    const more = lost - this.#told;
    this.#told = lost;
    this.#toldMs = this.#now();
    this.#say(`${more} records lost ${this.#cause}`);
  }
}
