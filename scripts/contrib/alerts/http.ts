/** Alerts about HTTP: errors and durations as the server's side sees them, the parts of either side. */
import { rising, type Alert, type TestSeries } from '../alert.js';
import { LIMITS } from '../limits.js';
import { QUANTILES, rate, RULES } from '../promql.js';
import { quantile, RECORDED } from '../recording.js';

const { requests, failed } = RECORDED.httpServer;
const [, P95, P99] = QUANTILES;
const NAME = 'http_server_request_duration_seconds';
const FINE = 'netwatch_http_request_duration_seconds';
const PARTS = 'netwatch_http_request_part_seconds';
const latency = quantile(FINE, P95).record;
const p99 = quantile(FINE, P99).record;
const partP99 = quantile(PARTS, P99).record;

const answers = (status: number, perMinute: number): TestSeries => {
  const error = status >= 500 ? `, error_type="${status}"` : '';
  const labels = `http_response_status_code="${status}", server_port="80"${error}`;
  return rising(`${NAME}_count{${labels}}`, perMinute);
};

/** 60 observations a minute that all lie between two bounds of the family, in seconds. */
const between = (family: string, labels: string, below: string, above: string): TestSeries[] =>
  [[below, 0] as const, [above, 60] as const, ['+Inf', 60] as const].map(([le, perMinute]) =>
    rising(`${family}_bucket{${labels}, server_port="80", le="${le}"}`, perMinute),
  );

/** Requests to a server that all take so long. */
const taking = (below: string, above: string): TestSeries[] => [
  answers(200, 60),
  rising(`${FINE}_count{side="server", server_port="80"}`, 60),
  ...between(FINE, 'side="server"', below, above),
];

const part = (name: string, below: string, above: string): TestSeries[] =>
  between(PARTS, `side="server", part="${name}"`, below, above);

export const HTTP_ALERTS: readonly Alert[] = [
  {
    alert: 'HttpErrorRatioHigh',
    severity: 'critical',
    expr: `${failed.record} > ${LIMITS.httpErrors} and ${requests.record} > 0.1`,
    for: '5m',
    summary: 'The server on port {{ $labels.server_port }} of {{ $labels.instance }} fails',
    description: '{{ $value | humanizePercentage }} of the answers have a status of 500 or more.',
    runbook:
      'On the host: netwatch -i -s {{ $labels.server_port }} shows each request line with its status; then read the log of the server.',
    fires: {
      series: [answers(200, 45), answers(503, 15)],
      labels: { server_port: '80' },
      value: '25%',
    },
    quiet: [answers(200, 45), answers(404, 15)],
  },
  {
    alert: 'HttpLatencyHigh',
    severity: 'warning',
    expr: `${latency}{side="server"} > ${LIMITS.httpSeconds} and ignoring (side) ${requests.record} > 0.1`,
    for: '10m',
    summary: 'The server on port {{ $labels.server_port }} of {{ $labels.instance }} is slow',
    description: 'One request of twenty takes longer than {{ $value | humanizeDuration }}.',
    runbook:
      'On the host: netwatch requests --port {{ $labels.server_port }} --top 10 --by target shows which requests take long, and which part of them.',
    fires: {
      series: taking('2.98', '3.25'),
      labels: { side: 'server', server_port: '80' },
      value: '3.236s',
    },
    quiet: taking('0.193', '0.21'),
  },
  {
    alert: 'HttpP99DominatedByPart',
    severity: 'warning',
    expr:
      `topk without (part) (1, ${partP99}) > ignoring (part) group_left () ${LIMITS.partOfP99} * ${p99} ` +
      `and ignoring (part) ${p99} > ${LIMITS.httpSeconds} ` +
      `and ignoring (part) ${rate(`${FINE}_count`, RULES)} > 0.1`,
    for: '10m',
    summary:
      'The slowest requests at port {{ $labels.server_port }}, {{ $labels.side }} side, of {{ $labels.instance }} spend most of their time in {{ $labels.part }}',
    description:
      'One request of a hundred spends up to {{ $value | humanizeDuration }} in its {{ $labels.part }}, more than half of what the slowest take in all.',
    runbook:
      'docs/http.md says what each part is. On the host: netwatch requests --slow 1000 --port {{ $labels.server_port }} shows the slow ones, each with its parts.',
    fires: {
      series: [
        ...taking('2.98', '3.25'),
        ...part('application', '2.493948', '2.719669'),
        ...part('send_wait', '0.032768', '0.065536'),
      ],
      labels: { side: 'server', server_port: '80', part: 'application' },
      value: '2.717s',
    },
    // slow, but no part takes half of it
    quiet: [
      ...taking('2.98', '3.25'),
      ...part('application', '1.246974', '1.359834'),
      ...part('receive_queue', '1.246974', '1.359834'),
    ],
  },
];
