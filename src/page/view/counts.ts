/** Tables of counters by reason: failed connections, retransmits, drops, resets. */
import { missingFlag, type Feature } from '../model/flags.js';
import { quantity, words } from '../model/format.js';
import { ratedSeries, type Rated } from '../model/health.js';
import { dataTable, type TableColumn } from './data-table.js';
import { panel } from './panel.js';
import type { State, View } from './state.js';

interface CountSpec {
  readonly title: string;
  /** Headings of what `describe` gives. */
  readonly heads: readonly string[];
  readonly about: string;
  readonly feature?: Feature;
  readonly empty: string;
  readonly families: readonly {
    readonly name: string;
    /** What a row of this family is, from its labels. */
    readonly describe: (labels: Rated['labels']) => readonly [what: string, detail?: string];
    readonly isShown?: (row: Rated) => boolean;
  }[];
}

interface CountRow extends Rated {
  readonly key: string;
  readonly texts: readonly string[];
  /** Of the largest total. */
  readonly share: number;
}

const FAILURES: CountSpec = {
  title: 'Failed connections',
  heads: ['error', 'side'],
  about: 'By error, since netwatch started and over the last minute.',
  empty: 'No connection has failed.',
  families: [
    {
      name: 'netwatch_tcp_connections_total',
      describe: (labels) => [
        words(labels['error_type'] ?? ''),
        labels['network_tcp_handshake_role'] ?? '',
      ],
      isShown: ({ labels, total }) => (labels['error_type'] ?? '') !== '' && total > 0,
    },
  ],
};

const DIRECTION: Readonly<Record<string, string>> = {
  receive: 'reset received',
  transmit: 'reset sent',
};

const FAULTS: CountSpec = {
  title: 'Drops and resets',
  heads: ['what', 'reason'],
  about: 'By the reason that the kernel gives, since netwatch started and over the last minute.',
  feature: 'faults',
  empty: 'No drop and no reset so far.',
  families: [
    {
      name: 'netwatch_skb_drops_total',
      describe: (labels) => [`drop, ${labels['network_type'] ?? ''}`, labels['reason'] ?? ''],
    },
    {
      name: 'netwatch_tcp_resets_total',
      describe: (labels) => [
        DIRECTION[labels['network_io_direction'] ?? ''] ?? 'reset',
        labels['reason'] ?? '',
      ],
    },
  ],
};

const CAUSES: CountSpec = {
  title: 'Retransmits by cause',
  heads: ['cause'],
  about: 'Segments, since netwatch started and over the last minute.',
  feature: 'retransmits',
  empty: 'Nothing was sent again.',
  families: [
    {
      name: 'netwatch_tcp_retransmits_total',
      describe: (labels) => [words(labels['network_tcp_retransmit_type'] ?? '')],
    },
    {
      name: 'netwatch_tcp_retransmits_recovered_total',
      describe: () => ['of these, cause guessed'],
      isShown: ({ total }) => total > 0,
    },
  ],
};

export const failures = (): View => countPanel(FAILURES);
export const faults = (): View => countPanel(FAULTS);
export const retransmitCauses = (): View => countPanel(CAUSES);

const NUMBERS: readonly TableColumn<CountRow>[] = [
  {
    title: 'total',
    isNumber: true,
    cell: ({ total }) => ({ text: quantity(total, 'count'), value: total }),
    share: ({ share }) => share,
  },
  {
    title: 'now',
    about: 'Per second, over the last minute',
    isNumber: true,
    cell: ({ rate }) => ({ text: quantity(rate, 'rate'), value: rate }),
  },
];

function countPanel(spec: CountSpec): View {
  const frame = panel(spec);
  const texts = spec.heads.map((title, i): TableColumn<CountRow> => {
    return { title, cell: ({ texts }) => ({ text: texts[i] ?? '', value: texts[i] ?? '' }) };
  });
  const table = dataTable(spec.title, [...texts, ...NUMBERS], ({ key }) => key, spec.empty);
  frame.body.append(table.root);
  return {
    root: frame.root,
    render(state) {
      frame.note(spec.feature === undefined ? null : missingFlag(state.snapshot, spec.feature));
      table.update(rowsOf(spec, state));
    },
  };
}

function rowsOf({ families }: CountSpec, { snapshot, minute }: State): CountRow[] {
  if (snapshot === null) return [];
  const rows = families.flatMap(({ name, describe, isShown = () => true }) =>
    ratedSeries(snapshot, minute, name)
      .filter(isShown)
      .map((row) => {
        const texts = describe(row.labels).filter((text) => text !== undefined);
        return { ...row, key: [name, ...texts].join(' '), texts };
      }),
  );
  const most = Math.max(...rows.map(({ total }) => total), 1);
  return rows
    .map((row) => ({ ...row, share: row.total / most }))
    .sort((a, b) => b.total - a.total || (a.key < b.key ? -1 : 1));
}
