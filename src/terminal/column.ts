/** The columns of a tool: declared once, shown as a table, as JSON lines and as CSV. Pure. */

/** null: not known, or the event has none. */
export type Cell = string | number | null;

/** How a cell stands in the table; what printf writes as `%-10.10s`. */
export interface Layout {
  /** Cells stand at the right end of their column. */
  readonly alignRight?: boolean;
  /** Longer texts are cut to so many characters; absent: shown whole. */
  readonly most?: number;
  /** What stands before the column; absent: one space, nothing before the first. */
  readonly before?: string;
}

export interface Column<R> extends Layout {
  /** In the head of the table and of the CSV. */
  readonly title: string;
  /** Characters in the table. */
  readonly width: number;
  /** What a person reads, in the table and in the CSV. */
  readonly cell: (record: R) => Cell;
  /** What a program reads, by the name of the JSON field: often more than one. */
  readonly fields: (record: R) => Readonly<Record<string, unknown>>;
  /** False: in JSON and CSV only. */
  readonly inTable: boolean;
}

/** A column whose cell is the value of its one JSON field. */
export function column<R>(
  title: string,
  width: number,
  field: string,
  cell: (record: R) => Cell,
  layout: Layout = {},
): Column<R> {
  const fields = (record: R): Readonly<Record<string, unknown>> => ({ [field]: cell(record) });
  return { title, width, cell, fields, inTable: true, ...layout };
}

/** A column that a person reads in one way and a program in another. */
export function columnWith<R>(
  title: string,
  width: number,
  cell: (record: R) => Cell,
  fields: Column<R>['fields'],
  layout: Layout = {},
): Column<R> {
  return { title, width, cell, fields, inTable: true, ...layout };
}
