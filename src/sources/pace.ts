/**
 * How long to wait before the rings are read again: seldom enough to cost
 * little, often enough that they never get full and a line is in its file
 * within a tenth of a second.
 */

const LONGEST_MS = 50;
const SHORTEST_MS = 5;
/** Part of the fullest ring that should fill up between two drains. */
const WANTED_FILL = 1 / 8;
/** A rate may double while we wait. */
const FASTEST_GROWTH = 2;

/**
 * The next wait in ms.
 * @param waitedMs the wait before this drain
 * @param fill how full the fullest ring was then, from 0 to 1
 * @param rest how full it is now
 */
export function nextWaitMs(waitedMs: number, fill: number, rest: number): number {
  if (rest > WANTED_FILL) return 0;
  if (fill === 0) return LONGEST_MS;
  const ideal = Math.max(waitedMs, 1) * Math.min(WANTED_FILL / fill, FASTEST_GROWTH);
  return Math.min(LONGEST_MS, Math.max(SHORTEST_MS, ideal));
}
