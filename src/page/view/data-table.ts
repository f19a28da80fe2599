/** A small table that keeps its rows from one drawing to the next. */
import { element, keep, show, type Shown } from './dom.js';

interface Heading {
  readonly title: string;
  readonly about?: string;
  /** Right-aligned. */
  readonly isNumber?: boolean;
  readonly class?: string;
}

export interface TextColumn<T> extends Heading {
  readonly cell: (row: T) => Shown;
  /** 0 to 1: a bar behind the number. */
  readonly share?: (row: T) => number;
}

/** What is not text draws itself into its cell, which stays the same from one drawing to the next. */
export interface DrawnColumn<T> extends Heading {
  readonly draw: (cell: HTMLElement, row: T) => void;
}

export type TableColumn<T> = TextColumn<T> | DrawnColumn<T>;

export interface DataTable<T> {
  readonly root: HTMLElement;
  update(rows: readonly T[]): void;
}

/** `empty` is said when there are no rows. */
export function dataTable<T>(
  caption: string,
  columns: readonly TableColumn<T>[],
  keyOf: (row: T) => string,
  empty: string,
): DataTable<T> {
  const body = element('tbody');
  const heads = columns.map(({ title, about, ...column }) =>
    element('th', { scope: 'col', ...classOf(column), title: about ?? title }, title),
  );
  const nothing = element('p', { class: 'nothing' }, empty);
  const table = element(
    'table',
    {},
    element('caption', { class: 'unseen' }, caption),
    element('thead', {}, element('tr', {}, ...heads)),
    body,
  );
  const root = element(
    'div',
    { class: 'table-box', tabindex: '0', role: 'region', 'aria-label': caption },
    table,
    nothing,
  );
  const make = (): HTMLElement =>
    element('tr', {}, ...columns.map((column) => element('td', classOf(column))));
  const update = (row: Element, item: T): void => {
    for (const [i, column] of columns.entries()) fill(row.children[i] as HTMLElement, column, item);
  };
  return {
    root,
    update(rows) {
      keep(body, rows, keyOf, make, update);
      nothing.hidden = rows.length > 0;
    },
  };
}

function classOf({ isNumber, class: kind }: Partial<Heading>): { readonly class?: string } {
  const all = [isNumber === true ? 'number' : '', kind ?? ''].filter((one) => one !== '');
  return all.length === 0 ? {} : { class: all.join(' ') };
}

function fill<T>(node: HTMLElement, column: TableColumn<T>, item: T): void {
  if ('draw' in column) {
    column.draw(node, item);
    return;
  }
  show(node, column.cell(item));
  if (column.share === undefined) return;
  node.classList.add('bar');
  node.style.setProperty('--share', column.share(item).toFixed(3));
}
