/** The connections of now: sortable by every column, searchable, with columns to choose. */
import type { ConnectionTable } from '../../serve/types.js';
import { columnsOf, type Column } from '../model/columns.js';
import { missingFlag } from '../model/flags.js';
import { grouped } from '../model/format.js';
import { clicked, connectionRows, cut, type Row, type Sorting } from '../model/table.js';
import { columnChooser } from './column-chooser.js';
import { grid } from './connection-grid.js';
import { element, remember, remembered, setText } from './dom.js';
import { panel } from './panel.js';
import type { State, View } from './state.js';

const MOST_ROWS = 200;
const ABOUT =
  'The busiest ones, as many as --max-connections lets through. Click a heading to sort; press / to search.';

export function connections(): View {
  let sorting: Sorting = storedSorting();
  let rows: readonly Row[] = [];
  let columns: readonly Column[] = [];
  const search = searchField(() => redraw());
  const summary = element('p', { class: 'found' });
  const chooser = columnChooser(() => redraw());
  const table = grid((column) => {
    sorting = clicked(sorting, column.name, column.kind === 'text');
    remember('sort', JSON.stringify(sorting));
    redraw();
  });
  const hint = element('p', { class: 'caption' });
  const frame = panel({ title: 'Open connections', about: ABOUT, class: 'wide' });
  const bar = element('div', { class: 'table-bar' }, search, summary, chooser.root);
  frame.body.append(bar, table.root, hint);

  const redraw = (): void => {
    const found = cut(rows, search.value, sorting, MOST_ROWS);
    setText(summary, foundText(found.rows.length, found.found, found.all));
    table.update(chooser.chosen(), found.rows, sorting);
  };
  return {
    root: frame.root,
    render({ snapshot }: State) {
      const table = snapshot?.connections ?? null;
      rows = table === null ? [] : connectionRows(table);
      columns = table === null || rows.length === 0 ? columns : usedColumns(table);
      chooser.offer(columns);
      const why = missingFlag(snapshot, 'connections');
      frame.note(rows.length === 0 ? (why ?? emptyText(snapshot)) : null);
      setText(hint, rows.length === 0 ? '' : (why ?? ''));
      redraw();
    },
  };
}

function emptyText(snapshot: State['snapshot']): string {
  return snapshot?.collector === 'running'
    ? 'No connection is open now.'
    : 'Nothing to show while the collector is not running.';
}

function usedColumns({ columns, rows }: ConnectionTable): Column[] {
  const used = new Set(columns.filter((_, i) => rows.some((row) => (row[i] ?? null) !== null)));
  return columnsOf(columns, (name) => used.has(name));
}

function foundText(shown: number, found: number, all: number): string {
  const of = grouped(all);
  if (shown < found) return `${shown} of ${grouped(found)} shown; search to narrow`;
  return found < all ? `${grouped(found)} of ${of}` : `${of} connections`;
}

function storedSorting(): Sorting {
  const fallback = { column: 'acked_bytes_total', descending: true };
  try {
    const stored = JSON.parse(remembered('sort') ?? 'null') as Partial<Sorting> | null;
    if (typeof stored?.column !== 'string') return fallback;
    return { column: stored.column, descending: stored.descending === true };
  } catch {
    return fallback;
  }
}

function searchField(onInput: () => void): HTMLInputElement {
  const field = element('input', {
    type: 'search',
    placeholder: 'Search process, peer, state  ( / )',
    'aria-label': 'Search connections',
    autocomplete: 'off',
    spellcheck: 'false',
  });
  field.addEventListener('input', onInput);
  field.addEventListener('keydown', ({ key }) => {
    if (key !== 'Escape') return;
    field.value = '';
    onInput();
  });
  document.addEventListener('keydown', (event) => {
    const isTyping = event.target instanceof HTMLInputElement && event.target.type === 'search';
    if (event.key !== '/' || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    field.focus();
    field.select();
  });
  return field;
}
