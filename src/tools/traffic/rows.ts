/**
 * Bytes by process and connection as tcptop and tcp_bytes show them: IPv4 and IPv6 in blocks of
 * their own, whose columns differ, most bytes first; for a program all in one. Pure.
 */
import type { Snapshot } from '../../metrics/snapshot.js';
import { ipVersion } from '../../sources/address-family.js';
import type { BytesSource, TrafficRow } from '../../sources/bytes.js';
import { column, columnWith, type Column } from '../../terminal/column.js';
import type { NamesOf } from '../../sources/cgroup-names.js';
import { namesColumn, namesIn, withUnit } from '../../terminal/record-columns.js';
import { onlyData, onlyTable, rowsBlock, textBlock, type Block } from '../../terminal/report.js';

/** What rows are sorted by: names as in bcc's libbpf tools. */
export const SORTS = ['all', 'sent', 'received'] as const;
export type Sort = (typeof SORTS)[number];

/** How a tool calls the two ends, and how wide they are. */
export interface TrafficLayout {
  readonly ipv4: { readonly local: string; readonly peer: string; readonly width: number };
  readonly ipv6: { readonly local: string; readonly peer: string; readonly width: number };
}

const BYTES_OF: Readonly<Record<Sort, (row: TrafficRow) => number>> = {
  all: ({ sent, received }) => sent + received,
  sent: ({ sent }) => sent,
  received: ({ received }) => received,
};

function kilobytes(title: string, field: 'sent' | 'received'): Column<TrafficRow> {
  return columnWith(
    title,
    6,
    (row) => Math.floor(row[field] / 1024),
    (row) => ({ [`bytes_${field}`]: row[field] }),
    { alignRight: true },
  );
}

function columnsOf({ local, peer, width }: TrafficLayout['ipv4']): readonly Column<TrafficRow>[] {
  return [
    column('PID', 7, 'pid', ({ pid }) => pid),
    column('COMM', 12, 'process', ({ comm }) => comm, { most: 12 }),
    columnWith(
      local,
      width,
      ({ localAddr, localPort }) => `${localAddr}:${localPort}`,
      ({ localAddr, localPort }) => ({
        network_local_address: localAddr,
        network_local_port: localPort,
      }),
    ),
    columnWith(
      peer,
      width,
      ({ peerAddr, peerPort }) => `${peerAddr}:${peerPort}`,
      ({ peerAddr, peerPort }) => ({ network_peer_address: peerAddr, network_peer_port: peerPort }),
    ),
    kilobytes('RX_KB', 'received'),
    kilobytes('TX_KB', 'sent'),
  ];
}

/** So that rows with as many bytes do not change places on the screen. */
function byEnds(a: TrafficRow, b: TrafficRow): number {
  return a.pid - b.pid || a.localPort - b.localPort || a.peerPort - b.peerPort;
}

/** Most bytes first; `most` of them, or all. */
export function topRows(
  rows: readonly TrafficRow[],
  sort: Sort = 'all',
  most = Infinity,
): readonly TrafficRow[] {
  const bytes = BYTES_OF[sort];
  return [...rows].sort((a, b) => bytes(b) - bytes(a) || byEnds(a, b)).slice(0, most);
}

/** A family without rows has no block; before the rows of IPv6 there is an empty line. */
export function trafficBlocks(
  rows: readonly TrafficRow[],
  { ipv4, ipv6 }: TrafficLayout,
  namesOf?: NamesOf,
  showUnit = false,
): readonly Block[] {
  const columnsFor = (layout: TrafficLayout['ipv4']): readonly Column<TrafficRow>[] =>
    showUnit && namesOf ? withUnit(columnsOf(layout), namesIn(namesOf)) : columnsOf(layout);
  const v4 = rows.filter(({ family }) => ipVersion(family) === 4);
  const v6 = rows.filter(({ family }) => ipVersion(family) === 6);
  return [
    ...(v4.length === 0 ? [] : [onlyTable(rowsBlock(columnsFor(ipv4), v4))]),
    ...(v6.length === 0 ? [] : [textBlock(''), onlyTable(rowsBlock(columnsFor(ipv6), v6))]),
    onlyData({
      ...rowsBlock(columnsFor(ipv4), rows),
      json: rowsBlock([...columnsFor(ipv4), ...(namesOf ? namesColumn(true, namesOf) : [])], rows)
        .json,
    }),
  ];
}

/** What processes sent and received since the start, by their names. */
export function addTrafficTotals(tool: string, source: BytesSource, snapshot: Snapshot): void {
  for (const [process, { sent, received }] of source.totals()) {
    const add = (direction: 'transmit' | 'receive', bytes: number): void => {
      const labels = { tool, process, network_io_direction: direction } as const;
      snapshot.add('netwatch_tcp_process_bytes_total', labels, bytes);
    };
    add('transmit', sent);
    add('receive', received);
  }
}
