/** The panel "Listening": every listening socket with its process, queue and overflows. */
import { quantity, UNKNOWN } from '../model/format.js';
import { fullness, listenerRows, type ListenerRow } from '../model/listeners.js';
import { dataTable, type TableColumn } from './data-table.js';
import { panel } from './panel.js';
import type { View } from './state.js';

const text = (value: string | null) => ({ text: value ?? UNKNOWN, value });

const COLUMNS: readonly TableColumn<ListenerRow>[] = [
  { title: 'process', cell: ({ process }) => text(process) },
  { title: 'pid', isNumber: true, cell: ({ pid }) => text(pid) },
  { title: 'address', cell: ({ address }) => text(address) },
  {
    title: 'queue / limit',
    about: 'Connections that wait for accept(), and how many may',
    isNumber: true,
    cell: ({ length, limit }) => ({
      text: `${quantity(length, 'count')} / ${quantity(limit, 'count')}`,
      value: length,
    }),
    share: fullness,
  },
  {
    title: 'overflows',
    about: 'Segments of new connections that found the queue full, since netwatch started',
    isNumber: true,
    cell: ({ overflows }) => ({ text: quantity(overflows, 'count'), value: overflows }),
  },
  {
    title: 'now',
    about: 'Overflows per second, over the last minute',
    isNumber: true,
    cell: ({ overflowRate }) => ({ text: quantity(overflowRate, 'rate'), value: overflowRate }),
  },
  { title: 'unit', cell: ({ unit }) => text(unit) },
];

export function listening(): View {
  const frame = panel({
    title: 'Listening',
    about:
      'Sockets that accept connections. One whose queue is full drops new ones: overflows, counted with -e.',
  });
  const table = dataTable('Listening', COLUMNS, ({ key }) => key, 'Nobody listens.');
  frame.body.append(table.root);
  return {
    root: frame.root,
    render({ snapshot, minute }) {
      table.update(listenerRows(snapshot, minute));
    },
  };
}
