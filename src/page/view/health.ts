/** netwatch about itself: what it lost, what it costs, whether its files and rings keep up. */
import { quantity, age, UNKNOWN, type Kind } from '../model/format.js';
import { files, losses, programs, rings } from '../model/health.js';
import { rate, total } from '../model/series.js';
import { dataTable, type DataTable, type TableColumn } from './data-table.js';
import { element, show } from './dom.js';
import { panel } from './panel.js';
import type { State, View } from './state.js';

type Column<T> = TableColumn<T>;

function text<T>(title: string, of: (row: T) => string): Column<T> {
  return { title, cell: (row) => ({ text: of(row), value: of(row) }) };
}
function number<T>(
  title: string,
  kind: Kind,
  of: (row: T) => number | null,
  share?: (row: T) => number,
): Column<T> {
  return {
    title,
    isNumber: true,
    cell: (row) => ({ text: quantity(of(row), kind), value: of(row) }),
    ...(share === undefined ? {} : { share }),
  };
}

function tablePanel<T>(
  title: string,
  about: string,
  rowsOf: (state: State) => readonly T[],
  table: DataTable<T>,
  kind = '',
): View {
  const frame = panel({ title, about, class: kind });
  frame.body.append(table.root);
  return { root: frame.root, render: (state) => table.update(rowsOf(state)) };
}

const NOT_RUNNING = 'Nothing to show while the collector is not running.';

export function lossTable(): View {
  type Row = ReturnType<typeof losses>[number];
  const table = dataTable<Row>(
    'Events lost',
    [
      text('source', ({ source }) => source),
      text('stage', ({ stage }) => stage),
      number('lost', 'count', (row) => row.total),
      number('now', 'rate', (row) => row.rate),
    ],
    ({ source, stage }) => `${source} ${stage}`,
    NOT_RUNNING,
  );
  const of = ({ snapshot, minute }: State): Row[] =>
    snapshot === null ? [] : losses(snapshot, minute);
  return tablePanel('Events lost', 'By source and by the place of the loss.', of, table);
}

export function programTable(): View {
  type Row = ReturnType<typeof programs>[number];
  const table = dataTable<Row>(
    'BPF programs',
    [
      text('source', ({ source }) => source),
      text('program', ({ name }) => name),
      text('type', ({ type }) => type),
      text('attached', ({ attached }) => (attached ? 'yes' : 'no')),
      number('CPU', 'ratio', ({ cpu }) => cpu),
      number('runs', 'rate', ({ runsPerSecond }) => runsPerSecond),
      number('per run', 'seconds', ({ secondsPerRun }) => secondsPerRun),
    ],
    ({ source, name, type }) => `${source} ${name} ${type}`,
    NOT_RUNNING,
  );
  const of = ({ snapshot, minute }: State): Row[] =>
    snapshot === null ? [] : programs(snapshot, minute);
  const about =
    'Share of one CPU over the last minute; known while BPF statistics are on (sysctl kernel.bpf_stats_enabled=1).';
  return tablePanel('BPF programs', about, of, table);
}

export function ringTable(): View {
  type Row = ReturnType<typeof rings>[number];
  const table = dataTable<Row>(
    'Ring buffers',
    [
      text('source', ({ source }) => source),
      number(
        'used',
        'bytes',
        ({ usedBytes }) => usedBytes,
        ({ usedBytes, capacityBytes }) => usedBytes / Math.max(capacityBytes, 1),
      ),
      number('of', 'bytes', ({ capacityBytes }) => capacityBytes),
      number('events', 'rate', ({ eventsPerSecond }) => eventsPerSecond),
    ],
    ({ source }) => source,
    NOT_RUNNING,
  );
  const of = ({ snapshot, minute }: State): Row[] =>
    snapshot === null ? [] : rings(snapshot, minute);
  return tablePanel(
    'Ring buffers',
    'What waits to be read, at the time of writing.',
    of,
    table,
    'third',
  );
}

export function fileTable(): View {
  type Row = ReturnType<typeof files>[number];
  const table = dataTable<Row>(
    'Records written',
    [
      text('file', ({ file }) => file),
      number('written', 'count', ({ written }) => written),
      number('now', 'rate', (row) => row.rate),
      number('waiting', 'count', ({ waiting }) => waiting),
    ],
    ({ file }) => file,
    NOT_RUNNING,
  );
  const of = ({ snapshot, minute }: State): Row[] =>
    snapshot === null ? [] : files(snapshot, minute);
  return tablePanel(
    'Records written',
    'To each log; waiting ones are in memory.',
    of,
    table,
    'third',
  );
}

/** CPU, memory, delay, descriptors, age of the collector. */
export function processNumbers(): View {
  const frame = panel({ title: 'Collector', about: 'The process itself.', class: 'third' });
  const list = element('dl', { class: 'facts' });
  frame.body.append(list);
  const made = FACTS.map(({ title }) => {
    const value = element('dd');
    list.append(element('div', {}, element('dt', {}, title), value));
    return value;
  });
  return {
    root: frame.root,
    render(state) {
      for (const [i, { kind, of }] of FACTS.entries()) {
        const value = state.snapshot === null ? null : of(state);
        show(made[i]!, { text: factText(value, kind), value });
      }
    },
  };
}

interface Fact {
  readonly title: string;
  readonly kind: Kind | 'age';
  readonly of: (state: State) => number | null;
}

function factText(value: number | null, kind: Fact['kind']): string {
  if (kind !== 'age') return quantity(value, kind);
  return value === null ? UNKNOWN : age(value);
}

const gauge = (title: string, kind: Kind, name: string): Fact => ({
  title,
  kind,
  of: ({ snapshot }) => (snapshot === null ? null : total(snapshot, name)),
});

/** Counters that have no series until the first time. */
const rarity = (title: string, name: string): Fact => ({
  title,
  kind: 'count',
  of: ({ snapshot }) => (snapshot?.collector === 'running' ? (total(snapshot, name) ?? 0) : null),
});

const FACTS: readonly Fact[] = [
  {
    title: 'CPU, last minute',
    kind: 'ratio',
    of: ({ minute }) =>
      minute === null ? null : rate(minute, 'netwatch_process_cpu_seconds_total'),
  },
  gauge('Resident memory', 'bytes', 'netwatch_process_resident_memory_bytes'),
  gauge('Event loop delay', 'seconds', 'netwatch_event_loop_lag_seconds'),
  gauge('Open descriptors', 'count', 'netwatch_process_open_fds'),
  gauge('HTTP resyncs', 'count', 'netwatch_http_resyncs_total'),
  rarity('Series left out', 'netwatch_series_dropped_total'),
  rarity('Write errors', 'netwatch_file_write_errors_total'),
  {
    title: 'Running for',
    kind: 'age',
    of: ({ snapshot }) => {
      const start =
        snapshot === null ? null : total(snapshot, 'netwatch_process_start_time_seconds');
      return start === null || snapshot === null ? null : snapshot.atMs / 1000 - start;
    },
  },
];
