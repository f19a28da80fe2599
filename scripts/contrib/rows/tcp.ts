/** Rows about TCP as a whole: connections, round trips, retransmits, and what goes wrong. */
import {
  heatMap,
  quantilesPanel,
  scalarPanel,
  recordedPanel,
  timeSeries,
  titleOf,
} from '../panel.js';
import { DASHBOARD, legendOf, rate, select, sumBy } from '../promql.js';
import { RECORDED } from '../recording.js';
import type { Row } from '../row.js';

const ROLE = 'network_tcp_handshake_role';
const LISTENER = ['instance', 'network_local_address', 'network_local_port', 'process', 'sock'];

export const CONNECTIONS: Row = {
  title: 'Connections',
  claims: /^netwatch_tcp_(connection|handshake|state|sockets|accept|syn_cookies|close_wait)/,
  collapsed: false,
  panels: [
    timeSeries('Connections opened', 'Without those that failed.', 'cps', {
      expr: sumBy([ROLE], rate('netwatch_tcp_connections_total', DASHBOARD, 'error_type=""')),
      legend: legendOf([ROLE]),
    }),
    timeSeries('Connections that failed, by why', 'Nothing is good: none failed.', 'cps', {
      expr: sumBy(
        [ROLE, 'error_type'],
        rate('netwatch_tcp_connections_total', DASHBOARD, 'error_type!=""'),
      ),
      legend: legendOf([ROLE, 'error_type']),
    }),
    recordedPanel(RECORDED.failedConnections, 'Failed of all that were tried.'),
    {
      kind: 'timeseries',
      title: titleOf('netwatch_tcp_sockets'),
      description: 'TCP sockets that exist now, by state.',
      unit: 'short',
      stacked: true,
      queries: [
        {
          expr: sumBy(['network_connection_state'], select('netwatch_tcp_sockets', DASHBOARD)),
          legend: legendOf(['network_connection_state']),
        },
      ],
    },
    timeSeries(
      'Accept queues: length and limit',
      'Connections that wait for accept(); at the limit new ones are dropped.',
      'short',
      {
        expr: sumBy(LISTENER, select('netwatch_tcp_accept_queue_length', DASHBOARD)),
        legend: legendOf(LISTENER),
      },
      {
        expr: sumBy(LISTENER, select('netwatch_tcp_accept_queue_limit', DASHBOARD)),
        legend: `${legendOf(LISTENER)} limit`,
      },
    ),
    recordedPanel(RECORDED.acceptQueue, 'Length, of its limit.'),
    timeSeries(
      'Accept queues: overflows (-e)',
      'SYNs and last ACKs of handshakes that found the queue full and were dropped.',
      'cps',
      {
        expr: sumBy(LISTENER, rate('netwatch_tcp_accept_queue_overflows_total', DASHBOARD)),
        legend: legendOf(LISTENER),
      },
    ),
  ],
};

export const RTT: Row = {
  title: 'Round-trip time',
  claims: /^netwatch_tcp_rtt/,
  collapsed: false,
  panels: [
    ...Object.values(RECORDED.roundTrips).map((rule) =>
      recordedPanel(rule, 'Exact, of the connections that the host shows (-x, --max-connections).'),
    ),
    quantilesPanel('netwatch_tcp_rtt_fine_seconds'),
    heatMap(titleOf('netwatch_tcp_rtt_seconds'), 'netwatch_tcp_rtt_seconds'),
  ],
};

export const RETRANSMITS: Row = {
  title: 'Retransmits (-r)',
  claims: /^netwatch_tcp_retransmits/,
  collapsed: false,
  panels: [
    { ...scalarPanel('netwatch_tcp_retransmits_total'), title: 'Retransmits by cause' },
    recordedPanel(RECORDED.retransmits, 'Of all segments sent, retransmissions included.'),
    recordedPanel(
      RECORDED.retransmitsByCause,
      'A timeout is a stop of 200 ms or more; fast retransmits and probes cost a round trip.',
    ),
  ],
};

export const FAULTS: Row = {
  title: 'Drops, resets and errors (-e)',
  claims: /^netwatch_(tcp_resets|tcp_errors|skb_drops)/,
  collapsed: false,
  panels: [
    recordedPanel(RECORDED.resets, 'Resets of each direction for each connection opened or tried.'),
    recordedPanel(RECORDED.refused, 'Wrong checksums or sequence numbers, of all received.'),
  ],
};

export const EVENTS: Row = {
  title: 'TCP events (netwatch insight --data)',
  claims: /^netwatch_tcp_events/,
  collapsed: true,
  panels: [],
};
