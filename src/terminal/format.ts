/**
 * Records as text: a table with fixed columns, NDJSON, CSV (RFC 4180). Pure. Names of processes are
 * strangers' text: whatever they hold, a record is one line, and a terminal obeys none of it.
 */
import { oneLine } from '../metrics/text.js';
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

function tableText(cell: Cell): string {
  if (cell === null) return MISSING;
  return typeof cell === 'number' ? String(cell) : oneLine(cell);
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

export function csvText(cell: Cell): string {
  const text = cell === null ? '' : oneLine(String(cell));
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
