/**
 * Comes back to rings as often as they need it: at the pace of their filling while records come, and not
 * until the next record when none has come for a while.
 */
import { RingSleep, type Sleeper } from '../kernel/ring-sleep.js';
import { nextWaitMs } from './pace.js';

/** Looks in a row that found nothing before it sleeps: a fifth of a second. */
const QUIET_LOOKS = 4;

/** What a look at the rings has found: how full the fullest was, from 0 to 1, and is now. */
export interface Look {
  readonly fill: number;
  readonly rest: number;
}

export interface RingLoopParts {
  readonly sources: readonly Sleeper[];
  /** Reads what is there. */
  readonly look: () => Look;
  /** Told of what a look throws, after which there is no other. */
  readonly fail: (error: unknown) => void;
  /** False: there is something to do though the rings are empty. */
  readonly maySleep?: () => boolean;
  /** Told when a look should come, and when it has come. */
  readonly lag?: { expect(ms: number): void; arrived(): void };
}

export class RingLoop {
  readonly #parts: RingLoopParts;
  readonly #sleep: RingSleep;
  #cancel = (): void => undefined;
  #quiet = 0;
  #looks = 0;

  constructor(parts: RingLoopParts) {
    this.#parts = parts;
    this.#sleep = new RingSleep(parts.sources);
  }

  /** Grows as long as the loop lives, once a second at least. */
  get looks(): number {
    return this.#looks;
  }

  start(): void {
    this.#comeIn(0);
  }

  stop(): void {
    this.#cancel();
    this.#sleep.close();
  }

  #comeIn(waitMs: number): void {
    this.#parts.lag?.expect(waitMs);
    this.#cancel = after(waitMs, () => {
      this.#come(waitMs);
    });
  }

  #come(waitedMs: number): void {
    this.#parts.lag?.arrived();
    this.#looks++;
    try {
      const { fill, rest } = this.#parts.look();
      this.#quiet = fill === 0 ? this.#quiet + 1 : 0;
      if (this.#quiet >= QUIET_LOOKS && (this.#parts.maySleep?.() ?? true)) this.#rest();
      else this.#comeIn(nextWaitMs(waitedMs, fill, rest));
    } catch (error) {
      this.#parts.fail(error);
    }
  }

  #rest(): void {
    this.#parts.lag?.expect(Infinity);
    this.#sleep.begin(() => {
      this.#come(0);
    });
    this.#cancel = () => undefined;
  }
}

/** Calls back after a time; returns what cancels that. A timer of 0 ms would sleep for one. */
function after(waitMs: number, call: () => void): () => void {
  if (waitMs > 0) {
    const timer = setTimeout(call, waitMs);
    return () => {
      clearTimeout(timer);
    };
  }
  const next = setImmediate(call);
  return () => {
    clearImmediate(next);
  };
}
