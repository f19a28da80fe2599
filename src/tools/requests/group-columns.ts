/** Columns of `netwatch requests --top`: a group of exchanges as a row, and what it can be sorted by. */
import type { Column, Layout } from '../../terminal/column.js';
import { columnWith } from '../../terminal/column.js';
import { LEAST_INSIDE } from '../../sources/exchange.js';
import { seconds } from '../../sources/exchange-event.js';
import { beyondOf, sharesOf, type Group, type Grouping, type NamedShare } from './groups.js';
import { milliseconds } from './words.js';

const NS_PER_S = 1e9;
const RIGHT: Layout = { alignRight: true };
/** Parts that a row names, and the least share of one that is named. */
const MOST_SHARES = 3;
const LEAST_SHARE = 0.01;
/** Of the time of all parts, so that something behind the end is named. */
const LEAST_BEYOND = 0.1;

const quantile =
  (q: number) =>
  ({ durations }: Group): number | null =>
    durations.at(q);

/** What a table is sorted by, in the order of its columns; the largest is first. */
export const SORTS = ['count', 'rate', 'time', 'p50', 'p95', 'p99', 'errors'] as const;
export type Sort = (typeof SORTS)[number];

const VALUES: Readonly<Record<Sort, (group: Group) => number | null>> = {
  count: ({ durations }) => durations.count,
  rate: ({ rate }) => rate,
  time: ({ durations }) => durations.sum,
  p50: quantile(0.5),
  p95: quantile(0.95),
  p99: quantile(0.99),
  errors: ({ errors }) => errors,
};

export const amountOf =
  (sort: Sort) =>
  (group: Group): number =>
    VALUES[sort](group) ?? 0;

/** What a group is called in JSON. */
const FIELDS: Readonly<Record<Grouping, string>> = {
  target: 'route',
  status: 'status',
  process: 'process',
  peer: 'network_peer_address',
};

const percent = (share: number): string => `${Math.round(share * 100)}%`;

/** `remote 80% (retransmit 75%)`; of what lies inside only that which explains it. */
function shareText(name: string, share: number, inside: readonly NamedShare[]): string {
  const [most] = inside
    .filter((one) => one.share >= share * LEAST_INSIDE)
    .sort((a, b) => b.share - a.share);
  const of =
    most === undefined ? '' : ` (${most.name.slice(name.length + 1)} ${percent(most.share)})`;
  return `${name} ${percent(share)}${of}`;
}

/** Behind the end, if data was lost there; a distance alone is no trouble. */
function beyondText(group: Group): string {
  const [part, ...inside] = beyondOf(group);
  const isLong = inside.some(({ share }) => share >= LEAST_BEYOND);
  return part === undefined || !isLong ? '' : `; then ${shareText(part.name, part.share, inside)}`;
}

/** The parts that took most of the time, the first one dominates; null: none is known. */
export function sharesText(group: Group): string | null {
  const shown = sharesOf(group)
    .slice(0, MOST_SHARES)
    .filter(({ share }) => share >= LEAST_SHARE);
  if (shown.length === 0) return null;
  const parts = shown.map(({ name, share, inside }) => shareText(name, share, inside));
  return parts.join(', ') + beyondText(group);
}

function shareFields(group: Group): Readonly<Record<string, unknown>> {
  const shares = sharesOf(group);
  const all = [...shares.flatMap((one) => [one, ...one.inside]), ...beyondOf(group)];
  return {
    dominating_part: shares[0]?.name ?? null,
    ...Object.fromEntries(all.map(({ name, share }) => [`${name}_share`, share])),
  };
}

function durationColumn(title: string, sort: Sort): Column<Group> {
  const value = VALUES[sort];
  return columnWith(
    title,
    9,
    (group) => {
      const ns = value(group);
      return ns === null ? null : milliseconds(ns);
    },
    (group) => ({ [`${sort}_seconds`]: seconds(value(group)) }),
    RIGHT,
  );
}

const NAME_WIDTH = 28;

function namesOf(by: Grouping, wide: boolean): readonly Column<Group>[] {
  const process = ({ process }: Group): string | null => process;
  return [
    columnWith(
      by === 'target' ? 'ROUTE' : by.toUpperCase(),
      NAME_WIDTH,
      ({ name }) => name,
      ({ name }) => ({ [FIELDS[by]]: name }),
      wide ? {} : { most: NAME_WIDTH },
    ),
    columnWith(
      'SIDE',
      6,
      ({ side }) => side,
      ({ side }) => ({ side }),
    ),
    ...(by === 'target'
      ? [columnWith('PROCESS', 15, process, (group: Group) => ({ process: process(group) }))]
      : []),
  ];
}

const sortColumns: Readonly<Record<Sort, Column<Group>>> = {
  count: columnWith(
    'COUNT',
    7,
    ({ durations }) => durations.count,
    ({ durations }) => ({ count: durations.count }),
    RIGHT,
  ),
  rate: columnWith(
    'RATE/s',
    7,
    ({ rate }) => rate.toFixed(1),
    ({ rate }) => ({ rate }),
    RIGHT,
  ),
  time: columnWith(
    'TIME s',
    8,
    ({ durations }) => (durations.sum / NS_PER_S).toFixed(3),
    ({ durations }) => ({ time_seconds: seconds(durations.sum) }),
    RIGHT,
  ),
  p50: durationColumn('P50 ms', 'p50'),
  p95: durationColumn('P95 ms', 'p95'),
  p99: durationColumn('P99 ms', 'p99'),
  errors: columnWith(
    'ERRORS',
    6,
    ({ errors }) => errors,
    ({ errors }) => ({ errors }),
    RIGHT,
  ),
};

/** The head of the column that a table is sorted by. */
export const sortTitle = (sort: Sort): string => sortColumns[sort].title;

/** `without`: sorts that have no column. */
export function groupColumns(
  by: Grouping,
  wide = false,
  without: readonly Sort[] = [],
): readonly Column<Group>[] {
  return [
    ...namesOf(by, wide),
    ...SORTS.filter((sort) => !without.includes(sort)).map((sort) => sortColumns[sort]),
    columnWith('WHERE THE TIME GOES', 0, sharesText, shareFields),
  ];
}

/**
 * Characters for the part that dominates and what explains it, `request_transfer 80% (reordering 70%)`; a
 * narrow terminal has no room for all columns beside them.
 */
const PARTS_WIDTH = 37;
/** What it does without, first that which tells least. */
const DISPENSABLE: readonly Sort[] = ['rate', 'p50', 'errors', 'time', 'p95', 'count', 'p99'];

/** The columns that fit into so many characters, with that of the sort. */
export function fittingColumns(
  by: Grouping,
  wide: boolean,
  sort: Sort,
  width: number,
): readonly Column<Group>[] {
  const without: Sort[] = [];
  const widthOf = (columns: readonly Column<Group>[]): number =>
    columns.reduce((sum, column) => sum + column.width + 1, PARTS_WIDTH - 1);
  for (const one of DISPENSABLE) {
    if (widthOf(groupColumns(by, wide, without)) <= width) break;
    if (one !== sort) without.push(one);
  }
  return groupColumns(by, wide, without);
}
