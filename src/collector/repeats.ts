/**
 * Messages of a process that is started again and again, or runs for weeks: the same one at most once
 * a minute, then with how often it has been left out.
 */

const QUIET_MS = 60_000;
/** Messages that are remembered; a process that finds more words than this is not kept quiet. */
const MOST = 64;

interface Heard {
  passedMs: number;
  /** Times that it was left out since. */
  repeats: number;
}

export class Repeats {
  /** By message, the one that was passed longest ago first. */
  readonly #heard = new Map<string, Heard>();
  readonly #now: () => number;

  /** `now`: milliseconds that only grow. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** How many messages are remembered. */
  get size(): number {
    return this.#heard.size;
  }

  /** The message as it is to be shown; null if it was shown less than a minute ago. */
  take(message: string): string | null {
    const nowMs = this.#now();
    const before = this.#heard.get(message);
    if (before !== undefined && nowMs - before.passedMs < QUIET_MS) {
      before.repeats += 1;
      return null;
    }
    this.#heard.delete(message);
    this.#makeRoom(nowMs);
    this.#heard.set(message, { passedMs: nowMs, repeats: 0 });
    const repeats = before?.repeats ?? 0;
    return repeats === 0 ? message : `${message} (${repeats} more since it was last shown)`;
  }

  /** All is well: what comes now is news. */
  forget(): void {
    this.#heard.clear();
  }

  #makeRoom(nowMs: number): void {
    for (const [message, { passedMs, repeats }] of this.#heard) {
      const isOver = repeats === 0 && nowMs - passedMs >= QUIET_MS;
      if (isOver || this.#heard.size >= MOST) this.#heard.delete(message);
    }
  }
}
