// Flows on the page, apart from the browser: what has grown in a minute, which nodes a graph has, and that
// its heights fit.
import t from 'tap';
import { Snapshot } from '../src/metrics/snapshot.js';
import {
  cutName,
  graphOf,
  layOut,
  LEAST_HEIGHT,
  MOST_NODES,
} from '../src/page/model/flow-graph.js';
import { bytesOf, flowsOf, type Flow } from '../src/page/model/flows.js';
import type { Step } from '../src/page/model/series.js';
import { pageSnapshot } from '../src/serve/page-model.js';
import type { FlowRow, PageSnapshot } from '../src/serve/types.js';
import { scanExposition } from '../src/serve/scan.js';

const FACTS = { atMs: 2, writtenMs: 1, intervalSeconds: 1, collector: 'running' } as const;

function snapshotOfText(text: string | Buffer): PageSnapshot {
  const result = scanExposition(Buffer.from(text));
  if (!result.ok) throw new Error(result.error);
  return pageSnapshot(FACTS, result.scan);
}

const snapshotOf = (...flows: readonly FlowRow[]): PageSnapshot => ({
  ...pageSnapshot(FACTS, null),
  flows,
});

/** A client of this peer that has received and sent so much. */
const to = (peer: string, received: number, sent: number, process = 'curl'): FlowRow => [
  ...([process, null, null, null, 'client', '80', peer, received, sent, 1, 0, 0.5] as const),
];
const from = (peer: string, received: number, sent: number, process = 'nginx'): FlowRow => [
  ...([process, 'web.service', null, null, 'server', '443', peer] as const),
  ...([received, sent, 2, 0, null] as const),
];
const others = (received: number, sent: number): FlowRow => [
  ...(['other', null, null, null, 'other', '', '', received, sent, 9, 0, null] as const),
];

const minute = (before: PageSnapshot, now: PageSnapshot): Step => ({ before, now, seconds: 60 });

const shown = (flows: readonly Flow[] | undefined): string[] =>
  (flows ?? []).map((it) => `${it.process} ${it.peer} ${it.received} ${it.sent}`);

t.test('the families of flows are rows, one for each flow', (t) => {
  const snapshot = new Snapshot();
  const ends = { server_port: 443, network_peer_address: '::1' };
  const labels = { process: 'a"\n', role: 'server', ...ends, unit: 'x.service' };
  const add = (network_io_direction: 'receive' | 'transmit', value: number): void =>
    snapshot.add('netwatch_flow_bytes_total', { ...labels, network_io_direction }, value);
  add('receive', 5);
  add('transmit', 7);
  snapshot.add('netwatch_flow_connections_total', labels, 2);
  snapshot.add('netwatch_flow_retransmits_total', labels, 3);
  snapshot.add('netwatch_flow_rtt_seconds', labels, 0.25);
  const page = snapshotOfText(snapshot.text());
  t.strictSame(page.flows, [
    ['a"\n', 'x.service', null, null, 'server', '443', '::1', 5, 7, 2, 3, 0.25],
  ]);
  t.strictSame(page.scalars, {}, 'and nowhere else');
  t.equal(snapshotOfText('').flows, null);
  t.end();
});

t.test('in the last minute flows are what they have grown by, most bytes first', (t) => {
  const before = snapshotOf(to('10.0.0.1', 100, 10), from('10.0.0.2', 50, 50));
  const now = snapshotOf(to('10.0.0.1', 160, 12), from('10.0.0.2', 150, 51), to('new', 7, 0));
  const { flows, seconds } = flowsOf(now, minute(before, now), 'last minute') ?? {};
  t.equal(seconds, 60);
  t.strictSame(shown(flows), ['nginx 10.0.0.2 100 1', 'curl 10.0.0.1 60 2', 'curl new 7 0']);
  const sums = flowsOf(now, minute(before, now), 'since start');
  t.equal(sums?.seconds, null);
  t.strictSame(shown(sums?.flows)[1], 'curl 10.0.0.1 160 12');
  t.equal(flowsOf(now, null, 'last minute')?.seconds, null, 'not known: since the start');
  t.equal(flowsOf(pageSnapshot(FACTS, null), null, 'last minute'), null);
  t.end();
});

t.test('a flow that has lost its name adds nothing to what the others moved', (t) => {
  const before = snapshotOf(to('a', 1000, 0), to('b', 500, 0), others(10, 0));
  // a is one of the others now, and b was for a while
  const now = snapshotOf(to('b', 20, 0), others(1000 + 500 + 10 + 3, 0));
  const found = flowsOf(now, minute(before, now), 'last minute');
  t.strictSame(shown(found?.flows), ['curl b 20 0', 'other  3 0']);
  t.end();
});

const flowsFor = (...rows: readonly FlowRow[]): readonly Flow[] =>
  flowsOf(snapshotOf(...rows), null, 'since start')?.flows ?? [];

t.test('a graph has callers, those here and the called, and leaves out what is silent', (t) => {
  const flows = flowsFor(
    from('10.0.0.9', 10, 90),
    to('::1', 30, 0, 'nginx'),
    to('10.0.0.1', 0, 0),
    others(1, 1),
  );
  const { nodes, links, parts } = graphOf(flows, 'process');
  t.strictSame(
    nodes.map(({ id, received, sent }) => `${id} ${received} ${sent}`),
    ['callers:10.0.0.9 10 90', 'here:nginx 40 90', 'here others 1 1', 'called:[::1]:80 30 0'],
  );
  t.strictSame(
    links.map(({ id, bytes }) => `${id} ${bytes}`),
    ['callers:10.0.0.9 > here:nginx 100', 'here:nginx > called:[::1]:80 30'],
  );
  t.equal(parts.size, 3);
  const units = graphOf(flows, 'unit').nodes.filter(({ column }) => column === 'here');
  t.strictSame(
    units.map(({ name }) => name),
    ['web.service', '(no unit)', null],
  );
  t.end();
});

t.test('however many there are, a column has few nodes, and no byte is missing', (t) => {
  const many = Array.from({ length: 200 }, (_, i) => [
    from(`10.0.1.${i}`, i, 1, `server-${i}`),
    to(`10.0.2.${i}`, 1, i, `client-${i}`),
  ]).flat();
  // named like those that have no node of their own
  const graph = graphOf(
    flowsFor(...many, from('others', 5000, 1, 'others'), others(7, 8)),
    'process',
  );
  for (const column of ['callers', 'here', 'called'] as const) {
    const nodes = graph.nodes.filter((node) => node.column === column);
    t.equal(nodes.length, MOST_NODES + 1);
    t.strictSame(nodes.at(-1)?.name, null, 'the others come last');
  }
  const here = graph.nodes.filter(({ column }) => column === 'here');
  const all = many.reduce((sum, row) => sum + row[7] + row[8], 0) + 5001 + 15;
  t.equal(
    here.reduce((sum, node) => sum + bytesOf(node), 0),
    all,
  );
  t.ok(graph.nodes.some(({ name, column }) => name === 'others' && column === 'callers'));
  t.end();
});

t.test('the boxes of a graph fit, at any width, and no ribbon leaves its boxes', (t) => {
  const rows = Array.from({ length: 30 }, (_, i) => [
    from(`10.0.1.${i}`, 10 ** (i % 9), 1, `p${i % 12}`),
    to(`10.0.2.${i}`, 1, i * 1000, `p${i % 12}`),
  ]).flat();
  const graph = graphOf(flowsFor(...rows), 'process');
  for (const width of [0, 250, 374, 1200]) {
    const { boxes, ribbons } = layOut(graph, width, 300);
    t.equal(boxes.size, graph.nodes.length);
    for (const { x, y, width: wide, height } of boxes.values()) {
      t.ok(x >= 0 && x + wide <= width + 0.001 && y >= 0 && y + height <= 300.001);
      t.ok(height >= LEAST_HEIGHT);
    }
    for (const { id, from, to } of graph.links) {
      const ribbon = ribbons.get(id)!;
      const [a, b] = [boxes.get(from)!, boxes.get(to)!];
      t.ok(ribbon.from[1] >= a.y && ribbon.from[1] <= a.y + a.height);
      t.ok(ribbon.to[1] >= b.y && ribbon.to[1] <= b.y + b.height);
    }
  }
  t.equal(layOut(graphOf([], 'unit'), 300, 300).boxes.size, 0);
  t.end();
});

t.test('an address is cut before its last part, other names at their end', (t) => {
  const parts = (column: 'callers' | 'here' | 'called', name: string | null): string =>
    cutName({ column, name }).join('|');
  t.equal(parts('called', '203.0.113.17:443'), '203.0.113.|17:443');
  t.equal(parts('called', '[2001:db8::1]:22'), '[2001:db8::|1]:22');
  t.equal(parts('called', '[::]:80'), '[::|]:80');
  t.equal(parts('callers', '203.0.113.17'), '203.0.113.|17');
  t.equal(parts('callers', 'fd00::2'), 'fd00::|2');
  t.equal(parts('callers', '::'), '::|');
  t.equal(parts('here', 'nginx.service'), 'nginx.service|');
  t.equal(parts('callers', null), '|');
  t.end();
});
