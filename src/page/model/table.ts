/** Sorting, searching and cutting of table rows. */
import type { ConnectionTable } from '../../serve/types.js';

export type Value = string | number | null;

export interface Sorting {
  readonly column: string;
  readonly descending: boolean;
}

/** A row by the names of its columns. */
export interface Row {
  /** The same for the same thing in the next snapshot. */
  readonly key: string;
  readonly value: (column: string) => Value;
}

export interface Cut {
  readonly rows: readonly Row[];
  /** How many there are, and how many of them the search found. */
  readonly all: number;
  readonly found: number;
}

const SEARCHED = [
  ...['process', 'pid', 'unit', 'container', 'pod', 'src', 'dst', 'is_server', 'state'],
] as const;

export function connectionRows({ columns, rows }: ConnectionTable): Row[] {
  const places = new Map(columns.map((name, i) => [name, i]));
  const role = places.get('is_server');
  return rows.map((cells) => {
    const value = (name: string): Value => {
      const at = places.get(name);
      if (at === undefined) return null;
      const cell = cells[at] ?? null;
      return at === role ? roleOf(cell) : numeric(name, cell);
    };
    return { key: `${value('sock')} ${value('src')} ${value('dst')}`, value };
  });
}

function roleOf(cell: Value): Value {
  return cell === null ? null : String(cell) === '1' ? 'server' : 'client';
}

/** A pid is a label, thus text, but sorts as a number. */
function numeric(name: string, cell: Value): Value {
  return name === 'pid' && typeof cell === 'string' && /^\d+$/.test(cell) ? Number(cell) : cell;
}

/** Every word of the search has to be somewhere in the row. */
export function search(rows: readonly Row[], text: string): readonly Row[] {
  const wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (wanted.length === 0) return rows;
  return rows.filter((row) => {
    const said = SEARCHED.map((name) => row.value(name) ?? '')
      .join(' ')
      .toLowerCase();
    return wanted.every((word) => said.includes(word));
  });
}

/** What nobody measured comes last either way; equals keep the order of their keys. */
export function sort(rows: readonly Row[], { column, descending }: Sorting): Row[] {
  const sign = descending ? -1 : 1;
  return rows
    .map((row) => ({ row, value: row.value(column) }))
    .sort((a, b) => {
      if (a.value === null || b.value === null)
        return Number(a.value === null) - Number(b.value === null) || byKey(a.row, b.row);
      return sign * compare(a.value, b.value) || byKey(a.row, b.row);
    })
    .map(({ row }) => row);
}

const collator = new Intl.Collator('en', { numeric: true });

function compare(a: string | number, b: string | number): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return collator.compare(String(a), String(b));
}

function byKey(a: Row, b: Row): number {
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
}

export function cut(rows: readonly Row[], text: string, sorting: Sorting, most: number): Cut {
  const found = search(rows, text);
  return { rows: sort(found, sorting).slice(0, most), all: rows.length, found: found.length };
}

/** The next sorting after a click on a header: numbers from the largest, text from A. */
export function clicked(now: Sorting, column: string, isText: boolean): Sorting {
  if (now.column === column) return { column, descending: !now.descending };
  return { column, descending: !isText };
}
