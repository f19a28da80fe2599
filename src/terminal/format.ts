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

/** Cells padded to their columns, but for the last one. */
function tableLine(cells: readonly string[], widths: readonly number[]): string {
  const last = cells.length - 1;
  const padded = cells.map((cell, i) => (i < last ? cell.padEnd(widths[i] ?? 0) : cell));
  return `${padded.join(' ')}\n`;
}

function table<R>(all: readonly Column<R>[]): Formatter<R> {
  const columns = all.filter(({ inTable }) => inTable);
  const widths = columns.map(({ width }) => width);
  return {
    head: tableLine(
      columns.map(({ title }) => title),
      widths,
    ),
    line: (record) =>
      tableLine(
        columns.map(({ cell }) => tableText(cell(record))),
        widths,
      ),
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

function json<R>(columns: readonly Column<R>[]): Formatter<R> {
  const object = (record: R): unknown =>
    Object.assign({}, ...columns.map(({ fields }) => fields(record)));
  return { head: '', line: (record) => `${JSON.stringify(object(record))}\n` };
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

/** `HH:MM:SS.mmm`, as the clock on the wall shows it. */
export function timeOfDay(wallMs: number): string {
  const date = new Date(wallMs);
  const two = (value: number): string => String(value).padStart(2, '0');
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':');
  return `${time}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}
