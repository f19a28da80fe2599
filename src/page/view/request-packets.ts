/** The packets of the request that was pressed, out of packets.log. */
import type { PacketReport, PacketsReport, RequestReport } from '../../serve/types.js';
import { grouped, quantity } from '../model/format.js';
import { beginMs, layersText, packetsNote, packetsQuery } from '../model/request-packets.js';
import { dataTable, type TableColumn } from './data-table.js';
import { element, setText } from './dom.js';

interface PacketRow extends PacketReport {
  readonly key: string;
  /** Since the request began, in seconds. */
  readonly at: number;
}

const MS_PER_SECOND = 1000;
const CAPTION = 'Packets of the request';

function text(title: string, of: (row: PacketRow) => string): TableColumn<PacketRow> {
  return { title, cell: (row) => ({ text: of(row), value: of(row) }) };
}

const COLUMNS: readonly TableColumn<PacketRow>[] = [
  {
    title: 'at',
    about: 'Since the request began; the times of packets are whole milliseconds',
    isNumber: true,
    cell: ({ at }) => ({ text: quantity(at, 'seconds'), value: at }),
  },
  text('direction', ({ isReceived }) => (isReceived ? 'received' : 'sent')),
  {
    title: 'bytes',
    isNumber: true,
    cell: ({ bytes }) => ({ text: grouped(bytes), value: bytes }),
  },
  text('sent again', ({ isRetransmitted }) => (isRetransmitted ? 'yes' : '')),
  text('layers', layersText),
  text('message', ({ info }) => info ?? ''),
];

/** Null if they cannot be had. */
async function read(request: RequestReport): Promise<PacketsReport | null> {
  try {
    const response = await fetch(`api/v1/requests/packets?${packetsQuery(request)}`);
    return response.ok ? ((await response.json()) as PacketsReport | null) : null;
  } catch {
    return null;
  }
}

export interface RequestPackets {
  readonly root: HTMLElement;
  /** Shows those of a request; of several at a time only the newest one's. */
  pick(request: RequestReport): void;
}

export function requestPackets(): RequestPackets {
  const table = dataTable(CAPTION, COLUMNS, ({ key }: PacketRow) => key, '');
  const note = element('p', { class: 'packets-note', role: 'status' });
  const root = element('div', { class: 'packets' }, note, table.root);
  root.hidden = true;
  let picked = '';
  return {
    root,
    pick(request) {
      picked = request.id;
      void read(request).then((report) => {
        if (picked !== request.id) return;
        const packets = report?.packets ?? [];
        const said = packetsNote(report);
        setText(note, said ?? '');
        note.hidden = said === null;
        table.root.hidden = packets.length === 0;
        table.update(
          packets.map((packet, i) => ({
            ...packet,
            key: `${request.id} ${i}`,
            at: Math.max(0, (packet.atMs - beginMs(request)) / MS_PER_SECOND),
          })),
        );
        root.hidden = false;
      });
    },
  };
}
