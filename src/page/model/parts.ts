/** The parts that the time of a request is made of: their order, their names, and how long they take. */
import type { PartSeconds } from '../../serve/types.js';
import { words } from './format.js';
import { having, observedSeries, type Step } from './series.js';

export const SIDES = ['server', 'client'] as const;
export type Side = (typeof SIDES)[number];

/** In order of time, as they stand in requests.log. */
export const PARTS = {
  server: [
    ...(['request_transfer', 'receive_queue', 'behind'] as const),
    ...(['application', 'response_write', 'send_wait'] as const),
  ],
  client: ['request_write', 'send_wait', 'remote', 'response_transfer', 'receive_queue'],
} as const satisfies Readonly<Record<Side, readonly string[]>>;
export type PartName = (typeof PARTS)[Side][number];

/** Parts that are alike have one colour: no side has two of them. */
export const PART_COLOURS = {
  request_transfer: 'series-3',
  response_transfer: 'series-3',
  receive_queue: 'series-1',
  behind: 'series-5',
  application: 'series-4',
  remote: 'series-4',
  response_write: 'series-2',
  request_write: 'series-2',
  send_wait: 'series-6',
} as const satisfies Readonly<Record<PartName, string>>;

/** Seconds of a mean request. */
export type PartMeans = Readonly<Partial<Record<PartName, number>>>;

const isSide = (side: string): side is Side => SIDES.some((one) => one === side);

/** The parts of a side of the endpoint's words; those of an unknown side are none. */
const partsOf = (side: string): readonly PartName[] => (isSide(side) ? PARTS[side] : []);

/** Null without requests in the step. */
export function partMeans(step: Step, side: Side): PartMeans | null {
  const sums = new Map<string, { seconds: number; count: number }>();
  for (const { labels, counts, sum } of observedSeries(
    step,
    'netwatch_http_request_part_seconds',
  )) {
    if (!having('side', side)(labels)) continue;
    const part = labels['part'] ?? '';
    const { seconds, count } = sums.get(part) ?? { seconds: 0, count: 0 };
    const more = counts.reduce((all, one) => all + one, 0);
    sums.set(part, { seconds: seconds + sum, count: count + more });
  }
  const means: Partial<Record<PartName, number>> = {};
  for (const part of PARTS[side]) {
    const { seconds, count } = sums.get(part) ?? { seconds: 0, count: 0 };
    if (count > 0) means[part] = seconds / count;
  }
  return Object.keys(means).length === 0 ? null : means;
}

export interface PartShare {
  readonly part: PartName;
  readonly seconds: number;
  /** Of all parts, 0 to 1. */
  readonly share: number;
}

/** The parts that are known, in order of time. */
export function partShares(side: string, parts: PartSeconds): PartShare[] {
  const known = partsOf(side).flatMap((part) => {
    const seconds = parts[part];
    return seconds === undefined ? [] : [{ part, seconds }];
  });
  const all = known.reduce((sum, { seconds }) => sum + seconds, 0);
  return known.map((one) => ({ ...one, share: all > 0 ? one.seconds / all : 0 }));
}

/** The part that takes most of the time; null: no part is known, or none took any. */
export function largestPart(side: string, parts: PartSeconds): PartShare | null {
  return partShares(side, parts).reduce<PartShare | null>(
    (largest, one) => (one.seconds > (largest?.seconds ?? 0) ? one : largest),
    null,
  );
}

/** `receive queue`. */
export const partWords = (part: string): string => words(part);
