/** The columns of a tool: declared once, shown as a table, as JSON lines and as CSV. Pure. */

/** null: not known, or the event has none. */
export type Cell = string | number | null;

export interface Column<R> {
  /** In the head of the table and of the CSV. */
  readonly title: string;
  /** Characters in the table; longer texts are shown whole. */
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
): Column<R> {
  return { title, width, cell, fields: (record) => ({ [field]: cell(record) }), inTable: true };
}
