/** How long to wait before the next try of something that failed. */

/** First delay; each further failure in a row doubles it. */
const FIRST_MS = 250;

/** Longest delay: what was broken works again at most this long after its cause is gone. */
const LONGEST_MS = 4000;

/** Delay in milliseconds after `failures` failures in a row (1 or more). */
export function backoffMs(failures: number): number {
  return Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures - 1, 10));
}
