/** The table itself: headings that sort, rows that stay the same nodes from snapshot to snapshot. */
import type { Column } from '../model/columns.js';
import { quantity, UNKNOWN } from '../model/format.js';
import type { Row, Sorting } from '../model/table.js';
import { element, keep, setAttribute, show } from './dom.js';

export interface Grid {
  readonly root: HTMLElement;
  update(columns: readonly Column[], rows: readonly Row[], sorting: Sorting): void;
}

export function grid(onHeading: (column: Column) => void): Grid {
  const head = element('tr');
  const body = element('tbody');
  const root = element(
    'div',
    {
      class: 'table-box connections',
      tabindex: '0',
      role: 'region',
      'aria-label': 'Open connections',
    },
    element(
      'table',
      {},
      element('caption', { class: 'unseen' }, 'Open connections'),
      element('thead', {}, head),
      body,
    ),
  );
  return {
    root,
    update(columns, rows, sorting) {
      keep(
        head,
        columns,
        ({ name }) => name,
        (column) => heading(column, onHeading),
        (node, { name }) => setAttribute(node, 'aria-sort', direction(name, sorting)),
      );
      keep(
        body,
        rows,
        ({ key }) => key,
        () => element('tr'),
        (node, row) => fill(node, columns, row),
      );
    },
  };
}

function direction(name: string, { column, descending }: Sorting): string {
  if (name !== column) return 'none';
  return descending ? 'descending' : 'ascending';
}

function heading(column: Column, onHeading: (column: Column) => void): HTMLElement {
  const button = element('button', { type: 'button', title: column.about }, column.title);
  button.addEventListener('click', () => onHeading(column));
  return element('th', { scope: 'col', class: kindOf(column) }, button);
}

function kindOf({ kind }: Column): string {
  return kind === 'text' ? 'text' : 'number';
}

function fill(node: Element, columns: readonly Column[], row: Row): void {
  keep(
    node,
    columns,
    ({ name }) => name,
    (column) => element('td', { class: kindOf(column) }),
    (cell, { name, kind }) => {
      const value = row.value(name);
      const text = kind === 'text' ? String(value ?? UNKNOWN) : quantity(numberOf(value), kind);
      show(cell as HTMLElement, { text, value });
    },
  );
}

function numberOf(value: string | number | null): number | null {
  return typeof value === 'number' ? value : null;
}
