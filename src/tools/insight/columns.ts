/** The columns of tcp-insight: TIME COMM PID TID EVENT SADDR:SPORT … DETAILS. Pure. */
import { formatAddress } from '../../metrics/address.js';
import type { InsightRecord, KernelNames } from '../../sources/insight.js';
import { column, type Column } from '../../terminal/column.js';
import { timeOfDay } from '../../metrics/wall-clock.js';
import {
  acceptedByField,
  commColumn,
  endColumn,
  pidColumn,
  timeField,
} from '../../terminal/record-columns.js';
import { detailsOf, detailsText, eventName, srttUs } from './details.js';
import { EVENTS_WITH_BYTES } from '../../sources/insight-events.js';
import { stateName } from '../../sources/tcp-states.js';

type R = InsightRecord;

/** What is 0 where it is not known. */
const known = (value: number): number | null => (value === 0 ? null : value);

/** Bytes of an event that has some. */
function bytesOf({ event, bytes }: R): number | null {
  return ((EVENTS_WITH_BYTES >> event) & 1) === 1 ? bytes : null;
}

/** `OLD->NEW` for a change of state. */
function stateText({ oldState, state }: R): string | null {
  const now = stateName(state);
  return oldState === 0 ? now : `${stateName(oldState) ?? ''}->${now ?? ''}`;
}

function rttUs(r: R): number | null {
  const us = srttUs(r.srttUs);
  return us === null ? null : Math.floor(us);
}

function timeColumn(inTable: boolean, wallMs: (tsNs: number) => number): Column<R> {
  return {
    title: 'TIME',
    width: 12,
    inTable,
    cell: ({ tsNs }) => timeOfDay(wallMs(tsNs)),
    fields: timeField(wallMs),
  };
}

const STATE: Column<R> = {
  title: 'STATE',
  width: 12,
  inTable: true,
  cell: stateText,
  fields: ({ oldState, state }) => ({
    state: stateName(state),
    ...(oldState === 0 ? {} : { state_before: stateName(oldState) }),
  }),
};

function detailsColumn(names: KernelNames): Column<R> {
  return {
    title: 'DETAILS',
    width: 0,
    inTable: true,
    cell: (r) => detailsText(r, names),
    fields: (r) => ({ details: detailsOf(r, names) }),
  };
}

/** In JSON alone: which socket, since when, and who accepted it. */
const SOCKET: Column<R> = {
  title: 'SOCK',
  width: 16,
  inTable: false,
  cell: ({ sock }) => formatAddress(sock),
  fields: (r) => ({
    sock: r.sock === 0 ? null : formatAddress(r.sock),
    age_ms: r.ageNs === null ? null : r.ageNs / 1e6,
    ...acceptedByField(r),
  }),
};

export function insightColumns(
  timestamps: boolean,
  wallMs: (tsNs: number) => number,
  names: KernelNames,
): readonly Column<R>[] {
  return [
    timeColumn(timestamps, wallMs),
    commColumn(16),
    pidColumn(6),
    column('TID', 6, 'tid', ({ tid }) => known(tid)),
    column('EVENT', 15, 'event', eventName),
    endColumn('SADDR:SPORT', 22, () => 'local'),
    endColumn('DADDR:DPORT', 22, () => 'peer'),
    STATE,
    column('CWND', 6, 'cwnd', ({ cwnd }) => known(cwnd)),
    column('RTT', 6, 'rtt_us', rttUs),
    column('BYTES', 8, 'bytes', bytesOf),
    SOCKET,
    detailsColumn(names),
  ];
}
