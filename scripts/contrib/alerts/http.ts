/** Alerts about HTTP, as the server's side sees it. */
import { rising, type Alert, type TestSeries } from '../alert.js';
import { LIMITS } from '../limits.js';
import { QUANTILES } from '../promql.js';
import { quantile, RECORDED } from '../recording.js';

const { requests, failed } = RECORDED.httpServer;
const P95 = QUANTILES[1];
const NAME = 'http_server_request_duration_seconds';
const latency = quantile(NAME, P95).record;

const answers = (status: number, perMinute: number): TestSeries => {
  const error = status >= 500 ? `, error_type="${status}"` : '';
  const labels = `http_response_status_code="${status}", server_port="80"${error}`;
  return rising(`${NAME}_count{${labels}}`, perMinute);
};

/** Requests that all take between two bounds of the family, in seconds. */
const taking = (below: string, above: string): TestSeries[] => [
  answers(200, 60),
  rising(`${NAME}_bucket{server_port="80", le="${below}"}`, 0),
  rising(`${NAME}_bucket{server_port="80", le="${above}"}`, 60),
  rising(`${NAME}_bucket{server_port="80", le="+Inf"}`, 60),
];

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
    expr: `${latency} > ${LIMITS.httpSeconds} and ${requests.record} > 0.1`,
    for: '10m',
    summary: 'The server on port {{ $labels.server_port }} of {{ $labels.instance }} is slow',
    description: 'One request of twenty takes longer than {{ $value | humanizeDuration }}.',
    runbook:
      'On the host: netwatch -i -t -s {{ $labels.server_port }} shows each request, and whether its time passes in the network or in the process.',
    fires: { series: taking('2.5', '5'), labels: { server_port: '80' }, value: '4.875s' },
    quiet: taking('0.1', '0.25'),
  },
];
