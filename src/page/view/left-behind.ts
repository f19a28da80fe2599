/** The panel "Sockets left behind": processes that do not close what the other end has closed. */
import { quantity, UNKNOWN } from '../model/format.js';
import { leftBehindRows, type LeftBehindRow } from '../model/left-behind.js';
import { dataTable, type TableColumn } from './data-table.js';
import { panel } from './panel.js';
import type { View } from './state.js';

const text = (value: string | null) => ({ text: value ?? UNKNOWN, value });

const COLUMNS: readonly TableColumn<LeftBehindRow>[] = [
  { title: 'process', cell: ({ process }) => text(process) },
  { title: 'pid', isNumber: true, cell: ({ pid }) => text(pid) },
  { title: 'unit', cell: ({ unit }) => text(unit) },
  {
    title: 'sockets',
    about: 'Connections in CLOSE_WAIT',
    isNumber: true,
    cell: ({ sockets }) => ({ text: quantity(sockets, 'count'), value: sockets }),
  },
  {
    title: 'oldest',
    about: 'Time for which the oldest has been waiting for close()',
    isNumber: true,
    cell: ({ oldest }) => ({ text: quantity(oldest, 'seconds'), value: oldest }),
  },
];

export function socketsLeftBehind(): View {
  const frame = panel({
    title: 'Sockets left behind',
    about:
      'The other end has closed them, their process has not (CLOSE_WAIT). Many that grow old are a leak.',
  });
  const table = dataTable('Sockets left behind', COLUMNS, ({ key }) => key, 'None.');
  frame.body.append(table.root);
  return {
    root: frame.root,
    render({ snapshot }) {
      table.update(leftBehindRows(snapshot));
    },
  };
}
