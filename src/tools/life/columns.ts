/** The columns that the tools of the source life share. Pure. */
import type { LifeRecord } from '../../sources/life.js';
import { ipVersion } from '../../sources/address-family.js';
import { column, columnWith, type Column } from '../../terminal/column.js';
import type { CommonOptions, Context } from '../../terminal/common.js';
import { addressOf, clockColumn, type Side } from '../../terminal/record-columns.js';

type R = LifeRecord;
export type LifeColumn = Column<R>;

const NS_PER_S = 1e9;
const NS_PER_MS = 1e6;

const nothing = (): Readonly<Record<string, unknown>> => ({});

/** The moment as programs want it: with the date, whatever columns are shown. */
export function timeForPrograms(
  options: CommonOptions,
  { wallMs }: Context,
): readonly LifeColumn[] {
  return optional(false, options, clockColumn(0, wallMs));
}

/** `HH:MM:SS`; programs have the time from {@link timeForPrograms}. */
export function wallClockColumn(width: number, { wallMs }: Context): LifeColumn {
  return { ...clockColumn<R>(width, wallMs), fields: nothing };
}

/** Time since the first event that was shown, which may be a little later than the next one. */
function sinceFirst(): (record: R) => number {
  let firstNs: number | null = null;
  return ({ tsNs }) => {
    firstNs ??= tsNs;
    return tsNs - firstNs;
  };
}

/** Seconds since the first event. */
export function secondsColumn(decimals: number): LifeColumn {
  const since = sinceFirst();
  const unit = 10 ** decimals;
  // rounded by hand, as there is no -0.000
  const text = (ns: number): string =>
    (Math.round((ns / NS_PER_S) * unit) / unit).toFixed(decimals);
  return columnWith('TIME(s)', 9, (r) => text(since(r)), nothing);
}

/** Nanoseconds since the first event. */
export function nanosecondsColumn(): LifeColumn {
  return columnWith('TIME(ns)', 14, sinceFirst(), nothing);
}

export function uidColumn(): LifeColumn {
  return column('UID', 6, 'uid', (r) => (r.pid === 0 ? null : r.uid));
}

/** An address, IPv6 in brackets. */
export function bracketColumn(title: string, side: Side, width: number): LifeColumn {
  return columnWith(
    title,
    width,
    (r) => (ipVersion(r.family) === 4 ? addressOf(r, side) : `[${addressOf(r, side)}]`),
    (r) => ({ [`network_${side}_address`]: addressOf(r, side) }),
  );
}

export function millisecondsOf(ns: number | null): number | null {
  return ns === null ? null : ns / NS_PER_MS;
}

const durationField = ({ durationNs }: R): Readonly<Record<string, unknown>> => ({
  duration_ms: millisecondsOf(durationNs),
});

/** How long it took; what is not known is 0 to a person, as the originals show it. */
export function durationColumn(title: string, decimals: number): LifeColumn {
  const cell = ({ durationNs }: R): string => ((durationNs ?? 0) / NS_PER_MS).toFixed(decimals);
  return columnWith(title, 0, cell, durationField);
}

/** How long connect() waited; not known of one that is older than the tool. */
export function latencyColumn(): LifeColumn {
  const cell = ({ durationNs }: R): string | null =>
    durationNs === null ? null : (durationNs / NS_PER_MS).toFixed(2);
  return columnWith('LAT(ms)', 0, cell, durationField);
}

/** Columns in front of others with nothing between them but their own width. */
export function glued(front: readonly LifeColumn[], rest: readonly LifeColumn[]): LifeColumn[] {
  return [...front, ...rest].map((one, i) => (i <= front.length ? { ...one, before: '' } : one));
}

/** A column that people see only if they ask for it; programs that read JSON always get it. */
export function optional(
  asked: boolean,
  { output }: CommonOptions,
  one: LifeColumn,
): readonly LifeColumn[] {
  if (asked) return [one];
  return output === 'json' ? [{ ...one, inTable: false }] : [];
}
