// The page's arithmetic, apart from the browser: growth of counters over restarts, quantiles by the rules
// of Prometheus, units, the joining of history and stream, sorting and searching.
import { readFileSync } from 'node:fs';
import t from 'tap';
import type {
  ConnectionTable,
  HistogramFamily,
  PageSnapshot,
  ScalarSeries,
} from '../src/serve/types.js';
import {
  chartData,
  heatCells,
  heatLevel,
  heatRanges,
  stack,
  timeWindow,
} from '../src/page/model/charts.js';
import { PARTS as RECORDED_PARTS } from '../src/sources/exchange.js';
import { FAMILY_NAMES } from '../src/metrics/families.js';
import { columnsOf } from '../src/page/model/columns.js';
import { missingFlag } from '../src/page/model/flags.js';
import { age, count, duration, quantity, significant } from '../src/page/model/format.js';
import { files, losses, programs, rings } from '../src/page/model/health.js';
import { sortInto } from '../src/metrics/histogram.js';
import { mean, quantile, upperBound, usedRange } from '../src/page/model/histogram.js';
import { requestGroups } from '../src/page/model/http.js';
import { largestPart, PARTS, partShares, PART_COLOURS, SIDES } from '../src/page/model/parts.js';
import { increases, observed, rate, stepBetween } from '../src/page/model/series.js';
import { describeStatus } from '../src/page/model/status.js';
import { summarize } from '../src/page/model/summary.js';
import { clicked, connectionRows, cut, search, sort } from '../src/page/model/table.js';
import { TILES, tileText } from '../src/page/model/tiles.js';
import {
  EMPTY,
  extend,
  HISTORY_MS,
  joinHistory,
  lastMinute,
  MOST_POINTS,
  newest,
  type Timeline,
} from '../src/page/model/timeline.js';

const START = 'netwatch_process_start_time_seconds';
const LOST = 'netwatch_events_lost_total';

type Scalars = Readonly<Record<string, readonly ScalarSeries[]>>;

/** Labels and value, shortly. */
const one = (value: number, labels: Readonly<Record<string, string>> = {}): ScalarSeries => ({
  labels,
  value,
});

/** Written by a running collector at so many seconds; `start` tells its runs apart. */
function written(
  atSeconds: number,
  scalars: Scalars = {},
  more: Partial<PageSnapshot> & { readonly start?: number } = {},
): PageSnapshot {
  const { start = 1, ...rest } = more;
  return {
    atMs: atSeconds * 1000 + 30,
    writtenMs: atSeconds * 1000,
    intervalSeconds: 1,
    collector: 'running',
    scalars: { [START]: [one(start)], ...scalars },
    histograms: {},
    roundTrips: null,
    flows: null,
    connections: null,
    ...rest,
  };
}

const missing = (atSeconds: number): PageSnapshot => ({
  ...written(atSeconds),
  writtenMs: null,
  collector: 'missing',
  scalars: {},
});

function step(before: PageSnapshot, now: PageSnapshot) {
  const found = stepBetween(before, now);
  if (found === null) throw new Error('there is no step between these');
  return found;
}

t.test('a counter grows by its difference over the real time between two writings', (t) => {
  const found = step(
    written(10, { [LOST]: [one(100, { source: 'a' }), one(7, { source: 'b' })] }),
    written(12.5, { [LOST]: [one(150, { source: 'a' }), one(7, { source: 'b' })] }),
  );
  t.equal(found.seconds, 2.5);
  t.equal(rate(found, LOST), 20);
  t.equal(
    rate(found, LOST, ({ source }) => source === 'b'),
    0,
  );
  t.equal(rate(found, 'netwatch_absent_total'), null, 'what is not there has no rate');
  t.end();
});

t.test('a counter that fell has begun anew and gives no negative rate', (t) => {
  const found = step(written(10, { [LOST]: [one(900)] }), written(11, { [LOST]: [one(30)] }));
  t.equal(rate(found, LOST), 30);
  t.end();
});

t.test('after a restart counters count from the start of the new run', (t) => {
  const found = step(
    written(10, { [LOST]: [one(5)] }, { start: 1 }),
    written(20, { [LOST]: [one(60)] }, { start: 16 }),
  );
  t.equal(found.before, null, 'also where the new value is higher than the old one');
  t.equal(found.seconds, 4, 'since the start, not since the last writing of the run before');
  t.equal(rate(found, LOST), 15);
  t.end();
});

t.test('a series that was not there before has grown from zero', (t) => {
  const found = step(written(1), written(2, { [LOST]: [one(4, { source: 'new' })] }));
  t.strictSame(increases(found, LOST), [{ labels: { source: 'new' }, total: 4, increase: 4 }]);
  t.end();
});

t.test('there is no step without two writings by a running collector', (t) => {
  t.equal(stepBetween(missing(1), written(2)), null);
  t.equal(stepBetween(written(1), missing(2)), null);
  t.equal(stepBetween(written(2), written(2)), null, 'the same writing');
  t.equal(stepBetween(written(3), written(2)), null, 'going back');
  t.end();
});

const FAMILY = (...series: HistogramFamily['series']): HistogramFamily => ({
  bounds: [1, 2, 4],
  series,
});

t.test('a histogram grows bucket by bucket, and starts anew when one of its buckets fell', (t) => {
  const at = (seconds: number, counts: number[], sum: number): PageSnapshot =>
    written(seconds, {}, { histograms: { h: FAMILY({ labels: {}, counts, sum }) } });
  t.strictSame(observed(step(at(1, [1, 3, 3, 4], 20), at(2, [2, 4, 7, 9], 50)), 'h'), {
    bounds: [1, 2, 4],
    counts: [1, 0, 3, 1],
    sum: 30,
  });
  t.strictSame(observed(step(at(1, [9, 9, 9, 9], 9), at(2, [1, 1, 2, 2], 5)), 'h'), {
    bounds: [1, 2, 4],
    counts: [1, 0, 1, 0],
    sum: 5,
  });
  t.equal(observed(step(at(1, [0, 0, 0, 0], 0), at(2, [0, 0, 0, 0], 0)), 'other'), null);
  t.end();
});

t.test('quantiles are those of the histogram_quantile of Prometheus', (t) => {
  const buckets = { bounds: [1, 2, 4], counts: [2, 2, 4, 0] };
  t.equal(quantile(0.25, buckets), 1);
  t.equal(quantile(0.125, buckets), 0.5, 'the first bucket begins at zero');
  t.equal(quantile(0.5, buckets), 2);
  t.equal(quantile(0.75, buckets), 3, 'linear within a bucket');
  t.equal(quantile(1, buckets), 4);
  t.equal(quantile(0.99, { bounds: [1, 2, 4], counts: [1, 0, 0, 9] }), 4, 'beyond: highest bound');
  t.equal(quantile(0.5, { bounds: [1, 2, 4], counts: [0, 0, 0, 0] }), null);
  t.strictSame(
    [0.25, 0.5, 0.51, 1].map((q) => upperBound(q, buckets)),
    [1, 2, 4, 4],
    'where buckets are wide, only the bound is true',
  );
  t.equal(upperBound(0.99, { bounds: [1, 2, 4], counts: [1, 0, 0, 9] }), Infinity);
  t.equal(upperBound(0.5, { bounds: [1, 2, 4], counts: [0, 0, 0, 0] }), null);
  t.equal(mean({ ...buckets, sum: 16 }), 2);
  t.equal(mean({ bounds: [1], counts: [0, 0], sum: 0 }), null);
  t.end();
});

t.test('values are sorted into buckets with their upper bound inside', (t) => {
  t.strictSame(sortInto([1, 2, 4], [0, 1, 1.5, 2, 4, 5]), [2, 2, 1, 1]);
  t.strictSame(usedRange([[0, 0, 5, 0, 0, 0]], 3), [1, 3]);
  t.strictSame(usedRange([[0, 0], []], 3), null);
  t.strictSame(usedRange([[1, 0, 0, 1]], 2), [0, 3]);
  t.end();
});

t.test('numbers are written with three digits, a unit and a no-break space', (t) => {
  const cases: readonly (readonly [string, string])[] = [
    [quantity(null, 'count'), '–'],
    [quantity(NaN, 'rate'), '–'],
    [quantity(0, 'rate'), '0/s'],
    [quantity(1234.5, 'rate'), '1.23 k/s'],
    [quantity(999.96, 'rate'), '1 k/s'],
    [quantity(0.001, 'rate'), '<0.01/s'],
    [quantity(512, 'bytes'), '512 B'],
    [quantity(47_702_244, 'bytes'), '47.7 MB'],
    [quantity(1.5e12, 'bytesRate'), '1.5 TB/s'],
    [quantity(0.0123, 'ratio'), '1.23 %'],
    [count(12_345), '12,345'],
    [count(1_020_000), '1.02 M'],
    [duration(0), '0 s'],
    [duration(0.000043), '43 µs'],
    [duration(125e-9), '125 ns'],
    [duration(0.9999), '1 s'],
    [duration(7200), '2 h'],
    [significant(-3.14159), '-3.14'],
    [age(59.9), '59 s'],
    [age(600), '10 min'],
  ];
  for (const [text, wanted] of cases) t.equal(text.replaceAll('\u00a0', ' '), wanted);
  t.notMatch(quantity(5, 'bytes'), / /, 'a plain space would let the line break');
  t.end();
});

const rates = ({ points }: Timeline): (number | null)[] =>
  points.map(({ summary }) => summary?.lost ?? null);
const lost = (atSeconds: number, value: number, more: Partial<PageSnapshot> = {}): PageSnapshot =>
  written(atSeconds, { [LOST]: [one(value)] }, more);

t.test('history and stream are joined without doubles, whichever comes first', (t) => {
  const history = [lost(1, 0), lost(2, 3), lost(3, 8)];
  const stream = [lost(3, 8), lost(4, 9)];
  const after = stream.reduce(extend, joinHistory(history, EMPTY));
  const before = joinHistory(history, stream.reduce(extend, EMPTY));
  t.strictSame(rates(after), [null, 3, 5, 1]);
  t.strictSame(before.points, after.points);
  t.equal(newest(before)?.writtenMs, 4000);
  t.equal(extend(after, lost(2, 3)), after, 'an old one changes nothing');
  t.end();
});

t.test('a later look at the same writing renews the snapshot and adds no point', (t) => {
  const connections: ConnectionTable = { columns: ['srtt_seconds'], rows: [[0.5]] };
  const first = joinHistory([lost(1, 0), lost(2, 3)], EMPTY);
  const again = extend(first, lost(2, 3, { atMs: 9000, connections }));
  t.equal(again.points.length, 2);
  t.equal(newest(again)?.atMs, 9000);
  t.equal(newest(again)?.connections, connections);
  t.end();
});

t.test('what the endpoint forgot in a restart stays on the page', (t) => {
  const live = [lost(1, 0), lost(2, 3), lost(3, 8)].reduce(extend, EMPTY);
  t.strictSame(rates(joinHistory([lost(3, 8), lost(4, 9)], live)), [null, 3, 5, 1]);
  t.end();
});

t.test('a collector that does not run breaks the line once', (t) => {
  const timeline = [lost(1, 0), lost(2, 1), missing(3), missing(4), missing(5), lost(6, 5)];
  t.strictSame(rates(timeline.reduce(extend, EMPTY)), [null, 1, null]);
  const on = [...timeline, lost(7, 7)].reduce(extend, EMPTY);
  t.strictSame(rates(on), [null, 1, null, 2], 'and goes on with the second writing');
  t.end();
});

t.test('points are kept for 15 minutes, however many come', (t) => {
  let timeline = EMPTY;
  for (let s = 1; s <= 1000; s++) timeline = extend(timeline, lost(s, s));
  t.equal(timeline.points.at(-1)!.atMs - timeline.points[0]!.atMs, HISTORY_MS);
  t.equal(timeline.points.length, 901);
  t.ok(timeline.recent.length <= 62, 'whole snapshots for a minute only');
  let fast = EMPTY;
  for (let i = 1; i <= 2500; i++) fast = extend(fast, lost(i / 10, i));
  t.equal(fast.points.length, MOST_POINTS);
  t.end();
});

t.test('only the newest snapshot keeps its connections', (t) => {
  const connections: ConnectionTable = { columns: ['sock'], rows: [['a']] };
  const timeline = [1, 2, 3].map((s) => lost(s, s, { connections })).reduce(extend, EMPTY);
  t.strictSame(
    timeline.recent.map((snapshot) => snapshot.connections),
    [null, null, connections],
  );
  t.end();
});

t.test('the rates of tables are those of the last minute of the present run', (t) => {
  const timeline = [
    written(1, {}, { start: 1 }),
    written(40, { [LOST]: [one(10)] }, { start: 39 }),
    written(50, { [LOST]: [one(30)] }, { start: 39 }),
  ].reduce(extend, EMPTY);
  t.match(lastMinute(timeline), { seconds: 10 });
  t.equal(lastMinute(extend(EMPTY, written(1))), null, 'one writing has no rate');
  t.end();
});

t.test('stacked columns stand on each other, and what is unknown stays unknown', (t) => {
  const columns = [
    [1, null, null],
    [2, 5, null],
  ];
  t.strictSame(stack(columns), [
    [1, 0, null],
    [3, 5, null],
  ]);
  t.end();
});

t.test('time axes show the shortest window that holds all points', (t) => {
  const at = (atMs: number) => ({ atMs, summary: null });
  t.strictSame(timeWindow([at(1_000_000)], 1_030_000), [970, 1030]);
  t.strictSame(timeWindow([at(1_000_000)], 1_090_000), [970, 1090]);
  t.strictSame(timeWindow([at(0)], 2_000_000), [1100, 2000]);
  t.end();
});

t.test('charts and heat maps take their numbers from the points', (t) => {
  const rtt = (seconds: number, counts: number[]): PageSnapshot =>
    written(
      seconds,
      {},
      { histograms: { netwatch_tcp_rtt_seconds: FAMILY({ labels: {}, counts, sum: 0 }) } },
    );
  const { points } = [rtt(1, [0, 0, 0, 0]), rtt(3, [0, 2, 2, 5])].reduce(extend, EMPTY);
  t.strictSame(
    heatCells(points, ({ rtt }) => rtt?.counts ?? null),
    [
      { fromSeconds: 1, toSeconds: 3, bucket: 1, count: 2 },
      { fromSeconds: 1, toSeconds: 3, bucket: 3, count: 3 },
    ],
  );
  t.strictSame(chartData(points, [({ seconds }) => seconds]), {
    seconds: [1, 3],
    columns: [[null, 2]],
  });
  t.end();
});

t.test(
  'the history has the round trips of open connections, so that a heat map has a past',
  (t) => {
    const open = (seconds: number, counts: number[]): PageSnapshot =>
      written(
        seconds,
        {},
        {
          roundTrips: { count: 2, bounds: [1, 2, 4], counts, p50: 1.5, p95: 3, p99: 3 },
        },
      );
    const history = [open(1, [0, 2, 0, 0]), open(2, [0, 1, 1, 0]), open(3, [0, 0, 2, 0])];
    const { points } = joinHistory(history, EMPTY);
    t.strictSame(
      heatCells(points, ({ srtt }) => srtt?.counts ?? null),
      [
        { fromSeconds: 1, toSeconds: 2, bucket: 1, count: 1 },
        { fromSeconds: 1, toSeconds: 2, bucket: 2, count: 1 },
        { fromSeconds: 2, toSeconds: 3, bucket: 2, count: 2 },
      ],
    );
    t.end();
  },
);

t.test('each colour of a heat map stands for a range of counts, and all counts have one', (t) => {
  t.strictSame(heatRanges(64, 4), [
    { level: 0, from: 1, to: 3 },
    { level: 1, from: 4, to: 15 },
    { level: 2, from: 16, to: 35 },
    { level: 3, from: 36, to: 64 },
  ]);
  t.strictSame(heatRanges(1, 4), [{ level: 3, from: 1, to: 1 }]);
  for (let most = 1; most <= 300; most++)
    for (let count = 1; count <= most; count++) {
      const level = heatLevel(count, most, 4);
      const range = heatRanges(most, 4).find((one) => one.from <= count && count <= one.to);
      if (range?.level !== level) t.fail(`${count} of ${most}: ${level}, ${range?.level}`);
    }
  t.end();
});

t.test('the parts of requests are those of the records, with a colour for each', (t) => {
  for (const side of SIDES) {
    t.strictSame(
      PARTS[side],
      RECORDED_PARTS[side].map(({ name }) => name),
    );
    const colours = PARTS[side].map((part) => PART_COLOURS[part]);
    t.equal(new Set(colours).size, colours.length, `no two parts of a ${side} look alike`);
  }
  const parts = { receive_queue: 0.1, application: 0.3 };
  t.match(largestPart('server', parts), { part: 'application', seconds: 0.3 });
  t.equal(largestPart('client', {}), null);
  t.match(partShares('server', { application: 0 }), [{ share: 0 }], 'nothing of nothing');
  t.end();
});

const TABLE: ConnectionTable = {
  columns: ['sock', 'src', 'dst', 'process', 'pid', 'is_server', 'state', 'srtt_seconds'],
  rows: [
    ['a', '10.0.0.1:80', '10.0.0.9:5001', 'nginx', 900, 1, 'established', 0.02],
    ['b', '10.0.0.1:81', '10.0.0.9:5002', 'Postgres', 1000, 1, 'close_wait', null],
    ['c', '10.0.0.1:82', '10.0.0.8:5003', 'curl', 30, 0, 'established', 0.3],
  ],
};
const socks = (rows: readonly { value(name: string): unknown }[]): unknown[] =>
  rows.map((row) => row.value('sock'));

t.test('rows sort by numbers and by text, with the unknown last both ways', (t) => {
  const rows = connectionRows(TABLE);
  const by = (column: string, descending: boolean): unknown[] =>
    socks(sort(rows, { column, descending }));
  t.strictSame(by('srtt_seconds', true), ['c', 'a', 'b']);
  t.strictSame(by('srtt_seconds', false), ['a', 'c', 'b']);
  t.strictSame(by('pid', false), ['c', 'a', 'b'], 'numbers, not digits');
  t.strictSame(by('process', false), ['c', 'a', 'b']);
  t.strictSame(by('no such column', false), ['a', 'b', 'c']);
  t.strictSame(clicked({ column: 'pid', descending: true }, 'pid', false), {
    column: 'pid',
    descending: false,
  });
  t.match(clicked({ column: 'pid', descending: true }, 'process', true), { descending: false });
  t.match(clicked({ column: 'pid', descending: true }, 'cwnd', false), { descending: true });
  t.end();
});

t.test('every word of a search has to be found in process, ends, role or state', (t) => {
  const rows = connectionRows(TABLE);
  t.strictSame(socks(search(rows, 'postGRES')), ['b']);
  t.strictSame(socks(search(rows, '10.0.0.9 established')), ['a']);
  t.strictSame(socks(search(rows, ' client ')), ['c']);
  t.strictSame(socks(search(rows, '')), ['a', 'b', 'c']);
  t.match(cut(rows, '10.0.0.1', { column: 'pid', descending: true }, 2), { all: 3, found: 3 });
  t.equal(cut(rows, '', { column: 'pid', descending: true }, 2).rows.length, 2);
  t.end();
});

t.test('a column is written by the unit in the name of its family', (t) => {
  const columns = columnsOf(
    [
      ...['sock', 'pacing_rate_bytes_per_second', 'srtt_seconds', 'pid', 'acked_bytes_total'],
      ...['sent_bytes_total', 'sent_segments_total', 'busy_seconds_total', 'new_x'],
    ],
    (name) => name !== 'pid',
  );
  t.strictSame(
    columns.map(({ name, title, kind, shown }) => [name, title, kind, shown]),
    [
      ['srtt_seconds', 'srtt', 'seconds', true],
      ['acked_bytes_total', 'sent', 'bytes', true],
      ['sock', 'sock', 'text', false],
      ['pacing_rate_bytes_per_second', 'pacing rate', 'bytesRate', false],
      ['sent_bytes_total', 'sent with repeats', 'bytes', false],
      ['sent_segments_total', 'segments out', 'count', false],
      ['busy_seconds_total', 'busy', 'seconds', false],
      ['new_x', 'new x', 'count', false],
    ],
  );
  t.end();
});

t.test('no two columns of a connection have the same title', (t) => {
  const families = FAMILY_NAMES.filter((name) => /^netwatch_connection_.*(?<!_info)$/.test(name));
  const names = families.map((name) => name.slice('netwatch_connection_'.length));
  const titles = columnsOf(names, () => true).map(({ title }) => title);
  t.equal(titles.length, 45);
  t.strictSame(
    titles.filter((title, i) => titles.indexOf(title) !== i),
    [],
  );
  t.end();
});

t.test('the status says what is wrong and what to do about it', (t) => {
  const plain = (...args: Parameters<typeof describeStatus>): string =>
    describeStatus(...args).sentence.replaceAll('\u00a0', ' ');
  const START_IT = 'Start it: sudo netwatch -x -r -t -i -e';
  t.equal(
    plain(written(1), 'live', 2.4),
    'The collector is running: netwatch.prom was written 2 s ago, every 1 s.',
  );
  t.equal(plain(missing(1), 'live', null), `The collector is not running. ${START_IT}`);
  t.equal(
    plain({ ...written(1), collector: 'stale' }, 'live', 75),
    `The collector is not running: netwatch.prom was written 75 s ago. ${START_IT}`,
  );
  t.match(
    plain(written(1), 'lost', 3),
    /^Connection to the endpoint lost, trying again\. What is shown is old/,
  );
  t.match(describeStatus(null, 'connecting', null), { tone: 'wait' });
  t.match(describeStatus(written(1), 'live', 60), { tone: 'warn' }, 'far too late');
  t.end();
});

t.test('a panel without its numbers names the option that brings them', (t) => {
  const sockets = [one(2, { network_connection_state: 'established' })];
  const bare = written(
    1,
    { netwatch_tcp_sockets: sockets },
    { connections: { columns: [], rows: [] } },
  );
  t.match(missingFlag(bare, 'connections'), /option -x\./);
  t.match(missingFlag(bare, 'layers'), /option -t\./);
  t.match(missingFlag(bare, 'http'), /option -i\./);
  t.match(missingFlag(bare, 'retransmits'), /option -r\./);
  t.match(missingFlag(bare, 'faults'), /option -e\./);
  t.equal(missingFlag(missing(1), 'faults'), null, 'nothing is said of options if nothing runs');
  const quiet = written(1, {
    netwatch_events_total: [one(0, { source: 'fault' })],
    netwatch_http_resyncs_total: [one(0)],
  });
  t.equal(missingFlag(quiet, 'faults'), null, 'no drop so far');
  t.equal(missingFlag(quiet, 'http'), null, 'no request so far');
  t.equal(missingFlag(quiet, 'connections'), null, 'no connection open');
  t.end();
});

t.test('tiles show rates, totals and the flag that is missing', (t) => {
  const name = 'netwatch_tcp_connections_total';
  const client = { network_tcp_handshake_role: 'client' };
  const at = (seconds: number, ok: number, refused: number): PageSnapshot =>
    written(seconds, {
      [name]: [one(ok, client), one(refused, { ...client, error_type: 'refused' })],
    });
  const now = at(3, 50, 7);
  const both = step(at(1, 10, 1), now);
  const input = { snapshot: now, summary: summarize(both), minute: both };
  const tile = (id: string) =>
    tileText(
      TILES.find((one) => one.id === id)!,
      input,
    );
  t.match(tile('opened'), { value: 20, text: '20/s' });
  t.match(tile('failed'), { value: 3, more: '7 since start', isBad: true });
  t.match(tile('retransmits'), { value: null, text: '–', more: 'needs -r' });
  t.match(tileText(TILES[0]!, { ...input, snapshot: missing(9) }), { value: null, text: '–' });
  t.end();
});

t.test(
  'groups of requests have totals since the start, and rate and quantiles of the step',
  (t) => {
    const labels = {
      http_request_method: 'GET',
      http_response_status_code: '500',
      server_port: '80',
      error_type: '500',
    };
    const at = (seconds: number, counts: number[]): PageSnapshot =>
      written(
        seconds,
        {},
        {
          histograms: {
            http_server_request_duration_seconds: FAMILY({ labels, counts, sum: 0 }),
          },
        },
      );
    const now = at(3, [4, 8, 8, 8]);
    const expected = { side: 'server', method: 'GET', status: '500', port: '80', isError: true };
    const both = step(at(1, [0, 4, 4, 4]), now);
    const kind = { ...expected, errorType: '500', p50: 0.123, p95: 0.2, p99: 0.3 };
    const report = { atMs: 0, fromMs: 0, count: 0, routes: [], kinds: [kind], slowest: [] };
    t.match(requestGroups(now, both, report), [
      { ...expected, total: 8, rate: 2, p50: 0.123, p99: 0.3, bounds: null },
    ]);
    t.match(
      requestGroups(now, both, { ...report, kinds: [] }),
      [{ total: 8, p50: null }],
      'none of them in the last minute',
    );
    t.match(
      requestGroups(now, both, null),
      [{ total: 8, rate: 2, p50: 1, bounds: [1, 2, 4] }],
      'without their values, no more than the bound of a bucket is known',
    );
    t.match(requestGroups(now, null, null), [{ total: 8, rate: null, p50: null }]);
    t.end();
  },
);

t.test('the health tables tell losses, costs, rings and waiting records', (t) => {
  const at = (seconds: number, runs: number): PageSnapshot =>
    written(seconds, {
      [LOST]: [one(3, { source: 'err.log', stage: 'file' })],
      netwatch_bpf_program_attached: [
        one(1, { source: 's', program: 'a', attach_type: 'tp_btf' }),
        one(0, { source: 's', program: 'b', attach_type: 'iter' }),
        one(1, { source: 'other', program: 'a', attach_type: 'iter' }),
      ],
      netwatch_bpf_program_run_count_total: [one(runs, { source: 's', program: 'a' })],
      netwatch_bpf_program_run_time_seconds_total: [
        one(runs / 1000, { source: 's', program: 'a' }),
      ],
      netwatch_ringbuf_capacity_bytes: [one(100, { source: 'packet' })],
      netwatch_ringbuf_used_bytes: [one(25, { source: 'packet' })],
      netwatch_records_accepted_total: [one(runs + 9, { file: 'err.log' })],
      netwatch_records_written_total: [one(runs, { file: 'err.log' })],
    });
  const now = at(3, 100);
  const both = step(at(1, 20), now);
  t.match(losses(now, both), [{ source: 'err.log', stage: 'file', total: 3, rate: 0 }]);
  t.match(programs(now, both), [
    { name: 'b', attached: false, cpu: null },
    { source: 's', name: 'a', attached: true, cpu: 0.04, runsPerSecond: 40, secondsPerRun: 0.001 },
    { source: 'other', name: 'a', attached: true, cpu: null, secondsPerRun: null },
  ]);
  t.match(rings(now, both), [{ source: 'packet', usedBytes: 25, capacityBytes: 100 }]);
  t.match(files(now, both), [{ file: 'err.log', written: 100, rate: 40, waiting: 6 }]);
  t.end();
});

/** The contrast of two colours by WCAG 2. */
function contrast(a: string, b: string): number {
  const luminance = (hex: string): number => {
    const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
      const part = parseInt(hex.slice(at, at + 2), 16) / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const [light = 0, dark = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (light + 0.05) / (dark + 0.05);
}

t.test('text and curves can be told from every ground, in light and in dark', (t) => {
  const css = readFileSync(new URL('../src/page/styles/theme.css', import.meta.url), 'utf8');
  const colours = new Map(
    [...css.matchAll(/--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)/g)].map(
      ([, name = '', light = '', dark = '']) => [name, [light, dark] as const],
    ),
  );
  t.equal(contrast('#ffffff', '#000000'), 21);
  const check = (names: readonly string[], grounds: readonly string[], least: number): void => {
    for (const name of names)
      for (const ground of grounds)
        for (const theme of [0, 1] as const) {
          const found = contrast(colours.get(name)![theme], colours.get(ground)![theme]);
          t.ok(found >= least, `${name} on ${ground}, theme ${theme}: ${found.toFixed(2)}`);
        }
  };
  check(['text', 'text-soft', 'accent'], ['ground', 'surface', 'hover', 'raised'], 4.5);
  check(['good', 'warn', 'bad'], ['surface'], 4.5);
  check(['text', 'bad'], ['bad-ground'], 4.5);
  check(['text-soft', 'warn'], ['warn-ground'], 4.5);
  check(['text'], ['bar'], 4.5);
  const series = [...colours.keys()].filter((name) => name.startsWith('series-'));
  t.equal(series.length, 6);
  check(series, ['surface'], 3);
  t.end();
});
