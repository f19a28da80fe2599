/** The columns that the tools of the source life share. Pure. */
import type { LifeRecord } from '../../sources/life.js';
import { column, columnWith, type Column, type Layout } from '../../terminal/column.js';
import type { CommonOptions, Context } from '../../terminal/common.js';
import { clockTime } from '../../metrics/wall-clock.js';

type R = LifeRecord;
export type LifeColumn = Column<R>;
export type Side = 'local' | 'peer';

const NS_PER_S = 1e9;
const NS_PER_MS = 1e6;
const AF_INET = 2;

const nothing = (): Readonly<Record<string, unknown>> => ({});

/** The moment as programs want it: with the date, whatever columns are shown. */
export function timeForPrograms(
  options: CommonOptions,
  { wallMs }: Context,
): readonly LifeColumn[] {
  const iso = ({ tsNs }: R): string => new Date(wallMs(tsNs)).toISOString();
  return optional(false, options, column('TIME', 0, 'time', iso));
}

/** `HH:MM:SS`. */
export function clockColumn(width: number, { wallMs }: Context): LifeColumn {
  return columnWith('TIME', width, ({ tsNs }) => clockTime(wallMs(tsNs)), nothing);
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

const known = (r: R): boolean => r.pid !== 0;

export function pidColumn(width: number, title = 'PID'): LifeColumn {
  return column(title, width, 'pid', (r) => (known(r) ? r.pid : null));
}

export function commColumn(width: number, layout: Layout = {}, title = 'COMM'): LifeColumn {
  return column(title, width, 'process', (r) => (known(r) ? r.comm : null), layout);
}

export function uidColumn(): LifeColumn {
  return column('UID', 6, 'uid', (r) => (known(r) ? r.uid : null));
}

const isV4 = ({ family }: R): boolean => family === AF_INET;

/** 4 or 6. */
export function ipColumn(): LifeColumn {
  return columnWith(
    'IP',
    2,
    (r) => (isV4(r) ? 4 : 6),
    (r) => ({ network_type: isV4(r) ? 'ipv4' : 'ipv6' }),
  );
}

export function addressOf(r: R, side: Side): string {
  return side === 'local' ? r.localAddr : r.peerAddr;
}

export function addressColumn(title: string, side: Side, width: number): LifeColumn {
  return column(title, width, `network_${side}_address`, (r) => addressOf(r, side));
}

/** The same with IPv6 in brackets. */
export function bracketColumn(title: string, side: Side, width: number): LifeColumn {
  return columnWith(
    title,
    width,
    (r) => (isV4(r) ? addressOf(r, side) : `[${addressOf(r, side)}]`),
    (r) => ({ [`network_${side}_address`]: addressOf(r, side) }),
  );
}

export function portColumn(title: string, side: Side, width: number): LifeColumn {
  return column(title, width, `network_${side}_port`, (r) =>
    side === 'local' ? r.localPort : r.peerPort,
  );
}

export function millisecondsOf(ns: number | null): number | null {
  return ns === null ? null : ns / NS_PER_MS;
}

/** How long it took; what is not known is 0 to a person, as the originals show it. */
export function durationColumn(title: string, decimals: number): LifeColumn {
  return columnWith(
    title,
    0,
    ({ durationNs }) => ((durationNs ?? 0) / NS_PER_MS).toFixed(decimals),
    ({ durationNs }) => ({ duration_ms: millisecondsOf(durationNs) }),
  );
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
