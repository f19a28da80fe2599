/** The panel "Who talks to whom": flows as a graph and as a table. Picking a node leaves its rows. */
import { graphOf, GROUPINGS, type Graph, type Grouping } from '../model/flow-graph.js';
import { flowsOf, SPANS, type Flow, type Flows, type Span } from '../model/flows.js';
import { grouped, quantity, UNKNOWN } from '../model/format.js';
import { choice } from './choice.js';
import { dataTable, type TableColumn } from './data-table.js';
import { element, setText } from './dom.js';
import { amount, describe, flowGraph } from './flow-graph.js';
import { panel } from './panel.js';
import type { State, View } from './state.js';

const MOST_ROWS = 100;
const NOTHING = 'Nothing was sent in this time.';
const UNKNOWN_FLOWS = 'Nothing to show while the collector is not running.';

interface Row extends Flow {
  readonly seconds: Flows['seconds'];
}

function text(title: string, of: (row: Row) => string | null): TableColumn<Row> {
  return { title, cell: (row) => ({ text: of(row) ?? UNKNOWN, value: of(row) }) };
}

function count(title: string, of: (row: Row) => number, about: string): TableColumn<Row> {
  return {
    ...{ title, about, isNumber: true },
    cell: (row) => ({ text: quantity(of(row), 'count'), value: of(row) }),
  };
}

function bytes(title: string, of: (row: Row) => number): TableColumn<Row> {
  return {
    ...{ title, about: `Payload ${title}`, isNumber: true },
    cell: (row) => ({ text: amount(of(row), row.seconds), value: of(row) }),
  };
}

const TABLE: readonly TableColumn<Row>[] = [
  text('process', ({ process, isOther }) => (isOther ? 'all others' : process || null)),
  text('peer', ({ peer, isOther }) => (isOther ? null : peer)),
  text('port', ({ port, isOther }) => (isOther ? null : port)),
  text('role', ({ role, isOther }) => (isOther ? null : role)),
  text('unit', ({ unit }) => unit),
  bytes('received', ({ received }) => received),
  bytes('sent', ({ sent }) => sent),
  count('connections', ({ connections }) => connections, 'Connections opened'),
  count('retrans', ({ retransmits }) => retransmits, 'Segments sent again'),
  {
    ...{ title: 'rtt', about: 'Mean of the smoothed round-trip times', isNumber: true },
    cell: ({ rtt }) => ({ text: quantity(rtt, 'seconds'), value: rtt }),
  },
];

const ABOUT =
  'Left: who connects here. Middle: who answers and asks here. Right: whom they connect to. Press one to see its rows alone.';

export function whoTalksToWhom(): View {
  let [span, by]: [Span, Grouping] = ['last minute', 'process'];
  let last: State | null = null;
  let picked: string | null = null;
  const render = (state: State): void => {
    last = state;
    draw(state);
  };
  const again = (): void => {
    if (last !== null) draw(last);
  };
  const spans = choice('Bytes of', 'flow-span', SPANS, span, (chosen) => {
    span = chosen;
    again();
  });
  const groupings = choice('Here by', 'flow-by', GROUPINGS, by, (chosen) => {
    by = chosen;
    again();
  });
  const frame = panel({
    title: 'Who talks to whom',
    about: ABOUT,
    tools: [groupings, spans],
    class: 'wide flows',
  });
  const graph = flowGraph((id) => {
    picked = id;
    again();
  });
  const said = element('p', { class: 'caption below', 'aria-live': 'polite' });
  const table = dataTable('Who talks to whom', TABLE, ({ key }) => key, NOTHING);
  frame.body.append(graph.root, said, table.root);
  const draw = ({ snapshot, minute }: State): void => {
    const found = flowsOf(snapshot, minute, span);
    const { flows, seconds } = found ?? { flows: [], seconds: null };
    const made = graphOf(flows, by);
    frame.note(found === null ? UNKNOWN_FLOWS : made.nodes.length === 0 ? NOTHING : null);
    if (!made.nodes.some(({ id }) => id === picked)) picked = null;
    graph.update(made, seconds, picked);
    const rows = flows.filter(({ key }) => isShown(made, key, picked));
    table.update(rows.slice(0, MOST_ROWS).map((flow) => ({ ...flow, seconds })));
    const node = made.nodes.find(({ id }) => id === picked);
    const length = seconds === null ? 'Since the start' : `Over ${quantity(seconds, 'seconds')}`;
    const shown = shownText(Math.min(rows.length, MOST_ROWS), rows.length);
    setText(said, `${node === undefined ? length : describe(node, seconds)}; ${shown}.`);
  };
  return { root: frame.root, render };
}

/** What has moved nothing is in no node. */
const isShown = ({ parts }: Graph, key: string, picked: string | null): boolean =>
  picked === null ? parts.has(key) : (parts.get(key)?.includes(picked) ?? false);

const shownText = (shown: number, all: number): string =>
  shown < all
    ? `${shown} of ${grouped(all)} flows, the largest first`
    : `${grouped(all)} ${all === 1 ? 'flow' : 'flows'}`;
