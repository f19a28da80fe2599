/**
 * The strict parser beside promtool on everything that breaks the format, and what netwatch writes
 * shown to all that will read it: promtool, node_exporter's textfile collector and a Prometheus
 * server, the last two started here on loopback.
 */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import {
  familiesIn,
  FAMILY_NAMES,
  familyOf,
  LABEL_VALUES,
  type FamilyName,
  type HistogramName,
  type ScalarName,
  type SnapshotName,
} from '../src/metrics/families.js';
import { ExpositionParser, type ParseRules } from '../src/metrics/parse.js';
import { seriesKey, type Sample } from '../src/metrics/sample.js';
import { Snapshot } from '../src/metrics/snapshot.js';
import { HOSTILE, missing, NUMBERS, promtool } from './support/exposition.js';
import { numberOf, startNodeExporter, startPrometheus } from './support/servers.js';
import { until } from './support/wait.js';
import { LOG_RULES, parseExposition, STATE_RULES } from './support/parse.js';

const H = '# HELP x x\n# TYPE x gauge\n';
const histogram = (lines: string): string => `# HELP h h\n# TYPE h histogram\n${lines}`;

/**
 * Bodies, what promtool answers (0 accepted, 3 only lint, 1 refused), and what we say; null: good.
 */
const BODIES: readonly (readonly [body: string, promtool: number, ours: RegExp | null])[] = [
  [`${H}x 1\n`, 0, null],
  [`${H}x{a="1",b="\\\\\\"\\n"} 1\n`, 0, null],
  [`${H}  x { a = "1" , b="2", } +1.5e3\n\n# a remark\n`, 0, null],
  [`${H}x{} .5\n`, 0, null],
  [`${H}x nan\n`, 0, null],
  [`${H}x -infinity\n`, 0, null],
  [`${H}x{a="é😀"} 1.\n`, 0, null],
  ['', 0, null],
  ['# HELP y a\\\\b\\nc\n# TYPE y gauge\ny 1\n', 0, null],
  [`${H}x 1 1795233307771\n`, 0, /x has a timestamp/],
  [`${H}x{a="1",b="2"} 1\nx{b="2",a="1"} 2\n`, 0, /second sample of one series of x/],
  [`${H}x{a=""} 1\nx 2\n`, 0, /second sample of one series of x/],
  [`${H}x{a="1"} 1\n# HELP y y\n# TYPE y gauge\ny 1\nx 2\n`, 0, /x do not stand together/],
  ['x 1\n', 3, /x has no HELP/],
  ['# HELP x x\nx 1\n', 0, /x has no TYPE/],
  [`${H}# HELP x y\nx 1\n`, 1, /second HELP line for metric name "x"/],
  [`${H}# TYPE x gauge\nx 1\n`, 1, /second TYPE line for metric name "x"/],
  ['# HELP x x\nx 1\n# TYPE x gauge\n', 1, /TYPE reported after samples/],
  [`${H}x{a="C:\\dir"} 1\n`, 1, /invalid escape sequence '\\d'/],
  ['# HELP x \\d\n# TYPE x gauge\nx 1\n', 1, /invalid escape sequence '\\d'/],
  [`${H}x{a="un\nclosed"} 1\n`, 1, /label value "un" is not closed/],
  [`${H}x{a="quo"te"} 1\n`, 1, /unexpected end of label value/],
  [`${H}x{a="1" b="2"} 1\n`, 1, /unexpected end of label value/],
  [`${H}x{http.method="GET"} 1\n`, 1, /expected '=' after label name, found '\.'/],
  [`${H}x{a=1} 1\n`, 1, /expected '"' at start of label value, found '1'/],
  [`${H}x{1a="1"} 1\n`, 1, /invalid label name for metric "x"/],
  [`${H}x{,} 1\n`, 1, /invalid label name for metric "x"/],
  [`${H}x{a="1",a="2"} 1\n`, 1, /duplicate label names for metric "x"/],
  [`${H}x{__name__="y"} 1\n`, 1, /"__name__" is reserved/],
  [`${H}x{a="1"\n`, 1, /unexpected end of label value/],
  ['# HELP x.total x\n', 1, /invalid metric name in comment/],
  [`${H}x.total 1\n`, 1, /expected float as value, got ".total"/],
  ['{"a": 1}\n', 1, /invalid metric name/],
  ['PID COMM\n', 1, /expected float as value, got "COMM"/],
  [`${H}x 0x10\n`, 1, /expected float as value, got "0x10"/],
  [`${H}x 1_000\n`, 1, /expected float as value, got "1_000"/],
  [`${H}x 1e999\n`, 1, /expected float as value, got "1e999"/],
  [`${H}x\n`, 1, /expected float as value, got ""/],
  [`${H}x 1 2.5\n`, 1, /expected integer as timestamp, got "2.5"/],
  [`${H}x 1 99999999999999999999\n`, 1, /expected integer as timestamp/],
  [`${H}x 1 \n`, 1, /expected integer as timestamp, got ""/],
  [`${H}x 1 2 3\n`, 1, /spurious string after timestamp: "3"/],
  [`${H}x 1`, 1, /unexpected end of input stream/],
  ['# HELP x x\r\n# TYPE x gauge\r\nx 1\r\n', 1, /unknown metric type "gauge\\r"/],
  ['# TYPE x fun\nx 1\n', 1, /unknown metric type "fun"/],
  ['\ufeff# HELP x x\n', 1, /invalid metric name/],
  [`${H}x{a="\0"} 1\n`, 0, /must not contain NUL/],
  [`${H}x{le="1"} 1\n`, 3, /label "le" on x, which is no histogram/],
  ['# HELP c_total c\n# TYPE c_total counter\nc_total -1\n', 0, /counter c_total is -1/],
  [histogram('h_bucket{le="1"} 1\nh_bucket{le="+Inf"} 2\nh_sum 3\nh_count 2\n'), 0, null],
  [histogram('h_bucket{le="1"} 1\nh_sum 3\nh_count 1\n'), 0, /h has no \+Inf bucket/],
  [
    histogram('h_bucket{le="1"} 3\nh_bucket{le="+Inf"} 2\nh_sum 3\nh_count 2\n'),
    0,
    /le="Infinity" is smaller than the one before/,
  ],
  [histogram('h_bucket{le="+Inf"} 2\nh_sum 3\nh_count 3\n'), 0, /_count is not the \+Inf bucket/],
  [histogram('h_bucket{le="+Inf"} 2\nh_count 2\n'), 0, /h lacks _sum or _count/],
  [histogram('h_bucket{le="z"} 2\n'), 1, /expected float as value for 'le' label, got "z"/],
  [histogram('h_bucket 2\n'), 0, /h_bucket has no label "le"/],
  [histogram('h 2\n'), 0, /histogram h has no plain sample/],
];

t.test('the parser refuses all that promtool refuses, and what others lose', (t) => {
  const { skip } = missing('promtool');
  for (const [body, code, ours] of BODIES) {
    const name = JSON.stringify(body.replace(H, ''));
    const { issues } = parseExposition(body);
    if (ours === null) t.strictSame(issues, [], name);
    else t.match(issues[0]?.message ?? 'no issue', ours, name);
    if (skip === undefined) t.equal(promtool(body).code, code, `promtool: ${name}`);
  }
  const invalid = Buffer.concat([Buffer.from(`${H}x{a="`), Buffer.of(0xff), Buffer.from('"} 1\n')]);
  t.match(parseExposition(invalid).issues[0]?.message, /invalid UTF-8/);
  if (skip === undefined) t.equal(promtool(invalid).code, 1);
  t.end();
});

t.test('the parser says which line is wrong and goes on with the next', (t) => {
  const rules: ParseRules = { ...LOG_RULES, documented: false };
  const seen: number[] = [];
  const parser = new ExpositionParser(rules, ({ value }, line) => seen.push(value, line));
  t.ok(parser.line('x 1 1795233307771'));
  t.notOk(parser.line('x 1 17952x 2 1795233307772'));
  t.notOk(parser.line('x 3'));
  t.ok(parser.line('x 4 1795233307771'), 'a log may have two samples of one series');
  t.strictSame(seen, [1, 1, 4, 4]);
  t.strictSame(
    parser.end().map(({ line, message }) => [line, message]),
    [
      [2, 'spurious string after timestamp: "2 1795233307772"'],
      [3, 'x has no timestamp'],
    ],
  );
  const { samples } = parseExposition('x 18446744073709551615\n', {
    ...STATE_RULES,
    documented: false,
  });
  t.equal(samples[0]?.valueText, '18446744073709551615', 'exact where the number is not');
  t.end();
});

/** One sample of every family that fits a file; histograms with their buckets counted up. */
function fillSnapshot(snapshot: Snapshot, names: readonly FamilyName[]): void {
  for (const [i, name] of names.entries()) {
    const { labels, type, buckets } = familyOf(name);
    const values = Object.fromEntries(
      labels.map((label) => [
        label,
        (LABEL_VALUES as Readonly<Record<string, readonly string[]>>)[label]?.[0] ?? `v${i}`,
      ]),
    );
    if (type === 'histogram') {
      const counts = [...buckets, Infinity].map((_, k) => k + i);
      snapshot.histogram(name as HistogramName, values as never, counts, i / 8);
    } else {
      const scalar = name as ScalarName & SnapshotName;
      snapshot.add(scalar, values as never, i + 0.25);
    }
  }
}

/**
 * A snapshot with every family, hostile values and extreme numbers; families of `left` stay out.
 */
function everything(left: (name: FamilyName) => boolean): Buffer {
  const snapshot = new Snapshot();
  const log: readonly FamilyName[] = [...familiesIn('packets'), ...familiesIn('err')];
  fillSnapshot(
    snapshot,
    FAMILY_NAMES.filter((name) => !log.includes(name) && !left(name)),
  );
  for (const [i, [value]] of HOSTILE.entries()) {
    const info = { pid: i, process: value, sock: 's', src: 'a', dst: 'b', is_server: 0 };
    snapshot.add('netwatch_connection_info', info, 1);
  }
  for (const [i, [value]] of NUMBERS.entries()) {
    snapshot.add('netwatch_map_entries', { map: `number ${i}` }, value);
  }
  return snapshot.text();
}

/** Series and value of every sample, for comparison; what is NaN is equal to itself as text. */
function valuesOf(samples: readonly Sample[]): ReadonlyMap<string, string> {
  return new Map(
    samples.map(({ name, labels, value }) => [seriesKey(name, labels), String(value)]),
  );
}

t.test('promtool finds nothing wrong with a snapshot of all families', missing('promtool'), (t) => {
  const body = everything(() => false);
  t.strictSame(parseExposition(body).issues, []);
  t.strictSame(promtool(body), { code: 0, said: '' });
  t.end();
});

t.test(
  'node_exporter shows every sample of a snapshot in its textfile directory',
  missing('prometheus-node-exporter'),
  async (t) => {
    const directory = t.testdir({});
    const body = everything((name) => familyOf(name).file === 'endpoint');
    const exporter = await startNodeExporter(t, directory);
    const scrape = async (): Promise<string> =>
      (await fetch(`http://${exporter.address}/metrics`)).text();
    writeFileSync(join(directory, 'netwatch.prom'), body);
    const text = await scrape();
    t.match(text, /^node_textfile_scrape_error 0$/m);
    const own = new Set(parseExposition(body).families.keys());
    const served = parseExposition(text);
    t.strictSame(served.issues, []);
    const ours = served.samples.filter(
      ({ name }) => own.has(name.replace(/_(bucket|sum|count)$/, '')) || own.has(name),
    );
    t.strictSame(valuesOf(ours), valuesOf(parseExposition(body).samples));
    t.notMatch(exporter.log(), /level=error/);

    writeFileSync(
      join(directory, 'netwatch.prom'),
      everything(() => false),
    );
    await scrape();
    await until(() => exporter.log().includes('level=error'), { what: 'node_exporter complains' });
    t.match(
      exporter.log(),
      /process_cpu_seconds_total/,
      'the endpoint’s own families would clash with its',
    );
  },
);

t.test('Prometheus scrapes every sample of a snapshot', missing('prometheus'), async (t) => {
  const body = everything(() => false);
  const server = createServer((_, response) => {
    response
      .writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' })
      .end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const target = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const prometheus = await startPrometheus(t, { jobs: { netwatch: target } });
  await until(async () => (await prometheus.value('up')) === 1, {
    what: 'Prometheus has scraped the snapshot',
    everyMs: 100,
  });
  const names = new Set(parseExposition(body).samples.map(({ name }) => name));
  const found = new Map<string, string>();
  for (const result of await prometheus.query('{job="netwatch"}')) {
    const { __name__: name = '', ...labels }: Record<string, string> = result.metric;
    delete labels['job'];
    delete labels['instance'];
    if (!names.has(name)) continue;
    found.set(seriesKey(name, Object.entries(labels)), String(numberOf(result)));
  }
  t.strictSame(found, valuesOf(parseExposition(body).samples));
  t.notMatch(prometheus.log(), /level=(warn|error)/);
});
