/** A small table that keeps its rows from one drawing to the next. */
import { element, keep, show, type Shown } from './dom.js';

export interface TableColumn<T> {
  readonly title: string;
  readonly about?: string;
  /** Right-aligned. */
  readonly isNumber?: boolean;
  readonly cell: (row: T) => Shown;
  /** 0 to 1: a bar behind the number. */
  readonly share?: (row: T) => number;
}

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
  const heads = columns.map(({ title, about, isNumber }) =>
    element(
      'th',
      { scope: 'col', ...(isNumber === true ? { class: 'number' } : {}), title: about ?? title },
      title,
    ),
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
    element(
      'tr',
      {},
      ...columns.map(({ isNumber }) => element('td', isNumber === true ? { class: 'number' } : {})),
    );
  const update = (row: Element, item: T): void => {
    for (const [i, { cell, share }] of columns.entries()) {
      const node = row.children[i] as HTMLElement;
      show(node, cell(item));
      if (share === undefined) continue;
      node.classList.add('bar');
      node.style.setProperty('--share', share(item).toFixed(3));
    }
  };
  return {
    root,
    update(rows) {
      keep(body, rows, keyOf, make, update);
      nothing.hidden = rows.length > 0;
    },
  };
}
