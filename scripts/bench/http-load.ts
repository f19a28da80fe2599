/** The HTTP requests of the rows that compare what netwatch does with them. */
import type { Sizes } from './lab.js';
import type { LoadOptions } from './load.js';

interface HttpLoad {
  /** Until the optimizing compiler has seen netwatch's hot path. */
  readonly warmUp: LoadOptions;
  readonly measured: LoadOptions;
  readonly turns: number;
}

export const HTTP_LOAD: Sizes<HttpLoad> = {
  full: {
    warmUp: { seconds: 4, rate: 15_000, count: 30_000 },
    measured: { seconds: 20, rate: 15_000, count: 60_000 },
    turns: 3,
  },
  smoke: {
    warmUp: { seconds: 1, count: 100 },
    measured: { seconds: 1, count: 1000 },
    turns: 1,
  },
};

/** Longer than netwatch waits between two drains. */
export const SETTLE_MS = 300;

/** Each request is an exchange at either end. */
export const SIDES = 2;

/** Some hosts leave programs out now and then (README, Limits): of so many it is no other load. */
const MOST_MISSED = 0.01;

/** @throws Error when netwatch has seen something else than these requests: its cost would be of that */
export function checkExchanges(seen: number, requests: number): void {
  const made = SIDES * requests;
  if (Math.abs(seen - made) > made * MOST_MISSED)
    throw new Error(`${seen} exchanges were counted of ${made}`);
}
