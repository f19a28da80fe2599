/**
 * The scheduling priority of the thread that runs the program: raised while it falls behind, given back
 * afterwards. That takes CAP_SYS_NICE or a resource limit RLIMIT_NICE (LimitNICE= of systemd).
 */
import { c } from './libc.js';

const PRIO_PROCESS = 0;
const THIS_THREAD = 0;
/** Ten times the weight of a thread of nice 0: kernel/sched/core.c, sched_prio_to_weight. */
const RAISED = -10;

/** What a thread's priority can be changed through; tests have one of their own. */
export interface Nice {
  get(): number;
  /** False if the kernel refuses. */
  set(value: number): boolean;
}

/** The calling thread's: setpriority(2). */
export const ownNice: Nice = {
  get: () => c.getpriority(PRIO_PROCESS, THIS_THREAD),
  set: (value) => c.setpriority(PRIO_PROCESS, THIS_THREAD, value) === 0,
};

/** Before anything has changed it. */
const begun = ownNice.get();

/** Gives a new child, which has the priority that its maker had just then, the one this process began with. */
export function usualPriority(child: number): void {
  c.setpriority(PRIO_PROCESS, child, begun);
}

export class Priority {
  readonly #nice: Nice;
  readonly #usual: number;
  /** Whoever starts it with a nice value of its own has decided. */
  #mayRaise: boolean;
  #isRaised = false;

  constructor(nice: Nice = ownNice) {
    this.#nice = nice;
    this.#usual = nice.get();
    this.#mayRaise = this.#usual === 0;
  }

  get isRaised(): boolean {
    return this.#isRaised;
  }

  /** Where the kernel refuses it stays as it is, and is not tried again. */
  raise(): void {
    if (this.#isRaised || !this.#mayRaise) return;
    this.#mayRaise = this.#isRaised = this.#nice.set(RAISED);
  }

  giveBack(): void {
    if (this.#isRaised) this.#isRaised = !this.#nice.set(this.#usual);
  }
}
