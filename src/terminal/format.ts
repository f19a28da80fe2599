/**
 * Records as text: a table with fixed columns, NDJSON, CSV (RFC 4180). Pure. Names of processes are
 * strangers' text: whatever they hold, a record is one line, and a terminal obeys none of it.
 */
import { safeValue } from '../metrics/text.js';
import type { Cell, Column } from './column.js';

export const FORMATS = ['table', 'json', 'csv'] as const;
export type Format = (typeof FORMATS)[number];

export interface Formatter<R> {
  /** The first line, with its newline; empty for JSON. */
  readonly head: string;
  /** One line, with its newline. */
  readonly line: (record: R) => string;
}

/** In place of what is not known. */
const MISSING = 'N/A';

const inOneLine = (text: string): string => safeValue(text).replaceAll('\n', '\ufffd');

function tableText(cell: Cell): string {
  if (cell === null) return MISSING;
  return typeof cell === 'number' ? String(cell) : inOneLine(cell);
}

/** One cell as its column wants it. */
function placed<R>({ width, alignRight, most }: Column<R>, text: string): string {
  const cut = most === undefined ? text : text.slice(0, most);
  return alignRight === true ? cut.padStart(width) : cut.padEnd(width);
}

function tableLine<R>(columns: readonly Column<R>[], text: (column: Column<R>) => string): string {
  const cells = columns.map((column, i) => {
    const { before = i === 0 ? '' : ' ' } = column;
    return before + placed(column, text(column));
  });
  return `${cells.join('')}\n`;
}

function table<R>(all: readonly Column<R>[]): Formatter<R> {
  const columns = all.filter(({ inTable }) => inTable);
  return {
    head: tableLine(columns, ({ title }) => title),
    line: (record) => tableLine(columns, ({ cell }) => tableText(cell(record))),
  };
}

function csvText(cell: Cell): string {
  const text = cell === null ? '' : inOneLine(String(cell));
  return /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function csv<R>(columns: readonly Column<R>[]): Formatter<R> {
  const line = (cells: readonly Cell[]): string => `${cells.map(csvText).join(',')}\n`;
  return {
    head: line(columns.map(({ title }) => title)),
    line: (record) => line(columns.map(({ cell }) => cell(record))),
  };
}

/** A record as a program reads it: the fields of all columns. */
export function jsonFields<R>(
  columns: readonly Column<R>[],
  record: R,
): Readonly<Record<string, unknown>> {
  return Object.assign({}, ...columns.map(({ fields }) => fields(record))) as Record<
    string,
    unknown
  >;
}

function json<R>(columns: readonly Column<R>[]): Formatter<R> {
  return { head: '', line: (record) => `${JSON.stringify(jsonFields(columns, record))}\n` };
}

export function formatter<R>(format: Format, columns: readonly Column<R>[]): Formatter<R> {
  switch (format) {
    case 'table':
      return table(columns);
    case 'json':
      return json(columns);
    case 'csv':
      return csv(columns);
    default:
      return format satisfies never;
  }
}

/** `HH:MM:SS`, as the clock on the wall shows it. */
export function clockTime(wallMs: number): string {
  const date = new Date(wallMs);
  const two = (value: number): string => String(value).padStart(2, '0');
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':');
}

/** `HH:MM:SS.mmm`. */
export function timeOfDay(wallMs: number): string {
  const ms = String(new Date(wallMs).getMilliseconds()).padStart(3, '0');
  return `${clockTime(wallMs)}.${ms}`;
}

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

/** `Sat Nov 21 13:07:29 2026`, as asctime() of C and Python writes it. */
export function asctime(wallMs: number): string {
  const date = new Date(wallMs);
  const day = `${DAYS[date.getDay()] ?? ''} ${MONTHS[date.getMonth()] ?? ''}`;
  const ofMonth = String(date.getDate()).padStart(2);
  return `${day} ${ofMonth} ${clockTime(wallMs)} ${date.getFullYear()}`;
}
