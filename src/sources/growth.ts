/** What counts that only grow have grown by since they were last looked at. Pure. */

export class Growth<C> {
  readonly #minus: (now: C, before: C) => C;
  #before: readonly C[] = [];

  constructor(minus: (now: C, before: C) => C) {
    this.#minus = minus;
  }

  /** `now`: the counts, each time in the same order; the first time all of them are new. */
  of(now: readonly C[]): readonly C[] {
    const before = this.#before;
    this.#before = now;
    return now.map((counts, i) => {
      const last = before[i];
      return last === undefined ? counts : this.#minus(counts, last);
    });
  }
}
