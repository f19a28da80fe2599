/** The columns of solisten: bcc's, or those of libbpf-tools. Pure. */
import { getSystemErrorName } from 'node:util';
import { formatAddress } from '../../metrics/address.js';
import { ipVersion, networkType } from '../../sources/address-family.js';
import type { ListenRecord } from '../../sources/listen.js';
import { column, columnWith, type Column } from '../../terminal/column.js';
import type { CommonOptions } from '../../terminal/common.js';
import { clockColumn, commColumn, jsonFields, pidColumn } from '../../terminal/record-columns.js';

type R = ListenRecord;

export interface ListenColumns extends CommonOptions {
  readonly showNetns: boolean;
  readonly timestamp: boolean;
  /** The columns of libbpf-tools: bcc's do not say whether the call succeeded. */
  readonly ret: boolean;
}

const protocol = ({ family }: R): string => `TCPv${ipVersion(family)}`;

/** An address is the socket's own; `::` is any, also of IPv4. */
const address = (width: number): Column<R> =>
  column('ADDR', width, 'network_local_address', ({ localAddr }) => localAddr);
const port: Column<R> = column('PORT', 5, 'network_local_port', ({ localPort }) => localPort);
const backlog = (width: number): Column<R> => column('BACKLOG', width, 'backlog', (r) => r.backlog);

const protocolColumn = (width: number): Column<R> =>
  columnWith('PROTO', width, protocol, ({ family }) => ({
    network_transport: 'tcp',
    network_type: networkType(ipVersion(family)),
  }));

const netns: Column<R> = column('NETNS', 12, 'netns', (r) => r.netns);

/** 0, or a negative errno as the kernel returns it. */
const result: Column<R> = columnWith(
  'RET',
  3,
  ({ error }) => (error === 0 ? 0 : -error),
  () => ({}),
);

/** What no column shows to a program. */
const outcome = ({ requested, sock, error }: R): Readonly<Record<string, unknown>> => ({
  error: error === 0 ? null : getSystemErrorName(-error),
  // an int: -1 asks for as much as there may be
  backlog_requested: requested | 0,
  sock: formatAddress(sock),
});

export function listenColumns(
  { showNetns, timestamp, ret, output }: ListenColumns,
  wallMs: (tsNs: number) => number,
): readonly Column<R>[] {
  const isJson = output === 'json';
  const time = { ...clockColumn<R>(8, wallMs), title: 'TIME(s)', inTable: timestamp };
  const front = timestamp || isJson ? [time] : [];
  const inNetns = showNetns || isJson ? [{ ...netns, inTable: showNetns }] : [];
  const columns = ret
    ? [pidColumn<R>(7), commColumn<R>(16), ...inNetns, result, backlog(7), protocolColumn(5)]
    : [pidColumn<R>(7), commColumn<R>(12, { most: 12 }), ...inNetns, protocolColumn(6), backlog(8)];
  return [...front, ...columns, port, address(ret ? 32 : 39), ...jsonFields(isJson, outcome)];
}
