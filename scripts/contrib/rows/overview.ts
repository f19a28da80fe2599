/** The first row: is all well? Each number turns red where its alert begins. */
import { LIMITS } from '../limits.js';
import { DASHBOARD, rate, select, sumBy } from '../promql.js';
import { quantile, RECORDED, type Recorded } from '../recording.js';
import { scalarPanel, type Panel } from '../panel.js';
import type { Row } from '../row.js';

function stat(
  title: string,
  description: string,
  unit: string,
  expr: string,
  limit?: number,
): Panel {
  const queries = [{ expr, legend: title }];
  return {
    kind: 'stat',
    title,
    description,
    unit,
    queries,
    ...(limit === undefined ? {} : { limit }),
  };
}

/** The worst of all, as the rule recorded it; computed anew where no rule runs. */
function worst(rule: Recorded, title: string, limit?: number): Panel {
  const recorded = `${rule.record}{${DASHBOARD.matchers}}`;
  // >= 0 leaves out what is no number: a ratio of nothing.
  const expr = `max((${recorded} or ${rule.expr(DASHBOARD)}) >= 0)`;
  return stat(title, `${rule.title}: the worst of the chosen hosts.`, rule.unit, expr, limit);
}

const CLIENT_AND_SERVER = 'by clients and servers together';

export const OVERVIEW: Row = {
  title: 'Overview',
  claims: /^netwatch_tcp_(io_bytes|segments)/,
  collapsed: false,
  panels: [
    stat(
      'Hosts',
      'Hosts that report now.',
      'short',
      `count(${select('netwatch_build_info', DASHBOARD)})`,
    ),
    stat(
      'Collectors down',
      'Endpoints whose collector writes nothing, or that cannot be scraped.',
      'short',
      `count(${select('netwatch_collector_up', DASHBOARD)} == 0 or up{${DASHBOARD.matchers}} == 0) or vector(0)`,
      1,
    ),
    stat(
      'Events lost',
      'Over the time shown; 0 means that the records are complete.',
      'short',
      `sum(increase(${select('netwatch_events_lost_total', DASHBOARD, 'source!="stdout"')}[$__range]))`,
      1,
    ),
    stat(
      'Sockets',
      'TCP sockets that exist now, in all states.',
      'short',
      sumBy([], select('netwatch_tcp_sockets', DASHBOARD)),
    ),
    stat(
      'Connections per second',
      `Opened or failed, ${CLIENT_AND_SERVER}.`,
      'cps',
      sumBy([], rate('netwatch_tcp_connections_total', DASHBOARD)),
    ),
    worst(RECORDED.failedConnections, 'Failed connections', LIMITS.failedConnections),
    worst(RECORDED.retransmits, 'Retransmits', LIMITS.retransmits),
    worst(RECORDED.roundTrips.p95, 'RTT, p95'),
    worst(RECORDED.acceptQueue, 'Fullest accept queue', LIMITS.acceptQueue),
    stat(
      'HTTP requests',
      'That servers on the chosen hosts answered.',
      'reqps',
      sumBy([], rate('http_server_request_duration_seconds_count', DASHBOARD)),
    ),
    worst(RECORDED.httpServer.failed, 'HTTP errors', LIMITS.httpErrors),
    worst(
      quantile('netwatch_http_request_duration_seconds', 0.95),
      'HTTP, p95',
      LIMITS.httpSeconds,
    ),
    scalarPanel('netwatch_tcp_io_bytes_total'),
    scalarPanel('netwatch_tcp_segments_total'),
    scalarPanel('netwatch_tcp_connections_total', ['instance']),
  ],
};
