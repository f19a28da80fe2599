/** Which columns are shown: a list of boxes to tick, remembered by the browser. */
import type { Column } from '../model/columns.js';
import { element, keep, remember, remembered } from './dom.js';

export interface ColumnChooser {
  readonly root: HTMLElement;
  offer(columns: readonly Column[]): void;
  /** Those to show, in order. */
  chosen(): readonly Column[];
}

/** Only what differs from the columns' own wish is remembered. */
type Choices = Map<string, boolean>;

export function columnChooser(onChange: () => void): ColumnChooser {
  const choices = stored();
  let offered: readonly Column[] = [];
  const isShown = ({ name, shown }: Column): boolean => choices.get(name) ?? shown;
  const list = element('ul');
  const root = element('details', { class: 'chooser' }, element('summary', {}, 'Columns'), list);
  root.addEventListener('keydown', ({ key }) => {
    if (key === 'Escape') root.open = false;
  });
  document.addEventListener('pointerdown', ({ target }) => {
    if (target instanceof Node && !root.contains(target)) root.open = false;
  });
  const make = (column: Column): HTMLElement => {
    const box = element('input', { type: 'checkbox' });
    box.checked = isShown(column);
    box.addEventListener('change', () => {
      choices.set(column.name, box.checked);
      remember('columns', JSON.stringify([...choices]));
      onChange();
    });
    return element('li', {}, element('label', { title: column.about }, box, column.title));
  };
  return {
    root,
    offer(columns) {
      offered = columns;
      keep(
        list,
        columns,
        ({ name }) => name,
        make,
        () => undefined,
      );
    },
    chosen: () => offered.filter(isShown),
  };
}

function stored(): Choices {
  try {
    const read: unknown = JSON.parse(remembered('columns') ?? '[]');
    return new Map(Array.isArray(read) ? (read as [string, boolean][]) : []);
  } catch {
    return new Map();
  }
}
