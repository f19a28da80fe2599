/** HTTP as servers on the hosts answer it, and as clients on them get it. */
import { heatMap, quantileByPanel, quantilesPanel, recordedPanel, timeSeries } from '../panel.js';
import { DASHBOARD, legendOf, rate, shortLabel, sumBy } from '../promql.js';
import { RECORDED } from '../recording.js';
import type { Row } from '../row.js';

const METHOD = 'http_request_method';
const STATUS = 'http_response_status_code';
const PORT = 'server_port';

const FAILURE = {
  server: 'Status 500 or more, of all answers.',
  client: 'Status 400 or more, of all answers.',
};

function httpRow(side: 'server' | 'client'): Row {
  const name = `http_${side}_request_duration_seconds` as const;
  const requests = (...labels: string[]): ReturnType<typeof timeSeries> =>
    timeSeries(
      `Requests by ${labels.map(shortLabel).join(', ')}`,
      'Answered requests; one that never got an answer is not among them.',
      'reqps',
      { expr: sumBy(labels, rate(`${name}_count`, DASHBOARD)), legend: legendOf(labels) },
    );
  const rules = side === 'server' ? RECORDED.httpServer : RECORDED.httpClient;
  return {
    title: `HTTP ${side} (-i)`,
    claims: new RegExp(`^http_${side}_`),
    collapsed: false,
    panels: [
      requests(PORT),
      requests(METHOD, STATUS),
      recordedPanel(rules.failed, FAILURE[side]),
      quantilesPanel(name),
      quantileByPanel(name, ['instance', PORT], 0.5),
      quantileByPanel(name, ['instance', PORT], 0.95),
      quantileByPanel(name, ['instance', PORT], 0.99),
      quantileByPanel(name, [METHOD]),
      quantileByPanel(name, [STATUS]),
      heatMap('Duration of requests', name),
    ],
  };
}

export const HTTP_SERVER = httpRow('server');
export const HTTP_CLIENT = httpRow('client');
