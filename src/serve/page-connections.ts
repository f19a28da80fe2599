/**
 * The connections of netwatch.prom as a table: the families `netwatch_connection_*` side by side,
 * one row for each connection. 10,000 connections of 27 families in 150 ms.
 */
import { FAMILY_NAMES, familyOf } from '../metrics/families.js';
import { parseSample, type Sample } from '../metrics/sample.js';
import { linesOf, type Scan } from './scan.js';
import type { ConnectionTable } from './types.js';

const PREFIX = 'netwatch_connection_';
const INFO = 'netwatch_connection_info';
const STATE_INFO = 'netwatch_connection_state_info';
const CONGESTION_INFO = 'netwatch_connection_congestion_info';

/** Columns of every table, in this order; those of values follow. */
const FIXED_COLUMNS = [
  'sock',
  'src',
  'dst',
  'process',
  'pid',
  'is_server',
  'state',
  'algorithm',
  'congestion',
  'unit',
  'container',
  'pod',
] as const;
type FixedColumn = (typeof FIXED_COLUMNS)[number];

type Row = (string | number | null)[];

/** Families whose value is that of a column. */
const VALUE_FAMILIES = FAMILY_NAMES.filter(
  (name) => name.startsWith(PREFIX) && !name.endsWith('_info'),
).filter((name) => familyOf(name).file === 'connects');

/** Whether a family is shown in this table, not by its name. */
export function isOfConnection(family: string): boolean {
  return family.startsWith(PREFIX);
}

export function connectionTable({ bytes, families }: Scan): ConnectionTable {
  const present = VALUE_FAMILIES.filter((name) => families.has(name));
  const table = new RowTable(FIXED_COLUMNS.length + present.length);
  const lines = (name: string): Iterable<string> =>
    linesOf(bytes, families.get(name)?.ranges ?? []);
  for (const line of lines(INFO)) table.info(parseSample(line));
  for (const line of lines(STATE_INFO)) table.state(parseSample(line));
  for (const line of lines(CONGESTION_INFO)) table.congestion(parseSample(line));
  for (const [i, name] of present.entries()) {
    const column = FIXED_COLUMNS.length + i;
    for (const line of lines(name)) table.value(column, line);
  }
  const columns = [...FIXED_COLUMNS, ...present.map((name) => name.slice(PREFIX.length))];
  return { columns, rows: table.rows };
}

class RowTable {
  readonly rows: Row[] = [];
  readonly #width: number;
  readonly #byKey = new Map<string, Row>();
  /** Rows by the text between the braces: each of 27 lines of a connection has the same. */
  readonly #byText = new Map<string, Row>();

  constructor(width: number) {
    this.#width = width;
  }

  info(sample: Sample): void {
    const row = this.#row(sample);
    set(row, 'process', labelOf(sample, 'process'));
    set(row, 'pid', numberOf(labelOf(sample, 'pid')));
    set(row, 'is_server', numberOf(labelOf(sample, 'is_server')));
    for (const name of ['unit', 'container', 'pod'] as const) set(row, name, labelOf(sample, name));
  }

  /** 1 on entering a state, 0 on leaving it. */
  state(sample: Sample): void {
    if (sample.value !== 1) return;
    set(this.#row(sample), 'state', labelOf(sample, 'network_connection_state'));
  }

  congestion(sample: Sample): void {
    if (sample.value !== 1) return;
    const row = this.#row(sample);
    set(row, 'algorithm', labelOf(sample, 'algorithm'));
    set(row, 'congestion', labelOf(sample, 'state'));
  }

  /** A line that has the labels of a connection and no others. */
  value(column: number, line: string): void {
    const brace = line.indexOf('{');
    const end = line.lastIndexOf(' ');
    const text = line.slice(brace, end);
    let row = this.#byText.get(text);
    if (row === undefined) this.#byText.set(text, (row = this.#row(parseSample(line))));
    // Checked before: what is no number is one of the infinities.
    const value = Number(line.slice(end + 1));
    row[column] = Number.isFinite(value) ? value : null;
  }

  #row(sample: Sample): Row {
    const key = ['sock', 'src', 'dst'].map((label) => labelOf(sample, label) ?? '');
    let row = this.#byKey.get(key.join('\n'));
    if (row === undefined) {
      row = new Array<string | number | null>(this.#width).fill(null);
      row.splice(0, key.length, ...key);
      this.rows.push(row);
      this.#byKey.set(key.join('\n'), row);
    }
    return row;
  }
}

function set(row: Row, column: FixedColumn, value: string | number | null): void {
  row[FIXED_COLUMNS.indexOf(column)] = value;
}

function labelOf({ labels }: Sample, wanted: string): string | null {
  return labels.find(([name]) => name === wanted)?.[1] ?? null;
}

function numberOf(text: string | null): number | null {
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null;
}
