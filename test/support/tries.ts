/** Traffic that is watched again if something of it is missing. */
import type { Test } from 'tap';
import type { Teardown } from './netns.js';

const MOST_TRIES = 3;

/**
 * What `attempt` has found, once that `isWhole` or after three tries: there are kernels that leave
 * tracing programs out while certain processes run, and count nothing (README, Limits), so that
 * something is missing now and then though nothing is wrong. What is always missing still is after the
 * last try. What a try has opened is closed before the next.
 */
export async function untilWhole<T>(
  t: Pick<Test, 'comment'>,
  attempt: (t: Teardown) => Promise<T>,
  isWhole: (found: T) => boolean,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    const closing: (() => unknown)[] = [];
    try {
      const found = await attempt({ teardown: (fn) => closing.push(fn) });
      if (tries === MOST_TRIES || isWhole(found)) return found;
      t.comment(`something is missing: try ${tries} of ${MOST_TRIES}`);
    } finally {
      for (const close of closing.reverse()) await close();
    }
  }
}
