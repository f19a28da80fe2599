/**
 * rules_test.yml: what promtool plays to the rules. Each alert has to fire in one case, saying the
 * right number, and to stay quiet in the other; each recorded value has to be what arithmetic says.
 */
import { familyOf, type HistogramName } from '../../src/metrics/families.js';
import { rising, steady, TEST_TARGET, type Alert, type TestSeries } from './alert.js';
import { ALERTS } from './alerts.js';
import { QUANTILES } from './promql.js';
import {
  quantile,
  QUANTILE_HISTOGRAMS,
  quantileLabels,
  RECORDED,
  type Recorded,
} from './recording.js';

type Labels = Readonly<Record<string, string>>;

/** All alerts have waited long enough by then. */
const AT = '20m';

const braces = (labels: Labels): string =>
  `{${Object.entries(labels)
    .map(([name, value]) => `${name}="${value}"`)
    .join(', ')}}`;

/** The series with the target's labels, as a scrape adds them, where it has none of its own. */
function inputOf({ series, values }: TestSeries): object {
  const [, name = series, own = ''] = /^([^{]+)(?:\{(.*)\})?$/.exec(series) ?? [];
  const added = Object.entries(TEST_TARGET)
    .filter(([label]) => !new RegExp(`\\b${label}=`).test(own))
    .map(([label, value]) => `${label}="${value}"`);
  return { series: `${name}{${[...added, own].filter((part) => part !== '').join(', ')}}`, values };
}

/** An annotation as Prometheus fills it in, the value being known. */
function filled(template: string, labels: Labels, value: string): string {
  return template.replace(/\{\{ (.*?) \}\}/g, (_, expression: string) => {
    const label = /^\$labels\.(\w+)$/.exec(expression)?.[1];
    return label === undefined ? value : (labels[label] ?? '');
  });
}

function alertTests(alert: Alert): object[] {
  const { fires, quiet, severity, summary, description, runbook } = alert;
  const labels = { ...(fires.target ?? TEST_TARGET), ...fires.labels };
  const say = (template: string): string => filled(template, labels, fires.value);
  const expected = {
    exp_labels: { severity, ...labels },
    exp_annotations: {
      summary: say(summary),
      description: say(description),
      runbook: say(runbook),
    },
  };
  const test = (name: string, series: readonly TestSeries[], alerts: object[]): object => ({
    name: `${alert.alert} ${name}`,
    interval: '1m',
    input_series: series.map(inputOf),
    alert_rule_test: [{ eval_time: AT, alertname: alert.alert, exp_alerts: alerts }],
  });
  return [test('fires', fires.series, [expected]), test('stays quiet', quiet, [])];
}

interface RatioCase {
  readonly rule: Recorded;
  readonly series: readonly TestSeries[];
  readonly labels: Labels;
  readonly value: number;
}

const ROLE = { network_tcp_handshake_role: 'client' };
const CONNECTIONS = [
  rising(`netwatch_tcp_connections_total${braces(ROLE)}`, 45),
  rising(`netwatch_tcp_connections_total${braces({ ...ROLE, error_type: 'reset' })}`, 15),
];
const RECEIVE = { network_io_direction: 'receive' };
const SEGMENTS = [
  rising('netwatch_tcp_segments_total{network_io_direction="transmit"}', 480),
  rising(`netwatch_tcp_segments_total${braces(RECEIVE)}`, 120),
];
const FAST = { network_tcp_retransmit_type: 'fast' };
const RETRANSMITS = [
  rising(`netwatch_tcp_retransmits_total${braces(FAST)}`, 60),
  rising('netwatch_tcp_retransmits_total{network_tcp_retransmit_type="timeout"}', 60),
];
const LISTENER = { network_local_address: '::', network_local_port: '80', process: 'nginx' };
const PORT = { server_port: '80' };

const http = (side: 'server' | 'client'): TestSeries[] => [
  rising(`http_${side}_request_duration_seconds_count${braces(PORT)}`, 45),
  rising(
    `http_${side}_request_duration_seconds_count${braces({ ...PORT, error_type: '500' })}`,
    15,
  ),
];

/** 21 connections of 0 to 20 s: the quantiles are values of single ones. */
const ROUND_TRIPS = Array.from({ length: 21 }, (_, seconds) =>
  steady(
    `netwatch_connection_srtt_seconds${braces({ sock: `${seconds}`, src: 'a', dst: 'b' })}`,
    seconds,
  ),
);

const RATIO_CASES: readonly RatioCase[] = [
  { rule: RECORDED.connections, series: CONNECTIONS, labels: ROLE, value: 1 },
  { rule: RECORDED.failedConnections, series: CONNECTIONS, labels: ROLE, value: 0.25 },
  { rule: RECORDED.failedConnections, series: CONNECTIONS.slice(0, 1), labels: ROLE, value: 0 },
  { rule: RECORDED.segments, series: SEGMENTS.slice(1), labels: RECEIVE, value: 2 },
  {
    rule: RECORDED.retransmits,
    series: [...SEGMENTS, ...RETRANSMITS],
    labels: {},
    value: 0.25,
  },
  {
    rule: RECORDED.retransmitsByCause,
    series: [...SEGMENTS, ...RETRANSMITS.slice(0, 1)],
    labels: FAST,
    value: 0.125,
  },
  {
    rule: RECORDED.resets,
    series: [
      ...CONNECTIONS,
      rising(`netwatch_tcp_resets_total${braces({ ...RECEIVE, reason: 'a' })}`, 15),
      rising(`netwatch_tcp_resets_total${braces({ ...RECEIVE, reason: 'b' })}`, 15),
    ],
    labels: RECEIVE,
    value: 0.5,
  },
  {
    rule: RECORDED.acceptQueue,
    series: [
      steady(`netwatch_tcp_accept_queue_length${braces({ ...LISTENER, sock: 'a' })}`, 32),
      steady(`netwatch_tcp_accept_queue_limit${braces({ ...LISTENER, sock: 'a' })}`, 128),
      steady(`netwatch_tcp_accept_queue_length${braces({ ...LISTENER, sock: 'b' })}`, 0),
      steady(`netwatch_tcp_accept_queue_limit${braces({ ...LISTENER, sock: 'b' })}`, 128),
    ],
    labels: LISTENER,
    value: 0.25,
  },
  { rule: RECORDED.roundTrips.p50, series: ROUND_TRIPS, labels: {}, value: 10 },
  { rule: RECORDED.roundTrips.p95, series: ROUND_TRIPS, labels: {}, value: 19 },
  {
    rule: RECORDED.refused,
    series: [...SEGMENTS, rising('netwatch_tcp_errors_total{reason="TCP_CSUM"}', 15)],
    labels: {},
    value: 0.125,
  },
  { rule: RECORDED.httpServer.requests, series: http('server'), labels: PORT, value: 1 },
  { rule: RECORDED.httpServer.failed, series: http('server'), labels: PORT, value: 0.25 },
  { rule: RECORDED.httpClient.requests, series: http('client'), labels: PORT, value: 1 },
  { rule: RECORDED.httpClient.failed, series: http('client'), labels: PORT, value: 0.25 },
  {
    rule: RECORDED.ring,
    series: [
      steady('netwatch_ringbuf_used_bytes{source="packet"}', 1024),
      steady('netwatch_ringbuf_capacity_bytes{source="packet"}', 4096),
    ],
    labels: { source: 'packet' },
    value: 0.25,
  },
  {
    rule: RECORDED.maps,
    series: [
      steady('netwatch_map_entries{map="http"}', 1024),
      steady('netwatch_map_capacity{map="http"}', 4096),
    ],
    labels: { map: 'http' },
    value: 0.25,
  },
];

function ratioTest({ rule, series, labels, value }: RatioCase): object {
  const expected = braces({ ...TEST_TARGET, ...labels });
  return {
    name: `${rule.record} is ${value}`,
    interval: '1m',
    input_series: series.map(inputOf),
    promql_expr_test: [
      {
        expr: rule.record,
        eval_time: AT,
        exp_samples: [{ labels: `${rule.record}${expected}`, value }],
      },
    ],
  };
}

/** All observations fall into one bucket: a quantile lies so far between its bounds. */
function quantileTest(name: HistogramName): object {
  const { buckets } = familyOf(name);
  const [below = 0, above = 0] = buckets.slice(2);
  const labels = Object.fromEntries(quantileLabels(name).map((label) => [label, 'x']));
  const bucket = (le: number | string, perMinute: number): TestSeries =>
    rising(`${name}_bucket${braces({ ...labels, le: String(le) })}`, perMinute);
  return {
    name: `quantiles of ${name}`,
    interval: '1m',
    input_series: [bucket(below, 0), bucket(above, 60), bucket('+Inf', 60)].map(inputOf),
    promql_expr_test: QUANTILES.map((q) => {
      const value = below + (above - below) * q;
      // Prometheus comes to the same in another order of operations.
      const expr = `abs(${quantile(name, q).record} / ${value} - 1) < bool 0.000001`;
      const expected = braces({ ...TEST_TARGET, ...labels });
      return { expr, eval_time: AT, exp_samples: [{ labels: expected, value: 1 }] };
    }),
  };
}

/** Recording rules that a test of rules_test.yml asks for. */
export const TESTED_RECORDS: ReadonlySet<string> = new Set([
  ...RATIO_CASES.map(({ rule }) => rule.record),
  ...QUANTILE_HISTOGRAMS.flatMap((name) => QUANTILES.map((q) => quantile(name, q).record)),
]);

/** The content of rules_test.yml. */
export function ruleTests(): object {
  return {
    rule_files: ['rules.yml', 'alerts.yml'],
    evaluation_interval: '1m',
    tests: [
      ...ALERTS.flatMap(alertTests),
      ...RATIO_CASES.map(ratioTest),
      ...QUANTILE_HISTOGRAMS.map(quantileTest),
    ],
  };
}
