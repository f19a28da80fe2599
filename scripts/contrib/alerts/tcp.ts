/**
 * Alerts about TCP. A ratio needs enough traffic to mean something, so each asks for a least rate
 * too.
 */
import { grown, rising, steady, type Alert } from '../alert.js';
import { LIMITS } from '../limits.js';
import { QUANTILES, rate, RULES } from '../promql.js';
import { quantile, RECORDED } from '../recording.js';

const CLIENT = 'network_tcp_handshake_role="client"';
const sent = `${RECORDED.segments.record}{network_io_direction="transmit"}`;
const opened = (perMinute: number): readonly ReturnType<typeof rising>[] => [
  rising(`netwatch_tcp_connections_total{${CLIENT}}`, perMinute),
];
const P99 = QUANTILES[2];
const layerTime = quantile('netwatch_packet_layer_duration_seconds', P99).record;
const LAYER = 'layer="ip", network_io_direction="receive", network_type="ipv4"';

/** Packets of which all take between two bounds of the family, in seconds. */
const layerTimes = (below: string, above: string): ReturnType<typeof rising>[] =>
  [
    [below, 0],
    [above, 60],
    ['+Inf', 60],
  ].map(([le, perMinute]) =>
    rising(
      `netwatch_packet_layer_duration_seconds_bucket{${LAYER}, le="${le}"}`,
      Number(perMinute),
    ),
  );

/** A listening socket, as its series have it. */
const LISTENER_LABELS = {
  network_local_address: '::',
  network_local_port: '80',
  netns: '4026531992',
  sock: 'ffff881234567ac0',
  pid: '4711',
  process: 'nginx',
};
const LISTENER = Object.entries(LISTENER_LABELS)
  .map(([name, value]) => `${name}="${value}"`)
  .join(', ');

export const TCP_ALERTS: readonly Alert[] = [
  {
    alert: 'TcpConnectFailureRatioHigh',
    severity: 'warning',
    expr: `${RECORDED.failedConnections.record} > ${LIMITS.failedConnections} and ${RECORDED.connections.record} > 0.1`,
    for: '10m',
    summary: 'Connections fail on {{ $labels.instance }}',
    description:
      '{{ $value | humanizePercentage }} of the connections as {{ $labels.network_tcp_handshake_role }} fail.',
    runbook:
      'On the host: netwatch -a shows every failed connection, to whom, by which process and why (error_type).',
    fires: {
      series: [
        rising(`netwatch_tcp_connections_total{${CLIENT}}`, 45),
        rising(`netwatch_tcp_connections_total{${CLIENT}, error_type="refused"}`, 15),
      ],
      labels: { network_tcp_handshake_role: 'client' },
      value: '25%',
    },
    quiet: [
      rising(`netwatch_tcp_connections_total{${CLIENT}}`, 3),
      rising(`netwatch_tcp_connections_total{${CLIENT}, error_type="refused"}`, 1),
    ],
  },
  {
    alert: 'TcpRetransmitRatioHigh',
    severity: 'warning',
    expr: `${RECORDED.retransmits.record} > ${LIMITS.retransmits} and ignoring (network_io_direction) ${sent} > 10`,
    for: '10m',
    summary: 'Segments are sent again on {{ $labels.instance }}',
    description: '{{ $value | humanizePercentage }} of the segments sent are retransmissions.',
    runbook:
      'On the host: netwatch -r -x shows the connections, with cause, cwnd and RTT; the dashboard shows the causes.',
    fires: {
      series: [
        rising('netwatch_tcp_retransmits_total{network_tcp_retransmit_type="fast"}', 60),
        rising('netwatch_tcp_segments_total{network_io_direction="transmit"}', 1200),
      ],
      value: '5%',
    },
    quiet: [
      rising('netwatch_tcp_retransmits_total{network_tcp_retransmit_type="fast"}', 12),
      rising('netwatch_tcp_segments_total{network_io_direction="transmit"}', 1200),
    ],
  },
  {
    alert: 'TcpTimeoutRetransmits',
    severity: 'warning',
    expr:
      `${RECORDED.retransmitsByCause.record}{network_tcp_retransmit_type="timeout"} > 0.001 ` +
      `and ignoring (network_tcp_retransmit_type, network_io_direction) ${sent} > 10`,
    for: '10m',
    summary: 'Connections stall on {{ $labels.instance }}',
    description:
      'The retransmission timer ran out for {{ $value | humanizePercentage }} of the segments sent: each is a stop of 200 ms or more.',
    runbook:
      'On the host: netwatch -r -x, then look for lost_segments and srtt of those connections; ss -ti shows the same sockets.',
    fires: {
      series: [
        rising('netwatch_tcp_retransmits_total{network_tcp_retransmit_type="timeout"}', 12),
        rising('netwatch_tcp_segments_total{network_io_direction="transmit"}', 1200),
      ],
      labels: { network_tcp_retransmit_type: 'timeout' },
      value: '1%',
    },
    quiet: [
      rising('netwatch_tcp_retransmits_total{network_tcp_retransmit_type="fast"}', 12),
      rising('netwatch_tcp_segments_total{network_io_direction="transmit"}', 1200),
    ],
  },
  {
    alert: 'TcpResetsHigh',
    severity: 'warning',
    expr:
      `${RECORDED.resets.record} > 0.25 and ` +
      `sum without (reason) (${rate('netwatch_tcp_resets_total', RULES)}) > 0.1`,
    for: '10m',
    summary: 'Many resets on {{ $labels.instance }}',
    description:
      'Resets, {{ $labels.network_io_direction }}: {{ $value | humanizePercentage }} of the number of connections.',
    runbook:
      'On the host: netwatch -e writes each reset with the reason of the kernel into err.log; the dashboard shows the reasons.',
    fires: {
      series: [
        ...opened(60),
        rising('netwatch_tcp_resets_total{network_io_direction="receive", reason="x"}', 30),
      ],
      labels: { network_io_direction: 'receive' },
      value: '50%',
    },
    quiet: [
      ...opened(60),
      rising('netwatch_tcp_resets_total{network_io_direction="receive", reason="x"}', 6),
    ],
  },
  {
    alert: 'AcceptQueueNearlyFull',
    severity: 'warning',
    expr: `${RECORDED.acceptQueue.record} > ${LIMITS.acceptQueue}`,
    for: '1m',
    summary: 'A server on {{ $labels.instance }} accepts too slowly',
    description:
      'The accept queue of {{ $labels.process }} at {{ $labels.network_local_address }} port {{ $labels.network_local_port }} is {{ $value | humanizePercentage }} full; beyond it connections are dropped.',
    runbook:
      'On the host: ss -ltn shows the queues (Recv-Q of Send-Q); the process is too slow, or its backlog or net.core.somaxconn too small.',
    fires: {
      series: [
        steady(
          'netwatch_tcp_accept_queue_length{network_local_address="::", network_local_port="80", process="nginx"}',
          120,
        ),
        steady(
          'netwatch_tcp_accept_queue_limit{network_local_address="::", network_local_port="80", process="nginx"}',
          128,
        ),
      ],
      labels: { network_local_address: '::', network_local_port: '80', process: 'nginx' },
      value: '93.75%',
    },
    quiet: [
      steady(
        'netwatch_tcp_accept_queue_length{network_local_address="::", network_local_port="80", process="nginx"}',
        1,
      ),
      steady(
        'netwatch_tcp_accept_queue_limit{network_local_address="::", network_local_port="80", process="nginx"}',
        0,
      ),
    ],
  },
  {
    alert: 'AcceptQueueOverflows',
    severity: 'critical',
    expr: grown('netwatch_tcp_accept_queue_overflows_total'),
    for: '0m',
    summary: '{{ $labels.process }} on {{ $labels.instance }} has no room for connections',
    description:
      '{{ $value | humanize }} segments of new connections were dropped in five minutes, as the accept queue of {{ $labels.process }} ({{ $labels.pid }}) at {{ $labels.network_local_address }} port {{ $labels.network_local_port }} was full: clients wait seconds, or fail.',
    runbook:
      'On the host: netwatch tcpsynbl shows how full the queue is when connections come, err.log (reason TCP_LISTEN_OVERFLOW) whose they were. Find out why the process does not call accept(); if it only has bursts, raise its backlog and net.core.somaxconn.',
    fires: {
      series: [rising(`netwatch_tcp_accept_queue_overflows_total{${LISTENER}}`, 3)],
      labels: LISTENER_LABELS,
      value: '15',
    },
    quiet: [steady(`netwatch_tcp_accept_queue_overflows_total{${LISTENER}}`, 3)],
  },
  {
    alert: 'SocketsLeftBehind',
    severity: 'warning',
    expr: 'netwatch_tcp_close_wait_sockets >= 5 and netwatch_tcp_close_wait_oldest_seconds > 60',
    for: '5m',
    summary: '{{ $labels.process }} on {{ $labels.instance }} does not close its connections',
    description:
      '{{ $value | humanize }} connections of {{ $labels.process }} ({{ $labels.pid }}) were closed by the other end, and it has not closed them (CLOSE_WAIT): a leak of descriptors.',
    runbook:
      'On the host: ss -tnp state close-wait shows the other ends; the program has read the end of the stream and never calls close(). Restart it before its descriptors run out, and fix where it forgets them.',
    fires: {
      series: [
        steady('netwatch_tcp_close_wait_sockets{pid="4711", process="java"}', 12),
        rising('netwatch_tcp_close_wait_oldest_seconds{pid="4711", process="java"}', 60),
      ],
      labels: { pid: '4711', process: 'java' },
      value: '12',
    },
    quiet: [
      steady('netwatch_tcp_close_wait_sockets{pid="4711", process="java"}', 12),
      steady('netwatch_tcp_close_wait_oldest_seconds{pid="4711", process="java"}', 2),
    ],
  },
  {
    alert: 'TcpSegmentsRefused',
    severity: 'warning',
    expr: `${RECORDED.refused.record} > 0.001`,
    for: '10m',
    summary: 'Broken segments arrive on {{ $labels.instance }}',
    description:
      'The kernel refuses {{ $value | humanizePercentage }} of the segments received: wrong checksums or sequence numbers.',
    runbook:
      'On the host: netwatch -e writes each one with its reason into err.log; ethtool -S shows errors of the card.',
    fires: {
      series: [
        rising('netwatch_tcp_errors_total{reason="TCP_CSUM"}', 12),
        rising('netwatch_tcp_segments_total{network_io_direction="receive"}', 1200),
      ],
      value: '1%',
    },
    quiet: [
      rising('netwatch_tcp_errors_total{reason="TCP_CSUM"}', 1),
      rising('netwatch_tcp_segments_total{network_io_direction="receive"}', 1200),
    ],
  },
  {
    alert: 'SkbDropsHigh',
    severity: 'warning',
    expr: `sum without (network_type) (${rate('netwatch_skb_drops_total', RULES)}) > 10`,
    for: '10m',
    summary: 'The kernel drops packets on {{ $labels.instance }}',
    description: '{{ $value | humanize }} packets per second are dropped: {{ $labels.reason }}.',
    runbook:
      'On the host: netwatch -e writes each drop with both ends into err.log; NETFILTER_DROP is a firewall rule (nft list ruleset).',
    fires: {
      series: [
        rising('netwatch_skb_drops_total{reason="SOCKET_RCVBUFF", network_type="ipv4"}', 900),
        rising('netwatch_skb_drops_total{reason="SOCKET_RCVBUFF", network_type="ipv6"}', 300),
      ],
      labels: { reason: 'SOCKET_RCVBUFF' },
      value: '20',
    },
    quiet: [rising('netwatch_skb_drops_total{reason="SOCKET_RCVBUFF", network_type="ipv4"}', 60)],
  },
  {
    alert: 'LayerTimeHigh',
    severity: 'warning',
    // Received segments wait in the TCP layer for the application: that time is its own affair.
    expr: `${layerTime}{layer!="tcp"} > 0.005`,
    for: '10m',
    summary: 'Packets are slow in the kernel of {{ $labels.instance }}',
    description:
      'One packet of a hundred spends more than {{ $value | humanizeDuration }} in the layer {{ $labels.layer }} ({{ $labels.network_io_direction }}).',
    runbook:
      'On the host: netwatch -t shows the times of every packet; mpstat -P ALL shows softirq load, tc -s qdisc a queue on the way out.',
    fires: {
      series: layerTimes('0.015384774', '0.016777216'),
      labels: { layer: 'ip', network_io_direction: 'receive' },
      value: '16.76ms',
    },
    quiet: layerTimes('0.000131072', '0.000142935'),
  },
];
