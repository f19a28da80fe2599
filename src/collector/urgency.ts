/**
 * When the collector asks for more of the processor: while a ring fills faster than it gets to run, as it
 * does where all cores are busy with what it watches. Two states, looked at before each drain:
 *
 *   calm    → urgent  the fullest ring is fuller than {@link LATE}: it came late
 *   urgent  → calm    that was not so for {@link KEEP_MS}
 */
import type { Priority } from '../kernel/priority.js';

/** Twice what should fill up between two drains. */
const LATE = 1 / 4;
/** Long against a burst, short against a day. */
const KEEP_MS = 5000;

export class Urgency {
  readonly #priority: Pick<Priority, 'raise' | 'giveBack' | 'isRaised'>;
  #lateMs = -Infinity;

  constructor(priority: Pick<Priority, 'raise' | 'giveBack' | 'isRaised'>) {
    this.#priority = priority;
  }

  /** `fill`: of the fullest ring, from 0 to 1; `nowMs`: of a clock that does not jump. */
  look(fill: number, nowMs: number): void {
    if (fill > LATE) {
      this.#lateMs = nowMs;
      this.#priority.raise();
    } else if (this.#priority.isRaised && nowMs - this.#lateMs >= KEEP_MS)
      this.#priority.giveBack();
  }
}
