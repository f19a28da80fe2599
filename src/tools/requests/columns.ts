/** Columns of `netwatch requests`: an exchange as a row, with its parts in milliseconds. */
import { exchangeEvent } from '../../sources/exchange-event.js';
import {
  causeOf,
  httpMethod,
  isAnswered,
  largestPart,
  outcomeOf,
  PARTS,
  sideOf,
  type Exchange,
  type PartName,
  type Side,
} from '../../sources/exchange.js';
import { columnWith, type Cell, type Column, type Layout } from '../../terminal/column.js';
import type { Context } from '../../terminal/common.js';
import type { Format } from '../../terminal/format.js';
import { addressColumn, portColumn } from '../../terminal/record-columns.js';
import { timeOfDay } from '../../metrics/wall-clock.js';
import { milliseconds, partNames, partTitle } from './words.js';

/** Behind the largest part of an exchange. */
const MARK = '*';
/** A part that the other side of an exchange has. */
const NONE = '-';
const NUMBER_WIDTH = 9;
const TARGET_WIDTH = 32;
const RIGHT: Layout = { alignRight: true };

export interface RowOptions {
  readonly output: Format;
  /** Targets as long as they are. */
  readonly wide: boolean;
  /** Null: both. */
  readonly side: Side | null;
}

/** For a table and CSV: what JSON says of it is in the object of the whole exchange. */
const shown = (
  title: string,
  width: number,
  cell: (exchange: Exchange) => Cell,
  layout: Layout = {},
): Column<Exchange> => columnWith(title, width, cell, () => ({}), layout);

/** Only CSV has room for it. */
const besides = (title: string, cell: (exchange: Exchange) => Cell): Column<Exchange> => ({
  ...shown(title, 0, cell),
  inTable: false,
});

function partCell(name: PartName, isTable: boolean): (exchange: Exchange) => Cell {
  return (exchange) => {
    const part = PARTS[sideOf(exchange.role)].find((one) => one.name === name);
    if (part === undefined) return isTable ? NONE : null;
    const ns = exchange.partNs[part.index] ?? null;
    if (ns === null) return null;
    const text = milliseconds(ns);
    return isTable && largestPart(exchange)?.name === name ? text + MARK : text;
  };
}

const statusCell = (exchange: Exchange): Cell =>
  isAnswered(exchange) ? exchange.status : outcomeOf(exchange.outcome);

export function exchangeColumns(
  { output, wide, side }: RowOptions,
  { wallMs }: Context,
): readonly Column<Exchange>[] {
  const isTable = output === 'table';
  const target = wide ? {} : { most: TARGET_WIDTH };
  const ends = (['local', 'peer'] as const).flatMap((end) => [
    addressColumn<Exchange>(end === 'local' ? 'LADDR' : 'RADDR', end, 0),
    portColumn<Exchange>(end === 'local' ? 'LPORT' : 'RPORT', end, 0),
  ]);
  return [
    columnWith(
      'TIME',
      12,
      ({ tsNs }) => timeOfDay(wallMs(tsNs)),
      (exchange) => ({ ...exchangeEvent(exchange, wallMs(exchange.tsNs)) }),
    ),
    shown('PROCESS', 15, ({ pid, comm }) => (pid === 0 ? null : comm)),
    shown('PID', 7, ({ pid }) => (pid === 0 ? null : pid)),
    shown('SIDE', 6, ({ role }) => sideOf(role)),
    shown('METHOD', 7, ({ request, method }) => request?.method ?? httpMethod(method)),
    shown('TARGET', TARGET_WIDTH, ({ request }) => request?.target ?? null, target),
    shown('STATUS', NUMBER_WIDTH, statusCell),
    shown('TOTAL', NUMBER_WIDTH, ({ durationNs }) => milliseconds(durationNs ?? 0), RIGHT),
    ...partNames(side).map((name) =>
      shown(partTitle(name), NUMBER_WIDTH + MARK.length, partCell(name, isTable), RIGHT),
    ),
    ...ends.map((one) => ({ ...one, inTable: false })),
    besides('RETRANS', ({ retransmits }) => retransmits),
    besides('CONNECT', ({ connectNs }) => (connectNs === null ? null : milliseconds(connectNs))),
    besides('EARLY', ({ early }) => early),
    besides('UNEXPLAINED', ({ unexplained }) => causeOf(unexplained)),
  ];
}
