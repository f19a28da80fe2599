/**
 * What contrib/ holds for Grafana and Prometheus: that it is what the families say, that Prometheus'
 * own tool accepts it, that every alert fires and stays quiet when it should, and that every panel
 * shows something.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { Command } from 'commander';
import t, { type Test } from 'tap';
import { parse } from 'yaml';
import { ALERTS } from '../scripts/contrib/alerts.js';
import { dashboard, ROWS, SCRAPED, VARIABLE_SERIES } from '../scripts/contrib/dashboard.js';
import type { GrafanaPanel, GridPos } from '../scripts/contrib/grafana.js';
import { outputs } from '../scripts/contrib/outputs.js';
import { titleOf, unitOf } from '../scripts/contrib/panel.js';
import { allLabels, RULES, sumKeeping, TARGET_LABELS } from '../scripts/contrib/promql.js';
import { HISTOGRAMS, QUANTILE_RULES, RATIOS } from '../scripts/contrib/recording.js';
import { fillRows } from '../scripts/contrib/row.js';
import { TESTED_RECORDS } from '../scripts/contrib/rule-tests.js';
import { CONNECTIONS } from '../scripts/contrib/scrape.js';
import { addCollectorOptions } from '../src/collector/options.js';
import { FAMILY_NAMES, familyOf, type FamilyName } from '../src/metrics/families.js';
import { missing } from './support/exposition.js';
import { readExpression } from './support/promql.js';
import { syntheticSeries } from './support/synthetic.js';

const root = resolve(import.meta.dirname, '..');
const prometheus = join(root, 'contrib/prometheus');
const shown = dashboard();
const RECORDS = [...RATIOS, ...QUANTILE_RULES];

/** Rows that are collapsed hold their panels. */
const flat = (panels: readonly GrafanaPanel[]): GrafanaPanel[] =>
  panels.flatMap((panel) => [panel, ...flat(panel.panels ?? [])]);
const panels = flat(shown.panels);
const panelExpressions = panels.flatMap(({ targets }) => (targets ?? []).map(({ expr }) => expr));
const dashboardExpressions = [
  ...panelExpressions,
  ...shown.annotations.list.map(({ expr }) => expr),
  ...Object.values(VARIABLE_SERIES),
];
const ruleExpressions = [
  ...RECORDS.map(({ expr }) => expr(RULES)),
  ...ALERTS.map(({ expr }) => expr),
];

/** Grafana's variables as it would fill them in. */
const filledIn = (expr: string): string =>
  expr
    .replaceAll('$__rate_interval', '5m')
    .replaceAll('$__range', '30m')
    .replace(/"\$(job|instance|process)"/g, '".*"');

function promtool(args: readonly string[], cwd?: string): { code: number | null; said: string } {
  const done = spawnSync('promtool', args, { cwd, encoding: 'utf8', timeout: 60_000 });
  return { code: done.status, said: `${done.stdout}${done.stderr}`.trim() };
}

/** A folder with a file in it; JSON is YAML too. */
function fileOf(t: Test, content: object): string {
  const folder = mkdtempSync(join(tmpdir(), 'netwatch-contrib-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'file.yml');
  writeFileSync(file, JSON.stringify(content));
  return file;
}

t.test('contrib holds what its generator makes from the families of today', async (t) => {
  const made = await outputs(root);
  t.equal(made.size, 9);
  for (const [path, text] of made)
    t.equal(readFileSync(join(root, path), 'utf8'), text, `${path} is up to date (make contrib)`);
});

/** The family that a name belongs to; `_bucket`, `_sum` and `_count` are of histograms only. */
function familyNamed(name: string): FamilyName | undefined {
  const histogram = HISTOGRAMS.find((family) =>
    ['bucket', 'sum', 'count'].some((part) => name === `${family}_${part}`),
  );
  const plain = FAMILY_NAMES.find((family) => family === name);
  return (
    histogram ?? (plain !== undefined && familyOf(plain).type !== 'histogram' ? plain : undefined)
  );
}

/** Metrics of others, and their labels. */
const FOREIGN: Readonly<Record<string, readonly string[]>> = {
  up: [],
  ALERTS: ['alertname', 'alertstate'],
  node_textfile_mtime_seconds: ['file'],
  node_textfile_scrape_error: [],
};

/** The labels of a metric besides those of its target; null if there is no such metric. */
function labelsOf(name: string): readonly string[] | null {
  const family = familyNamed(name);
  if (family !== undefined)
    return [...allLabels(family), ...(name.endsWith('_bucket') ? ['le'] : [])];
  return RECORDS.find(({ record }) => record === name)?.labels ?? FOREIGN[name] ?? null;
}

/** What is wrong with the names in an expression, and in texts that use its labels. */
function complaints(expr: string, used: readonly string[] = []): string[] {
  const { metrics, grouping, made } = readExpression(expr);
  const found: string[] = [];
  const all = new Set<string>([...TARGET_LABELS, ...made]);
  for (const { name, labels } of metrics) {
    const known = labelsOf(name);
    if (known === null) found.push(`there is no metric ${name}`);
    const own = new Set<string>([...TARGET_LABELS, ...(known ?? [])]);
    found.push(
      ...labels.filter((label) => !own.has(label)).map((label) => `${name} has no ${label}`),
    );
    own.forEach((label) => all.add(label));
  }
  const wrong = [...grouping, ...used].filter((label) => !all.has(label));
  return [...found, ...wrong.map((label) => `nothing here has ${label}`)].map(
    (what) => `${what}: ${expr}`,
  );
}

t.test('every metric and label in an expression is declared', (t) => {
  t.not(complaints('netwatch_nonsense').length, 0, 'a name that does not exist is seen');
  t.not(complaints('netwatch_tcp_rtt_seconds').length, 0, 'a histogram has no plain sample');
  t.not(complaints('rate(netwatch_tcp_sockets{port="1"}[5m])').length, 0, 'a wrong matcher too');
  t.not(complaints('sum by (port) (netwatch_tcp_sockets)').length, 0, 'a wrong grouping too');
  t.strictSame(complaints('sum by (job) (up offset 5m) > bool 0'), []);
  const words = (text: string, pattern: RegExp): string[] =>
    [...text.matchAll(pattern)].map((match) => match[1] ?? '');
  const targets = panels.flatMap(({ targets }) => targets ?? []);
  t.ok(targets.length > 80, `${targets.length} queries`);
  t.strictSame(
    [
      ...[...dashboardExpressions, ...ruleExpressions].flatMap((expr) => complaints(expr)),
      ...targets.flatMap(({ expr, legendFormat }) =>
        complaints(expr, words(String(legendFormat), /\{\{(\w+)\}\}/g)),
      ),
      ...ALERTS.flatMap(({ expr, summary, description, runbook }) =>
        complaints(expr, words(`${summary} ${description} ${runbook}`, /\$labels\.(\w+)/g)),
      ),
    ],
    [],
  );
  t.end();
});

t.test('every family that can be scraped is on the dashboard', (t) => {
  const named = new Set(
    panelExpressions.flatMap((expr) =>
      readExpression(expr).metrics.map(({ name }) => familyNamed(name)),
    ),
  );
  const files = SCRAPED.map((name) => familyOf(name).file);
  t.strictSame([...new Set(files)].sort(), ['connects', 'endpoint', 'prom']);
  t.strictSame(
    SCRAPED.filter((name) => !named.has(name)),
    [],
  );
  const alone = fillRows(
    [
      { title: 'a', claims: /sockets/, collapsed: false, panels: [] },
      { title: 'b', claims: /./, collapsed: false, panels: [] },
    ],
    ['netwatch_tcp_sockets', 'netwatch_tcp_rtt_seconds'],
  );
  t.strictSame(
    alone.map(({ panels }) => panels.map(({ kind }) => kind)),
    [['timeseries'], ['timeseries', 'heatmap']],
    'one that nobody placed gets the panels of its type',
  );
  t.end();
});

t.test('titles and units follow from the name of a family', (t) => {
  t.equal(titleOf('netwatch_tcp_retransmits_total'), 'TCP retransmits');
  t.equal(titleOf('netwatch_connection_srtt_seconds'), 'Smoothed RTT');
  t.equal(unitOf('netwatch_tcp_io_bytes_total'), 'Bps');
  t.equal(unitOf('netwatch_tcp_segments_total'), 'cps');
  t.equal(unitOf('netwatch_process_cpu_seconds_total'), 'percentunit');
  t.equal(unitOf('netwatch_connection_pacing_rate_bytes_per_second'), 'Bps');
  t.equal(unitOf('netwatch_connection_srtt_seconds'), 's');
  t.equal(
    sumKeeping('netwatch_skb_drops_total', ['reason'], 'x'),
    'sum without (network_type) (x)',
  );
  t.end();
});

t.test('every alert and every recorded value has a test', (t) => {
  const names = ALERTS.map(({ alert }) => alert);
  t.equal(new Set(names).size, names.length, 'no alert is there twice');
  t.equal(new Set(RECORDS.map(({ record }) => record)).size, RECORDS.length);
  t.strictSame(
    RECORDS.filter(({ record }) => !TESTED_RECORDS.has(record)).map(({ record }) => record),
    [],
  );
  for (const { record } of RECORDS) t.match(record, /^instance(_[a-z]+)*:[a-z_]+:[a-z0-9_]+$/);
  const { tests } = parse(readFileSync(join(prometheus, 'rules_test.yml'), 'utf8')) as {
    tests: { name: string }[];
  };
  for (const name of names)
    for (const end of ['fires', 'stays quiet'])
      t.ok(
        tests.some((test) => test.name === `${name} ${end}`),
        `${name} ${end}`,
      );
  t.end();
});

const tool = missing('promtool');

t.test('promtool accepts the rules and the alerts, and plays their tests', tool, (t) => {
  const rules = ['check', 'rules', '--lint-fatal', 'rules.yml', 'alerts.yml'];
  const checked = promtool(rules, prometheus);
  t.equal(checked.code, 0, checked.said);
  t.match(checked.said, `${RECORDS.length} rules found`);
  t.match(checked.said, `${ALERTS.length} rules found`);
  const played = promtool(['test', 'rules', 'rules_test.yml'], prometheus);
  t.equal(played.code, 0, played.said);
  t.end();
});

t.test('a rule that became wrong fails its test', tool, (t) => {
  const folder = dirname(fileOf(t, {}));
  cpSync(prometheus, folder, { recursive: true });
  const file = join(folder, 'rules.yml');
  const text = readFileSync(file, 'utf8');
  const broken = text.replace('error_type!=""', 'error_type=""');
  t.not(broken, text);
  writeFileSync(file, broken);
  const all = parse(readFileSync(join(folder, 'rules_test.yml'), 'utf8')) as {
    tests: { name: string }[];
  };
  const tests = all.tests.filter(({ name }) => name.startsWith('TcpConnectFailureRatioHigh'));
  writeFileSync(join(folder, 'rules_test.yml'), JSON.stringify({ ...all, tests }));
  const { code, said } = promtool(['test', 'rules', 'rules_test.yml'], folder);
  t.equal(code, 1);
  t.match(said, 'TcpConnectFailureRatioHigh fires');
  t.end();
});

t.test('every expression of the dashboard is valid PromQL', tool, (t) => {
  const group = (expressions: readonly string[]): object => ({
    groups: [
      {
        name: 'dashboard',
        rules: expressions.map((expr, i) => ({ record: `panel:${i}`, expr: filledIn(expr) })),
      },
    ],
  });
  const good = promtool(['check', 'rules', fileOf(t, group(dashboardExpressions))]);
  t.equal(good.code, 0, good.said);
  t.not(promtool(['check', 'rules', fileOf(t, group(['sum(up']))]).code, 0, 'a broken one is not');
  t.end();
});

t.test('every panel shows something where every family has series', tool, (t) => {
  const shows = (expr: string, value: number | null): object => ({
    expr: `count(${filledIn(expr)}) > bool 0`,
    eval_time: '20m',
    exp_samples: value === null ? [] : [{ labels: '{}', value }],
  });
  const up = { series: 'up{job="netwatch",instance="web1"}', values: '1x30' };
  const test = (queries: readonly object[]): string =>
    fileOf(t, {
      evaluation_interval: '1m',
      tests: [
        {
          interval: '1m',
          input_series: [up, ...SCRAPED.flatMap(syntheticSeries)],
          promql_expr_test: [
            ...queries,
            // what does not exist shows nothing
            shows('netwatch_tcp_sockets{network_connection_state="nonsense"}', null),
          ],
        },
      ],
    });
  const asked = [...new Set([...panelExpressions, ...Object.values(VARIABLE_SERIES)])];
  const { code, said } = promtool(['test', 'rules', test(asked.map((expr) => shows(expr, 1)))]);
  t.equal(code, 0, said);
  t.end();
});

t.test('promtool accepts the example configuration with what it names', tool, (t) => {
  const folder = dirname(fileOf(t, {}));
  cpSync(prometheus, folder, { recursive: true });
  const made = spawnSync(
    'openssl',
    ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
      .concat(['-keyout', 'key.pem', '-out', 'netwatch-ca.pem', '-subj', '/CN=netwatch'])
      .concat(['-days', '1']),
    { cwd: folder },
  );
  t.equal(made.status, 0, String(made.stderr));
  mkdirSync(join(folder, 'targets'));
  writeFileSync(join(folder, 'targets/netwatch-a.yml'), '- targets: [web1, web2]\n');
  for (const name of ['netwatch', 'storage']) writeFileSync(join(folder, `${name}.password`), 'x');
  const { code, said } = promtool(['check', 'config', '--lint-fatal', 'scrape.yml'], folder);
  t.equal(code, 0, said);
  t.match(said, '2 rule files found');
  const jobs = parse(readFileSync(join(folder, 'scrape.yml'), 'utf8')) as {
    scrape_configs: { job_name: string }[];
  };
  const names = jobs.scrape_configs.map(({ job_name }) => job_name);
  t.strictSame(names, ['netwatch', 'netwatch-fleet', 'node']);
  t.end();
});

t.test('promtool accepts the configuration for Kubernetes', tool, (t) => {
  const folder = dirname(fileOf(t, {}));
  cpSync(prometheus, folder, { recursive: true });
  const file = join(folder, 'scrape-kubernetes.yml');
  const check = (): ReturnType<typeof promtool> =>
    promtool(['check', 'config', '--lint-fatal', file], folder);
  const asIs = check();
  // Debian builds its Prometheus without Kubernetes: there the rest of the file is checked.
  if (asIs.said.includes('field kubernetes_sd_configs not found')) {
    const text = readFileSync(file, 'utf8');
    const rest = text.replace('kubernetes_sd_configs: [{ role: pod }]', 'static_configs: []');
    t.not(rest, text);
    writeFileSync(file, rest);
    const { code, said } = check();
    t.equal(code, 0, said);
  } else t.equal(asIs.code, 0, asIs.said);
  t.end();
});

t.test('the limit of samples leaves room for the connections of the default', (t) => {
  const command = addCollectorOptions(new Command());
  t.equal(command.opts<{ maxConnections: number }>().maxConnections, CONNECTIONS);
  t.end();
});

const overlap = (a: GridPos, b: GridPos): boolean =>
  a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

t.test('no panel lies on another or has the number of another', (t) => {
  const ids = panels.map(({ id }) => id);
  t.equal(new Set(ids).size, ids.length);
  t.ok(overlap({ x: 0, y: 0, w: 8, h: 8 }, { x: 7, y: 7, w: 8, h: 8 }));
  t.notOk(overlap({ x: 0, y: 0, w: 8, h: 8 }, { x: 8, y: 0, w: 8, h: 8 }));
  const places = [shown.panels, ...shown.panels.map(({ panels }) => panels ?? [])];
  for (const group of places)
    for (const [i, a] of group.entries()) {
      t.ok(a.gridPos.x + a.gridPos.w <= 24, `${a.title} is inside the grid`);
      const under = group.slice(i + 1).filter((b) => overlap(a.gridPos, b.gridPos));
      t.strictSame(under, [], `${a.title} lies on no other`);
    }
  t.end();
});

t.test('the dashboard names no data source of one Grafana and says what it shows', (t) => {
  const sources: unknown[] = [];
  JSON.stringify(shown, (key, value: unknown) => {
    if (key === 'datasource') sources.push(value);
    return value;
  });
  t.ok(sources.length > panels.length);
  for (const source of sources)
    t.strictSame(source, { type: 'prometheus', uid: '${DS_PROMETHEUS}' });
  t.equal(shown.uid, 'netwatch');
  t.notOk('id' in shown, 'Grafana gives it its number');
  t.strictSame(
    shown.templating.list.map(({ name }) => name),
    ['DS_PROMETHEUS', 'job', 'instance', 'process'],
  );
  const bare = panels.filter((panel) => panel.targets !== undefined);
  for (const { title, description } of bare)
    t.ok(title !== '' && String(description).length > 10, `${title}: ${String(description)}`);
  for (const { title, panels: inside } of ROWS) {
    const titles = inside.map((panel) => panel.title);
    t.equal(new Set(titles).size, titles.length, `each panel of ${title} has a title of its own`);
  }
  t.end();
});
