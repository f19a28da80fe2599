/** What tcpcong shows: a row for each connection, or a histogram for each state. Pure. */
import type { FlowCounts, StateCounts } from '../../sources/congestion.js';
import { column, type Column } from '../../terminal/column.js';
import {
  histogramBlock,
  onlyData,
  onlyTable,
  rowsBlock,
  textBlock,
  type Block,
} from '../../terminal/report.js';
import { CONGESTION_STATES, type CongestionState } from '../../sources/tcp-states.js';

export interface TimeUnit {
  /** In titles and names of fields. */
  readonly name: 'ms' | 'us';
  /** Above the bars. */
  readonly plural: 'msecs' | 'usecs';
  readonly ns: number;
}

export const MILLISECONDS: TimeUnit = { name: 'ms', plural: 'msecs', ns: 1e6 };
export const MICROSECONDS: TimeUnit = { name: 'us', plural: 'usecs', ns: 1000 };

/** bcc's columns. */
const STATE_COLUMNS: readonly (readonly [title: string, width: number, state: CongestionState])[] =
  [
    ['Open', 7, 'open'],
    ['Dod', 6, 'disorder'],
    ['Rcov', 7, 'recovery'],
    ['Cwr', 7, 'cwr'],
    ['Los', 6, 'loss'],
  ];

const isV6 = ({ localAddr }: FlowCounts): boolean => localAddr.includes(':');

const timeIn = ({ timeNs }: FlowCounts, state: CongestionState, { ns }: TimeUnit): number =>
  (timeNs[CONGESTION_STATES.indexOf(state)] ?? 0) / ns;

/** Whole units, as bcc shows them. */
function tableColumns(unit: TimeUnit, suffix: string, width: number): Column<FlowCounts>[] {
  return [
    column(
      `LAddrPort${suffix}`,
      width,
      '',
      ({ localAddr, localPort }) => `${localAddr}/${localPort}`,
    ),
    column(`RAddrPort${suffix}`, width, '', ({ peerAddr, peerPort }) => `${peerAddr}/${peerPort}`),
    ...STATE_COLUMNS.map(([title, size, state]) =>
      column<FlowCounts>(`${title}_${unit.name}`, size, '', (flow) =>
        Math.floor(timeIn(flow, state, unit)),
      ),
    ),
    column('Chgs', 5, '', ({ changes }) => changes),
  ];
}

function dataColumns(unit: TimeUnit): Column<FlowCounts>[] {
  return [
    column('LADDR', 0, 'network_local_address', ({ localAddr }) => localAddr),
    column('LPORT', 0, 'network_local_port', ({ localPort }) => localPort),
    column('RADDR', 0, 'network_peer_address', ({ peerAddr }) => peerAddr),
    column('RPORT', 0, 'network_peer_port', ({ peerPort }) => peerPort),
    ...STATE_COLUMNS.map(([title, , state]) =>
      column<FlowCounts>(`${title}_${unit.name}`, 0, `${state}_${unit.name}`, (flow) =>
        timeIn(flow, state, unit),
      ),
    ),
    column('Chgs', 0, 'changes', ({ changes }) => changes),
  ];
}

/** In place of an empty table. */
const NO_CHANGE = textBlock('no connection has changed its state of congestion control');

/** IPv4, then IPv6; by local port, as bcc. */
export function flowBlocks(flows: readonly FlowCounts[], unit: TimeUnit): Block[] {
  const sorted = [...flows].sort((a, b) => a.localPort - b.localPort || a.peerPort - b.peerPort);
  const v4 = sorted.filter((flow) => !isV6(flow));
  const v6 = sorted.filter(isV6);
  return [
    ...(flows.length === 0 ? [NO_CHANGE] : []),
    ...(v4.length === 0 ? [] : [onlyTable(rowsBlock(tableColumns(unit, '', 21), v4))]),
    ...(v6.length === 0 ? [] : [onlyTable(rowsBlock(tableColumns(unit, '6', 32), v6))]),
    onlyData(rowsBlock(dataColumns(unit), sorted)),
  ];
}

export function stateBlocks(states: readonly StateCounts[], { plural: unit }: TimeUnit): Block[] {
  const left = states.filter(({ visits }) => visits > 0);
  if (left.length === 0) return [NO_CHANGE];
  return left.flatMap(({ state, buckets: counts }) => {
    const title = `tcp_congest_state = ${state}`;
    return [textBlock(''), histogramBlock({ title, labels: { state }, unit, counts })];
  });
}
