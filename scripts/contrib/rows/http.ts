/** HTTP as servers on the hosts answer it, as clients on them get it, and where the time goes. */
import { SIDES, type Side } from '../../../src/sources/exchange.js';
import {
  heatMap,
  meanByPanel,
  quantileByPanel,
  quantilesPanel,
  recordedPanel,
  scalarPanel,
  timeSeries,
  type Panel,
} from '../panel.js';
import { DASHBOARD, legendOf, rate, shortLabel, sumBy } from '../promql.js';
import { RECORDED } from '../recording.js';
import type { Row } from '../row.js';

const METHOD = 'http_request_method';
const STATUS = 'http_response_status_code';
const PORT = 'server_port';
/** Whose bounds are close enough together for quantiles. */
const FINE = 'netwatch_http_request_duration_seconds';
const PARTS = 'netwatch_http_request_part_seconds';

const FAILURE = {
  server: 'Status 500 or more, of all answers.',
  client: 'Status 400 or more, of all answers.',
};

function httpRow(side: Side): Row {
  const name = `http_${side}_request_duration_seconds` as const;
  const requests = (...labels: string[]): ReturnType<typeof timeSeries> =>
    timeSeries(
      `Requests by ${labels.map(shortLabel).join(', ')}`,
      'Answered requests; one that never got an answer is not among them.',
      'reqps',
      { expr: sumBy(labels, rate(`${name}_count`, DASHBOARD)), legend: legendOf(labels) },
    );
  const rules = side === 'server' ? RECORDED.httpServer : RECORDED.httpClient;
  const seenHere = `side="${side}"`;
  return {
    title: `HTTP ${side} (-i)`,
    claims: new RegExp(`^http_${side}_`),
    collapsed: false,
    panels: [
      requests(PORT),
      requests(METHOD, STATUS),
      recordedPanel(rules.failed, FAILURE[side]),
      quantilesPanel(FINE, seenHere),
      quantileByPanel(FINE, ['instance', PORT], 0.5, seenHere),
      quantileByPanel(FINE, ['instance', PORT], 0.95, seenHere),
      quantileByPanel(FINE, ['instance', PORT], 0.99, seenHere),
      meanByPanel(name, [METHOD]),
      meanByPanel(name, [STATUS]),
      heatMap('Duration of requests', name),
    ],
  };
}

export const HTTP_SERVER = httpRow('server');
export const HTTP_CLIENT = httpRow('client');

/** Mean times add up to the mean duration, which quantiles do not. */
const partsOf = (side: Side): Panel => ({
  ...meanByPanel(PARTS, ['part'], `side="${side}"`),
  title: `Mean time of a request by part, ${side}`,
  description: 'The parts on top of each other: together they are the mean duration.',
  stacked: true,
});

const slowestParts = (side: Side): Panel => ({
  ...quantileByPanel(PARTS, ['part'], 0.99, `side="${side}"`),
  title: `Parts of requests: p99, ${side}`,
});

export const HTTP_PARTS: Row = {
  title: 'HTTP: where the time goes (-i)',
  claims: /^netwatch_http_(request|first_byte)/,
  collapsed: false,
  panels: [
    ...SIDES.map(partsOf),
    ...SIDES.map(slowestParts),
    scalarPanel('netwatch_http_requests_unanswered_total'),
    scalarPanel('netwatch_http_requests_partly_explained_total'),
  ],
};
