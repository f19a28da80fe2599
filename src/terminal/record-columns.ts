/** Columns of what records of many kinds have: time, process, family, the two ends. Pure. */
import { formatEndpoint } from '../metrics/address.js';
import { column, columnWith, type Column, type Layout } from './column.js';
import { clockTime } from '../metrics/wall-clock.js';

export interface Timed {
  readonly tsNs: number;
}

/** pid 0: the process is not known. */
export interface Owned {
  readonly pid: number;
  readonly comm: string;
}

export interface Ends {
  /** The kernel's number. */
  readonly family: number;
  readonly localAddr: string;
  readonly localPort: number;
  readonly peerAddr: string;
  readonly peerPort: number;
}

export type Side = 'local' | 'peer';

const AF_INET6 = 10;

/** `HH:MM:SS` for a person, with date and fraction for a program. */
export function clockColumn<R extends Timed>(
  width: number,
  wallMs: (tsNs: number) => number,
): Column<R> {
  return columnWith(
    'TIME',
    width,
    ({ tsNs }) => clockTime(wallMs(tsNs)),
    ({ tsNs }) => ({ time: new Date(wallMs(tsNs)).toISOString() }),
  );
}

export function pidColumn<R extends Owned>(width: number): Column<R> {
  return column('PID', width, 'pid', ({ pid }) => (pid === 0 ? null : pid));
}

export function commColumn<R extends Owned>(width: number, layout: Layout = {}): Column<R> {
  return column('COMM', width, 'process', ({ pid, comm }) => (pid === 0 ? null : comm), layout);
}

/** 4 or 6. */
export function ipColumn<R extends Ends>(): Column<R> {
  const isV6 = ({ family }: R): boolean => family === AF_INET6;
  return columnWith(
    'IP',
    2,
    (r) => (isV6(r) ? 6 : 4),
    (r) => ({ network_type: isV6(r) ? 'ipv6' : 'ipv4' }),
  );
}

/** `ADDRESS:PORT` of the end that `sideOf` names, which may be the one or the other. */
export function endColumn<R extends Ends>(
  title: string,
  width: number,
  sideOf: (record: R) => Side,
  layout: Layout = {},
): Column<R> {
  const end = (r: R): readonly [address: string, port: number] =>
    sideOf(r) === 'local' ? [r.localAddr, r.localPort] : [r.peerAddr, r.peerPort];
  const fields = (r: R): Readonly<Record<string, unknown>> => {
    const [address, port] = end(r);
    return { [`network_${sideOf(r)}_address`]: address, [`network_${sideOf(r)}_port`]: port };
  };
  return columnWith(title, width, (r) => formatEndpoint(...end(r)), fields, layout);
}

/** What only programs are told, and only in JSON. */
export function jsonFields<R>(
  isJson: boolean,
  fields: (record: R) => Readonly<Record<string, unknown>>,
): readonly Column<R>[] {
  return isJson ? [{ ...columnWith<R>('', 0, () => null, fields), inTable: false }] : [];
}
