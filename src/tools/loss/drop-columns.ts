/** The columns of the tools that show drops: tcpdrop and tcp_inerrs. Pure. */
import { stateName } from '../../sources/tcp-states.js';
import { formatAddress } from '../../metrics/address.js';
import type { DropRecord, SegmentFault } from '../../sources/drop.js';
import { column, columnWith, type Column } from '../../terminal/column.js';
import {
  acceptedByColumn,
  clockColumn,
  commColumn,
  endColumn,
  ipColumn,
  jsonFields,
  pidColumn,
  type Side,
} from '../../terminal/record-columns.js';

type R = DropRecord;

/** By bit. */
const FLAGS = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR'] as const;

/** Names of the flags that are set, lowest bit first. */
export function flagNames(flags: number): string[] {
  return FLAGS.filter((_, bit) => ((flags >> bit) & 1) === 1);
}

/** Who sent the packet: the other end if it was received. */
const sender = ({ rx }: R): Side => (rx === 1 ? 'peer' : 'local');
const receiver = ({ rx }: R): Side => (rx === 1 ? 'local' : 'peer');

/** `ESTABLISHED (PSH|ACK)`; the state is the socket's, the flags are the packet's. */
const STATE_AND_FLAGS: Column<R> = columnWith(
  'STATE (FLAGS)',
  20,
  ({ state, tcpFlags }) => `${stateName(state) ?? 'N/A'} (${flagNames(tcpFlags).join('|')})`,
  ({ state, tcpFlags }) => ({ state: stateName(state), tcp_flags: flagNames(tcpFlags) }),
);

const REASON: Column<R> = columnWith(
  'REASON (CODE)',
  0,
  ({ reasonName, reason, isKeepalive }) =>
    reasonName === null ? null : `${reasonName} (${reason})${isKeepalive ? ' keepalive' : ''}`,
  ({ reasonName, reason, isKeepalive }) => ({
    reason: reasonName,
    reason_code: reasonName === null ? null : reason,
    ...(isKeepalive ? { keepalive: true } : {}),
  }),
);

/** What the packet was, which no column shows. */
const packetFields = ({ rx, seq, ack, skbBytes, sock, netns }: R): Record<string, unknown> => ({
  network_io_direction: rx === 1 ? 'receive' : 'transmit',
  seq,
  ack,
  packet_bytes: skbBytes,
  sock: sock === 0 ? null : formatAddress(sock),
  netns,
});

/** `frames`: the way through the kernel that led to a drop; null: it is not wanted. */
export function dropColumns(
  isJson: boolean,
  wallMs: (tsNs: number) => number,
  frames: ((record: R) => readonly string[]) | null,
): readonly Column<R>[] {
  return [
    clockColumn(8, wallMs),
    pidColumn(7),
    ipColumn(),
    endColumn('SADDR:SPORT', 20, sender),
    endColumn('DADDR:DPORT', 20, receiver, { before: ' > ' }),
    STATE_AND_FLAGS,
    REASON,
    ...jsonFields<R>(isJson, (r) => ({ process: r.pid === 0 ? null : r.comm })),
    ...acceptedByColumn<R>(isJson),
    ...jsonFields(isJson, packetFields),
    ...(frames === null ? [] : jsonFields<R>(isJson, (r) => ({ stack: frames(r) }))),
  ];
}

/** As lmp's tool calls them. */
const FAULT_WORDS: Readonly<Record<SegmentFault, string>> = {
  sequence: 'invalid seq',
  'data-offset': 'invalid doff',
  checksum: 'checksum',
};

/** What is wrong in lmp's words for a person, and in the kernel's too for a program. */
const FAULT: Column<R> = columnWith(
  'REASON',
  12,
  ({ fault }) => (fault === null ? null : FAULT_WORDS[fault]),
  ({ fault, reasonName, reason }) => ({
    error: fault === null ? null : FAULT_WORDS[fault],
    reason: reasonName,
    reason_code: reasonName === null ? null : reason,
  }),
);

export function faultColumns(
  isJson: boolean,
  wallMs: (tsNs: number) => number,
): readonly Column<R>[] {
  return [
    clockColumn(9, wallMs),
    pidColumn(7),
    commColumn(12),
    ipColumn(),
    endColumn('SADDR:SPORT', 24, sender),
    endColumn('DADDR:DPORT', 24, receiver, { before: ' > ' }),
    FAULT,
    column('STATE', 0, 'state', ({ state }) => stateName(state)),
    ...acceptedByColumn<R>(isJson),
    ...jsonFields<R>(isJson, ({ tcpFlags }) => ({ tcp_flags: flagNames(tcpFlags) })),
    ...jsonFields(isJson, packetFields),
  ];
}
