/**
 * What is served of the files of a directory: the quick check beside the strict parser, files that
 * fit together and files that do not, both formats, compressed and not, and the page's view.
 */
import { isUtf8 } from 'node:buffer';
import { gunzipSync } from 'node:zlib';
import t from 'tap';
import { finishBody, prepareBody } from '../src/serve/body.js';
import { groupOf } from '../src/serve/groups.js';
import { History } from '../src/serve/history.js';
import { mergeScans, type Merged, type MergedFamily } from '../src/serve/merge.js';
import { pageSnapshot, snapshotJson } from '../src/serve/page-model.js';
import { PreparedBodies } from '../src/serve/prepared.js';
import { renderFamilies, wholeOf } from '../src/serve/render.js';
import { linesOf, quickScan, scanExposition, type Scan } from '../src/serve/scan.js';
import { SeriesTable } from '../src/serve/series-table.js';
import { collectorState } from '../src/serve/staleness.js';
import type { MetricsRequest } from '../src/serve/store-interface.js';
import { GROUPS, type Group } from '../src/serve/types.js';
import { FAMILY_NAMES } from '../src/metrics/families.js';
import { ExpositionParser, readExposition } from '../src/metrics/parse.js';
import { parseSample, seriesKey, type Sample } from '../src/metrics/sample.js';
import { Snapshot } from '../src/metrics/snapshot.js';
import { HOSTILE, missing, NUMBERS, promtool } from './support/exposition.js';
import { parseExposition } from './support/parse.js';

const H = '# HELP x x\n# TYPE x gauge\n';
const histogram = (lines: string): string => `# HELP h h\n# TYPE h histogram\n${lines}`;
const WHOLE = 'h_bucket{le="1"} 1\nh_bucket{le="+Inf"} 2\nh_sum 3\nh_count 2\n';

/** Files, and why they are refused; null: served. */
const FILES: readonly (readonly [text: string, error: RegExp | null])[] = [
  ['', null],
  ['\n# a remark\n\n', null],
  [`${H}x 1\n`, null],
  [`${H}x{a="1",b="\\\\\\"\\n"} 1\nx{a="1",b="2"} NaN\n`, null],
  [`${H}  x { a = "1" , b="2", } +1.5e3\n\n# a remark\n`, null],
  [`${H}x{} .5\n`, null],
  [`${H}x -infinity\n`, null],
  [`${H}x 1e300\n`, null],
  [`${H}x{a="é😀"} 1.\n`, null],
  [`${H}x{a=""} 1\nx{a="1"} 2\n`, null],
  [`${H}x{a="1",b="2"} 1\nx{b="2",a="2"} 2\n`, null],
  [`${H}x{a="1"} 1\nx{b="1"} 1\nx 1\n`, null],
  ['x 1\ny{a="1"} 2\n', null],
  ['# HELP x x\nx 1\n', null],
  ['x 1\n# HELP x late\n', null],
  [`${H}x{a="1"} 1\n# TYPE y gauge\ny 1\nx{a="2"} 2\n`, null],
  ['# TYPE c_total counter\nc_total +1\n', null],
  ['# TYPE s summary\ns{quantile="0.5"} 1\ns_sum 1\ns_count 1\n', null],
  ['# HELP y a\\\\b\\nc\n# TYPE y gauge\ny 1\n', null],
  [histogram(WHOLE), null],
  [histogram(WHOLE.replaceAll('{le', '{a="1",le').replace(/_(sum|count) /g, '_$1{a="1"} ')), null],
  [histogram('h_bucket{le="+Inf",a="1"} 2\nh_sum{a="1"} 3\nh_count{a="1"} 2\n'), null],
  [
    histogram('h_bucket{b="2",le="+Inf",a="1"} 2\nh_sum{a="1",b="2"} 3\nh_count{a="1",b="2"} 2\n'),
    null,
  ],
  [`${H}x 1 1795233307771\n`, /^line 3: x has a timestamp$/],
  [`${H}x{a="1",b="2"} 1\nx{b="2",a="1"} 2\n`, /^line 4: second sample of one series of x$/],
  [`${H}x{a=""} 1\nx 2\n`, /second sample of one series of x/],
  [`${H}x 1\nx 1\n`, /second sample of one series of x/],
  [`${H}# HELP x y\nx 1\n`, /second HELP line for metric name "x"/],
  [`${H}# TYPE x gauge\nx 1\n`, /second TYPE line for metric name "x"/],
  ['# HELP x x\nx 1\n# TYPE x gauge\n', /TYPE reported after samples/],
  [`${H}x{a="C:\\dir"} 1\n`, /invalid escape sequence '\\d'/],
  ['# HELP x \\d\n# TYPE x gauge\nx 1\n', /invalid escape sequence '\\d'/],
  [`${H}x{a="un\nclosed"} 1\n`, /label value "un" is not closed/],
  [`${H}x{a="quo"te"} 1\n`, /unexpected end of label value/],
  [`${H}x{a="1" b="2"} 1\n`, /unexpected end of label value/],
  [`${H}x{http.method="GET"} 1\n`, /expected '=' after label name, found '\.'/],
  [`${H}x{a=1} 1\n`, /expected '"' at start of label value, found '1'/],
  [`${H}x{1a="1"} 1\n`, /invalid label name for metric "x"/],
  [`${H}x{a="1",a="2"} 1\n`, /duplicate label names for metric "x"/],
  [`${H}x{__name__="y"} 1\n`, /"__name__" is reserved/],
  ['# HELP x.total x\n', /invalid metric name in comment/],
  ['{"a": 1}\n', /invalid metric name/],
  ['PID COMM\n', /expected float as value, got "COMM"/],
  [`${H}x 0x10\n`, /expected float as value, got "0x10"/],
  [`${H}x 1_000\n`, /expected float as value, got "1_000"/],
  [`${H}x 1e999\n`, /expected float as value, got "1e999"/],
  [`${H}x\n`, /expected float as value, got ""/],
  [`${H}x 1 \n`, /expected integer as timestamp, got ""/],
  [`${H}x 1`, /unexpected end of input stream/],
  [`${H}x{a="1`, /unexpected end of input stream/],
  ['# HELP x x\r\n# TYPE x gauge\r\nx 1\r\n', /unknown metric type "gauge\\r"/],
  [`${H}x 1\r\n`, /expected float as value, got "1\\r"/],
  ['# TYPE x fun\nx 1\n', /unknown metric type "fun"/],
  ['\ufeff# HELP x x\n', /invalid metric name/],
  [`${H}x{a="\0"} 1\n`, /must not contain NUL/],
  [`${H}x{le="1"} 1\n`, /label "le" on x, which is no histogram/],
  ['# TYPE c_total counter\nc_total -1\n', /counter c_total is -1/],
  ['# TYPE c_total counter\nc_total NaN\n', /counter c_total is NaN/],
  [histogram(WHOLE.replace('1\n', '3\n')), /le="Infinity" is smaller than the one before/],
  [histogram(WHOLE.replace('count 2', 'count 3')), /_count is not the \+Inf bucket/],
  [histogram('h_bucket{le="z"} 2\n'), /expected float as value for 'le' label, got "z"/],
  [histogram('h_bucket 2\n'), /h_bucket has no label "le"/],
  [histogram('h 2\n'), /histogram h has no plain sample/],
];

/** A file of everything that netwatch writes, with hostile values and awkward numbers. */
function everything(): Buffer {
  const snapshot = new Snapshot();
  for (const [i, [value]] of HOSTILE.entries()) {
    const ends = { sock: `s${i}`, src: 'a:1', dst: 'b:2' };
    const info = { pid: i, process: value, ...ends, is_server: 0 };
    snapshot.add('netwatch_connection_info', info, 1);
    snapshot.add('netwatch_connection_cwnd_segments', ends, i);
  }
  // Exponents of three digits, which no metric of ours has, are for the strict parser.
  for (const [i, [value]] of NUMBERS.filter(([, text]) => !/e/.test(text)).entries()) {
    snapshot.add('netwatch_map_entries', { map: `number ${i}` }, value);
  }
  snapshot.histogram('netwatch_tcp_rtt_seconds', {}, new Array<number>(26).fill(1), 2.5);
  for (const role of ['client', 'server'] as const) {
    const labels = { network_tcp_handshake_role: role };
    const counts = new Array<number>(178).fill(2);
    snapshot.histogram('netwatch_tcp_handshake_duration_seconds', labels, counts, 0.5);
    snapshot.add('netwatch_tcp_connections_total', { ...labels, error_type: '' }, 7);
    snapshot.add('netwatch_tcp_connections_total', { ...labels, error_type: 'reset' }, 1);
  }
  return snapshot.text();
}

/** The strict parser with the rules of the textfile collector. */
function strictly(bytes: Buffer): { samples: readonly Sample[]; isGood: boolean } {
  const samples: Sample[] = [];
  const rules = { timestamps: 'forbid', grouped: false, unique: true, documented: false } as const;
  const parser = new ExpositionParser(rules, (sample) => samples.push(sample));
  return { isGood: readExposition(bytes, parser).length === 0, samples };
}

function scanOf(text: string | Buffer): Scan {
  const result = scanExposition(Buffer.from(text));
  if (!result.ok) throw new Error(result.error);
  return result.scan;
}

function seriesOf({ bytes, families }: Scan): string[] {
  const lines = [...families.values()].flatMap(({ ranges }) => [...linesOf(bytes, ranges)]);
  return keysOf(lines.map(parseSample));
}

const keysOf = (samples: readonly Sample[]): string[] =>
  samples.map(({ name, labels, value }) => `${seriesKey(name, labels)} ${value}`).sort();

function merge(files: Readonly<Record<string, string | Buffer>>): Merged {
  return mergeScans(Object.entries(files).map(([name, text]) => ({ name, scan: scanOf(text) })));
}

const textOf = ({ families }: Merged, groups: ReadonlySet<Group> | null = null): string =>
  Buffer.from(renderFamilies(families, 'text', groups)).toString();

/** As a client gets it. */
const bodyOf = (families: readonly MergedFamily[], request: MetricsRequest): Buffer =>
  wholeOf(finishBody(prepareBody(families, request), request).parts);

/** A whole OpenMetrics body without own families. */
function openMetricsOf({ families }: Merged): string {
  const kind = { format: 'openmetrics', gzip: false, groups: null } as const;
  return bodyOf(families, { ...kind, own: Buffer.of() }).toString();
}

t.test('a file is refused with the first thing that is wrong, or served whole', (t) => {
  for (const [text, error] of FILES) {
    const name = JSON.stringify(text);
    const result = scanExposition(Buffer.from(text));
    if (error !== null) {
      t.match(result, { ok: false, error }, name);
      continue;
    }
    t.ok(result.ok, name);
    if (!result.ok) continue;
    t.strictSame(seriesOf(result.scan), keysOf(strictly(Buffer.from(text)).samples), name);
    const body = textOf(mergeScans([{ name: 'a.prom', scan: result.scan }]));
    t.strictSame(parseExposition(body).issues, [], `${name}: what is served keeps all rules`);
  }
  const invalid = Buffer.concat([Buffer.from(`${H}x{a="`), Buffer.of(0xff), Buffer.from('"} 1\n')]);
  t.strictSame(scanExposition(invalid), { ok: false, error: 'invalid UTF-8' });
  t.end();
});

/** What only a careful reader refuses: a scrape takes it. */
const AS_SCRAPED: readonly string[] = [
  'x_bucket{le="1"} 1\nx_bucket{le="+Inf"} 2\nx_sum 3\nx_count 2\n',
  '# TYPE x untyped\nx{le="1"} 1\n',
  histogram('h_bucket{le="1"} 1\nh_sum 3\nh_count 1\n'),
  histogram('h_bucket{le="+Inf"} 2\nh_count 2\n'),
  histogram('h_sum 3\nh_count 2\n'),
];

t.test('what a scrape takes is served, le without TYPE and half a histogram too', async (t) => {
  const { skip } = missing('promtool');
  for (const text of AS_SCRAPED) {
    const merged = merge({ 'a.prom': text });
    const lines = text.split('\n').filter((line) => !line.startsWith('#'));
    const served = textOf(merged);
    t.strictSame(
      served
        .split('\n')
        .filter((line) => !line.startsWith('#'))
        .sort(),
      lines.sort(),
      text,
    );
    t.notMatch(openMetricsOf(merged), /^# TYPE \w+ histogram$/m);
    // 3: there is something to say of its style
    if (skip === undefined) t.ok([0, 3].includes(promtool(served).code ?? -1), `promtool: ${text}`);
  }
});

/** Numbers from 0 to 1, the same in every run. */
function* pseudoRandom(): Generator<number, never> {
  for (let state = 1; ; state = Math.imul(state, 1664525) + 1013904223) {
    yield (state >>> 0) / 2 ** 32;
  }
}

t.test('the quick check accepts nothing that the strict parser refuses', (t) => {
  const bodies = [everything(), ...FILES.map(([text]) => Buffer.from(text))];
  const random = pseudoRandom();
  const below = (limit: number): number => Math.floor(random.next().value * limit);
  const bytes = Buffer.from('"\\{}=, \n#0+-.eExle_bucketinf1\0\xff', 'latin1');
  let accepted = 0;
  for (let round = 0; round < 20_000; round++) {
    const body = Buffer.from(bodies[below(bodies.length)]!.subarray(-below(2000) - 1));
    if (below(4) > 0) body[below(body.length)] = bytes[below(bytes.length)]!;
    if (below(4) === 0) body.copyWithin(below(body.length), below(body.length));
    const families = isUtf8(body) ? quickScan(body) : null;
    if (families === null) continue;
    accepted++;
    const strict = strictly(body);
    const same = keysOf(strict.samples).join() === seriesOf({ bytes: body, families }).join();
    if (strict.isGood && same) continue;
    t.fail(`accepted: ${JSON.stringify(body.toString())}`);
  }
  t.ok(accepted > 2000, `${accepted} bodies were accepted`);
  t.ok(quickScan(everything()) !== null, 'what netwatch writes is never left to the strict parser');
  t.end();
});

t.test('the lines of large files are all found, each once, at any place', (t) => {
  const line = (i: number): string => `x{a="${'é'.repeat(100)}${i}"} ${i}\n`;
  const text = H + Array.from({ length: 12_000 }, (_, i) => line(i)).join('');
  const scan = scanOf(text);
  const lines = [...linesOf(scan.bytes, scan.families.get('x')?.ranges ?? [])];
  t.equal(lines.length, 12_000);
  t.equal(`${lines.join('\n')}\n`, text.slice(H.length));
  t.match(scanExposition(Buffer.from(text + line(77))), {
    error: 'line 12003: second sample of one series of x',
  });
  const long = `${H}x{a="${'y'.repeat(3 << 20)}"} 1\nx 2\n`;
  t.strictSame(
    [...linesOf(Buffer.from(long), [H.length, long.length])].map(({ length }) => length),
    [(3 << 20) + 9, 3],
  );
  t.ok(scanExposition(Buffer.from(long)).ok);
  t.end();
});

t.test('series with the same hash are told apart', (t) => {
  const bytes = Buffer.from('costarring liquid costarring');
  const table = new SeriesTable(bytes);
  t.equal(table.add(0, 10), true);
  t.equal(table.add(11, 17), true, 'the two words have one FNV-1a hash');
  t.equal(table.add(18, 28), false);
  t.end();
});

t.test('families are sorted, stand together and have one header', (t) => {
  const merged = merge({
    'a.prom': '# TYPE y gauge\ny 1\n# HELP x x\n# TYPE x gauge\nx{f="a"} 1\n# TYPE z gauge\n',
    'b.prom': 'u{f="b"} 1\n# TYPE x gauge\nx{f="b"} 1\nu{f="b2"} 1\nx{f="b2"} 1\n',
    'c.prom': 'u{f="c"} 1\n',
  });
  t.strictSame(merged.errors, new Map());
  t.equal(
    textOf(merged),
    '# HELP u Metric read from b.prom, c.prom\n# TYPE u untyped\n' +
      'u{f="b"} 1\nu{f="b2"} 1\nu{f="c"} 1\n' +
      '# HELP x x\n# TYPE x gauge\nx{f="a"} 1\nx{f="b"} 1\nx{f="b2"} 1\n' +
      '# HELP y Metric read from a.prom\n# TYPE y gauge\ny 1\n',
  );
  t.end();
});

t.test('of two files that contradict each other the first is served', (t) => {
  const first = '# HELP x x\n# TYPE x gauge\nx{a="1",b="2"} 1\n';
  const cases: readonly (readonly [text: string, error: string])[] = [
    ['# TYPE x counter\nx 1\n', 'its x is a counter, that of a.prom a gauge'],
    ['x 1\n', 'its x is a untyped, that of a.prom a gauge'],
    ['# HELP x y\n# TYPE x gauge\nx 1\n', 'its HELP of x is not that of a.prom'],
    ['# TYPE x gauge\nx{b="2",a="1"} 1\n', 'it has a series of x that a.prom has too'],
    [
      histogram(WHOLE)
        .replaceAll('h', 'x')
        .replace('xistogram', 'histogram')
        .replace('# XELP', '# HELP'),
      'its x is a histogram, that of a.prom a gauge',
    ],
    [
      'netwatch_collector_up 1\n',
      'it has netwatch_collector_up, which only the endpoint itself exports',
    ],
    [
      'netwatch_endpoint_requests 1\n',
      'it has netwatch_endpoint_requests, which only the endpoint itself exports',
    ],
  ];
  for (const [text, error] of cases) {
    const merged = merge({ 'a.prom': first, 'b.prom': `ok 1\n${text}`, 'c.prom': 'ok 2\n' });
    t.strictSame([...merged.errors], [['b.prom', error]]);
    t.match(textOf(merged), /^ok 2$/m, 'what was left out stands in nobody’s way');
  }
  const sum = merge({ 'a.prom': histogram(WHOLE), 'b.prom': 'h_sum{a="1"} 1\n' });
  t.strictSame([...sum.errors], [['b.prom', 'its h_sum and family h both have h_sum']]);
  t.end();
});

t.test('OpenMetrics names, types and escapes are its own', async (t) => {
  const merged = merge({
    'a.prom':
      '# HELP c_total A "b" \\\\ c\\nd\n# TYPE c_total counter\nc_total{a="x\\"y"} 1\n' +
      '# TYPE old counter\nold 2\n# TYPE both gauge\nboth 3\n# TYPE both_total counter\nboth_total 4\n' +
      'bare 5\n# remark\n\n' +
      histogram(WHOLE),
  });
  const own = '# HELP o_total o\n# TYPE o_total counter\no_total 6\n';
  const request = { format: 'openmetrics', groups: null, own: Buffer.from(own) } as const;
  const expected = `# HELP bare Metric read from a.prom
# TYPE bare unknown
bare 5
# HELP both Metric read from a.prom
# TYPE both gauge
both 3
# HELP both_total Metric read from a.prom
# TYPE both_total unknown
both_total 4
# HELP c A \\"b\\" \\\\ c\\nd
# TYPE c counter
c_total{a="x\\"y"} 1
# HELP h h
# TYPE h histogram
${WHOLE}# HELP old Metric read from a.prom
# TYPE old unknown
old 2
# HELP o o
# TYPE o counter
o_total 6
# EOF
`;
  for (const gzip of [false, true]) {
    const body = bodyOf(merged.families, { ...request, gzip });
    t.equal((gzip ? gunzipSync(body) : body).toString(), expected);
  }
  t.match(openMetricsOf(merge({})), /^# EOF\n$/);
});

t.test('a compressed body is one gzip member, whatever is appended', async (t) => {
  const { families } = merge({ 'netwatch.prom': everything() });
  for (const own of ['', 'x 1\n', 'own 1\n'.repeat(9999)]) {
    const request: MetricsRequest = {
      format: 'text',
      gzip: true,
      groups: null,
      own: Buffer.from(own),
    };
    const plain = { ...request, gzip: false };
    const body = bodyOf(families, request);
    const text = bodyOf(families, plain);
    t.strictSame(gunzipSync(body), text);
    t.equal(body.readUInt32LE(body.length - 4), text.length, 'its length is that of all the text');
    t.equal(text.toString(), textOf({ families, errors: new Map() }) + own);
  }
});

t.test('promtool accepts all that netwatch serves', missing('promtool'), (t) => {
  const merged = merge({ 'netwatch.prom': everything(), 'x.prom': `${H}x 1\n` });
  t.strictSame(promtool(textOf(merged)), { code: 0, said: '' });
  t.end();
});

t.test('every family belongs to a group, and a body has only the chosen ones', (t) => {
  t.strictSame(
    [
      'http_server_request_duration_seconds',
      'netwatch_connection_srtt_seconds',
      'netwatch_packet_layer_duration_seconds',
      'netwatch_skb_drops_total',
      'netwatch_tcp_sockets',
      'netwatch_events_total',
      'process_open_fds',
      'http_requests_total',
      'toString',
    ].map(groupOf),
    ['http', 'connections', 'packets', 'packets', 'tcp', 'netwatch', 'netwatch', 'other', 'other'],
  );
  t.strictSame(new Set([...FAMILY_NAMES.map(groupOf), 'other']), new Set(GROUPS));
  const merged = merge({ 'netwatch.prom': everything(), 'x.prom': `${H}x 1\n` });
  const parts = GROUPS.map((group) => textOf(merged, new Set([group])));
  t.equal(parts[GROUPS.indexOf('other')], `${H}x 1\n`);
  t.strictSame(
    keysOf(parts.flatMap((part) => parseExposition(part).samples)),
    keysOf(parseExposition(textOf(merged)).samples),
    'together they have everything once',
  );
  t.end();
});

t.test('a collector may miss three intervals, at least three seconds', (t) => {
  const file = { writtenMs: 1000, valid: true, intervalSeconds: 10 };
  t.equal(collectorState(file, 31_000), 'running');
  t.equal(collectorState(file, 31_001), 'stale');
  t.equal(collectorState(file, 0), 'running', 'a file from the future');
  t.equal(collectorState({ ...file, intervalSeconds: 0.1 }, 4000), 'running');
  t.equal(collectorState({ ...file, intervalSeconds: 0.1 }, 4001), 'stale');
  t.equal(collectorState({ ...file, intervalSeconds: null }, 301_000), 'running');
  t.equal(collectorState({ ...file, intervalSeconds: null }, 301_001), 'stale');
  t.equal(collectorState({ ...file, valid: false }, 1000), 'missing');
  t.equal(collectorState({ ...file, writtenMs: null }, 1000), 'missing');
  t.end();
});

const FACTS = { atMs: 2, writtenMs: 1, intervalSeconds: 1, collector: 'running' } as const;

t.test('the page sees connections as rows and everything else by name', (t) => {
  const snapshot = new Snapshot();
  const ends = { sock: 'ff01', src: '10.0.0.1:5', dst: '[::1]:80' };
  const other = { ...ends, sock: 'ff02' };
  const info = { pid: 7, process: 'a"é\n', ...ends, is_server: 1 };
  snapshot.add('netwatch_connection_info', info, 1);
  snapshot.add('netwatch_connection_srtt_seconds', ends, 0.25);
  snapshot.add('netwatch_connection_srtt_seconds', other, 0.5);
  snapshot.add('netwatch_connection_cwnd_segments', ends, 10);
  const state = (name: 'established' | 'syn_sent', value: number): void =>
    snapshot.add(
      'netwatch_connection_state_info',
      { ...ends, network_connection_state: name },
      value,
    );
  state('syn_sent', 0);
  state('established', 1);
  const congestion = { ...ends, algorithm: 'cubic', state: 'open' };
  snapshot.add('netwatch_connection_congestion_info', congestion, 1);
  snapshot.add('netwatch_tcp_sockets', { network_connection_state: 'listen' }, NaN);
  snapshot.histogram('netwatch_tcp_rtt_seconds', {}, [1, ...new Array<number>(25).fill(0)], 1.5);
  const page = pageSnapshot(FACTS, scanOf(snapshot.text()));
  t.strictSame(page.connections, {
    columns: [
      ...['sock', 'src', 'dst', 'process', 'pid', 'is_server', 'state', 'algorithm', 'congestion'],
      ...['unit', 'container', 'pod'],
      ...['cwnd_segments', 'srtt_seconds'],
    ],
    rows: [
      [
        'ff01',
        '10.0.0.1:5',
        '[::1]:80',
        'a"é\n',
        7,
        1,
        'established',
        'cubic',
        'open',
        null,
        null,
        null,
        10,
        0.25,
      ],
      [
        'ff02',
        '10.0.0.1:5',
        '[::1]:80',
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        0.5,
      ],
    ],
  });
  t.strictSame(page.scalars, {
    netwatch_tcp_sockets: [{ labels: { network_connection_state: 'listen' }, value: null }],
  });
  const rtt = page.histograms['netwatch_tcp_rtt_seconds'];
  t.equal(rtt?.bounds.length, 25);
  t.strictSame(rtt?.series, [{ labels: {}, counts: new Array<number>(26).fill(1), sum: 1.5 }]);
  const { full, brief } = snapshotJson(page);
  t.strictSame(JSON.parse(full), page);
  t.strictSame(JSON.parse(brief), { ...page, connections: null });
  t.match(
    page.roundTrips,
    { count: 2, p50: 0.25, p95: 0.5, p99: 0.5 },
    'of the sockets themselves, and in the history too',
  );
  t.strictSame(JSON.parse(snapshotJson(pageSnapshot(FACTS, null)).full), {
    ...FACTS,
    scalars: {},
    histograms: {},
    roundTrips: null,
    flows: null,
    connections: null,
  });
  t.end();
});

t.test('the history keeps fifteen minutes in steps of five seconds', (t) => {
  const history = new History();
  t.equal(history.json().toString(), '[]');
  const times = (): unknown => JSON.parse(history.json().toString());
  for (let second = 0; second <= 12; second++) {
    history.add(second * 1000, Buffer.from(`${second}`));
  }
  t.strictSame(times(), [0, 5, 10, 12], 'and always the newest');
  for (let second = 13; second <= 2000; second++) {
    history.add(second * 1000, Buffer.from(`${second}`));
  }
  const kept = times() as number[];
  t.equal(kept.length, 181);
  t.strictSame([kept[0], kept.at(-1)], [1100, 2000]);
  const large = Buffer.from(`"${'x'.repeat(6 << 20)}"`);
  for (let second = 2001; second <= 2100; second++) history.add(second * 1000, large);
  t.equal((times() as string[]).length, 2, '16 MiB at most');
  t.end();
});

t.test('only bodies that were asked for of late are kept ready', (t) => {
  const bodies = new PreparedBodies();
  const kind = (...groups: Group[]) =>
    ({ format: 'text', gzip: false, groups: new Set(groups) }) as const;
  const body = { parts: [new Uint8Array(1)], files: [], textBytes: 1, crc: 0 };
  bodies.want(kind('tcp'), 0);
  bodies.want(kind('http', 'tcp'), 0);
  bodies.want(kind('tcp', 'http'), 0);
  t.equal(bodies.wanted(0).length, 2, 'the order of groups does not matter');
  bodies.put('text identity tcp', body);
  t.equal(bodies.get(kind('tcp')), body);
  t.equal(bodies.get(kind('http')), null);
  bodies.put('text identity http', body);
  t.equal(bodies.get(kind('http')), null, 'nobody asked for it');
  t.equal(bodies.wanted(300_000).length, 2);
  bodies.want(kind('tcp'), 1);
  t.strictSame(bodies.wanted(300_001), [kind('tcp')], 'five minutes');
  for (const a of GROUPS) for (const b of GROUPS) bodies.want(kind(a, b), 2);
  t.equal(bodies.wanted(2).length, 8, 'eight at most');
  t.end();
});
