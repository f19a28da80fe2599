/** Columns of what records of many kinds have: time, process, family, the two ends. Pure. */
import { formatEndpoint } from '../metrics/address.js';
import { ipVersion, networkType } from '../sources/address-family.js';
import { column, columnWith, type Column, type Layout } from './column.js';
import type { CgroupNames, NamesOf } from '../sources/cgroup-names.js';
import { cgroupFields } from '../metrics/ndjson.js';
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

/** The moment as a program reads it: date and fraction, UTC. */
export function timeField(wallMs: (tsNs: number) => number) {
  return ({ tsNs }: Timed): { readonly time: string } => ({
    time: new Date(wallMs(tsNs)).toISOString(),
  });
}

/** `HH:MM:SS` for a person, with date and fraction for a program. */
export function clockColumn<R extends Timed>(
  width: number,
  wallMs: (tsNs: number) => number,
): Column<R> {
  return columnWith('TIME', width, ({ tsNs }) => clockTime(wallMs(tsNs)), timeField(wallMs));
}

/** The socket's owner, which may have another name in the head. */
export function pidColumn<R extends Owned>(width: number, title = 'PID'): Column<R> {
  return column(title, width, 'pid', ({ pid }) => (pid === 0 ? null : pid));
}

export function commColumn<R extends Owned>(
  width: number,
  layout: Layout = {},
  title = 'COMM',
): Column<R> {
  return column(title, width, 'process', ({ pid, comm }) => (pid === 0 ? null : comm), layout);
}

/** 4 or 6. */
export function ipColumn<R extends Ends>(): Column<R> {
  return columnWith(
    'IP',
    2,
    ({ family }) => ipVersion(family),
    ({ family }) => ({ network_type: networkType(ipVersion(family)) }),
  );
}

export function addressOf(record: Ends, side: Side): string {
  return side === 'local' ? record.localAddr : record.peerAddr;
}

function portOf(record: Ends, side: Side): number {
  return side === 'local' ? record.localPort : record.peerPort;
}

export function addressColumn<R extends Ends>(
  title: string,
  side: Side,
  width: number,
  layout: Layout = {},
): Column<R> {
  return column(title, width, `network_${side}_address`, (r) => addressOf(r, side), layout);
}

export function portColumn<R extends Ends>(
  title: string,
  side: Side,
  width: number,
  layout: Layout = {},
): Column<R> {
  return column(title, width, `network_${side}_port`, (r) => portOf(r, side), layout);
}

/** `ADDRESS:PORT` of the end that `sideOf` names, which may be the one or the other. */
export function endColumn<R extends Ends>(
  title: string,
  width: number,
  sideOf: (record: R) => Side,
  layout: Layout = {},
): Column<R> {
  const end = (r: R): readonly [address: string, port: number] => [
    addressOf(r, sideOf(r)),
    portOf(r, sideOf(r)),
  ];
  const fields = (r: R): Readonly<Record<string, unknown>> => {
    const [address, port] = end(r);
    return { [`network_${sideOf(r)}_address`]: address, [`network_${sideOf(r)}_port`]: port };
  };
  return columnWith(title, width, (r) => formatEndpoint(...end(r)), fields, layout);
}

/** Of a connection that another process has accepted than its owner; pid 0: none. */
interface Accepted {
  readonly acceptedBy: number;
  readonly acceptedByComm: string;
}

/** Absent where nobody else has accepted it, or nobody knows. */
export function acceptedByField({
  acceptedBy,
  acceptedByComm,
}: Accepted): Readonly<Record<string, unknown>> {
  return acceptedBy === 0 ? {} : { accepted_by: { pid: acceptedBy, process: acceptedByComm } };
}

/** For programs that read JSON: the process that accepted the connection, if another has it. */
export function acceptedByColumn<R extends Accepted>(isJson: boolean): readonly Column<R>[] {
  return jsonFields(isJson, acceptedByField);
}

/** What only programs are told, and only in JSON. */
export function jsonFields<R>(
  isJson: boolean,
  fields: (record: R) => Readonly<Record<string, unknown>>,
): readonly Column<R>[] {
  return isJson ? [{ ...columnWith<R>('', 0, () => null, fields), inTable: false }] : [];
}

/** What the cgroup of a record is called; undefined: it has none. */
export function namesIn(namesOf: NamesOf): (record: object) => CgroupNames | null | undefined {
  return (record) =>
    'cgroup' in record && typeof record.cgroup === 'number' ? namesOf(record.cgroup) : undefined;
}

/** For programs that read JSON: unit, container and pod of what knows its cgroup. */
export function namesColumn<R extends object>(
  isJson: boolean,
  namesOf: NamesOf,
): readonly Column<R>[] {
  const find = namesIn(namesOf);
  return jsonFields(isJson, (record) => {
    const names = find(record);
    return names === undefined ? {} : cgroupFields(names);
  });
}

/** Heads of columns that say which process it is. */
const WHICH_PROCESS = new Set(['PID', 'C-PID', 'TID', 'COMM', 'C-COMM', 'PROCESS']);
const UNIT_WIDTH = 20;

/**
 * With `--show-unit`: behind the process its container, or else its unit, to which --container and --unit
 * would choose it. JSON has both, and the pod, without being asked.
 */
export function withUnit<R>(
  columns: readonly Column<R>[],
  namesOf: (record: R) => CgroupNames | null | undefined,
): readonly Column<R>[] {
  const behind = columns.findLastIndex(({ title }) => WHICH_PROCESS.has(title)) + 1;
  const name = (record: R): string | null => {
    const { container, unit, pod } = namesOf(record) ?? {};
    return container ?? unit ?? pod ?? null;
  };
  const unit = columnWith('UNIT', UNIT_WIDTH, name, () => ({}));
  return columns.toSpliced(behind, 0, unit);
}
