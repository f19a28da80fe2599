/**
 * The families of single connections (-x, -r). New ones go behind the others: their order is that of
 * the lines in connects.log.
 */
import { family } from './family.js';

/** What names a connection on every line of the logs: kernel socket address, own end, other end. */
export const CONNECTION_LABELS = ['sock', 'src', 'dst'] as const;

/** Whose cgroup it is, where it is one of a unit, a container or a pod. */
export const CGROUP_LABELS = ['unit', 'container', 'pod'] as const;

const ofConnection = (help: string) => family('gauge', 'connects', help, CONNECTION_LABELS);
const totalOfConnection = (help: string) => family('counter', 'connects', help, CONNECTION_LABELS);

export const CONNECTION_FAMILIES = {
  netwatch_connection_info: family(
    'gauge',
    'connects',
    'A connection, the process that owns it, and its unit, container and pod; always 1.',
    ['pid', 'process', ...CONNECTION_LABELS, 'is_server'],
    { optional: CGROUP_LABELS },
  ),
  netwatch_connection_state_info: family(
    'gauge',
    'connects',
    'State of the connection: 1 on entering it, 0 on leaving it.',
    [...CONNECTION_LABELS, 'network_connection_state'],
  ),
  netwatch_connection_congestion_info: family(
    'gauge',
    'connects',
    'Congestion control of the connection, algorithm and state: 1 on entering it, 0 on leaving it.',
    [...CONNECTION_LABELS, 'algorithm', 'state'],
  ),
  netwatch_connection_backlog: ofConnection(
    'Connections in the accept queue of the listening socket.',
  ),
  netwatch_connection_max_backlog: ofConnection(
    'Limit of the accept queue of the listening socket.',
  ),
  netwatch_connection_rwnd_bytes: ofConnection('Receive window offered to the other end.'),
  netwatch_connection_cwnd_segments: ofConnection('Congestion window.'),
  netwatch_connection_ssthresh_segments: ofConnection('Slow-start threshold.'),
  netwatch_connection_sndbuf_bytes: ofConnection('Size of the send buffer.'),
  netwatch_connection_rcvbuf_bytes: ofConnection('Size of the receive buffer.'),
  netwatch_connection_wmem_queued_bytes: ofConnection('Memory held by the send queue.'),
  netwatch_connection_acked_bytes_total: totalOfConnection(
    'Bytes sent that the other end acknowledged, as the kernel and ss count them: SYN and FIN are one each.',
  ),
  netwatch_connection_received_bytes_total: totalOfConnection(
    'Bytes received in order, as the kernel and ss count them: FIN is one.',
  ),
  netwatch_connection_srtt_seconds: ofConnection('Smoothed round-trip time.'),
  netwatch_connection_mdev_seconds: ofConnection('Medium deviation of the round-trip time.'),
  netwatch_connection_rttvar_seconds: ofConnection(
    'Variance of the round-trip time, as the timers use it.',
  ),
  netwatch_connection_min_rtt_seconds: ofConnection('Smallest round-trip time seen of late.'),
  netwatch_connection_state_age_seconds: family(
    'gauge',
    'prom',
    'Time for which it has been in its present state.',
    CONNECTION_LABELS,
  ),
  netwatch_connection_duration_seconds: ofConnection(
    'Age of the connection since it was established.',
  ),
  netwatch_connection_retransmits_total: totalOfConnection('Segments sent again.'),
  netwatch_connection_fast_retransmits_total: totalOfConnection(
    'Segments sent again because acknowledgements told of the loss.',
  ),
  netwatch_connection_timeout_retransmits_total: totalOfConnection(
    'Segments sent again because the retransmission timer ran out.',
  ),
  netwatch_connection_packets_out_segments: ofConnection(
    'Segments sent and not yet covered by an acknowledgement.',
  ),
  netwatch_connection_unacked_bytes: ofConnection('Bytes sent and not yet acknowledged.'),
  netwatch_connection_in_flight_bytes: ofConnection(
    'Bytes thought to be in the network: those not acknowledged, without what arrived out of order or is lost.',
  ),
  netwatch_connection_lost_segments: ofConnection('Outstanding segments that are thought lost.'),
  netwatch_connection_retrans_out_segments: ofConnection(
    'Outstanding segments that were sent again.',
  ),
  netwatch_connection_reordering_segments: ofConnection(
    'Reordering that the connection tolerates.',
  ),
  netwatch_connection_delivered_segments_total: totalOfConnection(
    'Segments known to have arrived.',
  ),
  netwatch_connection_pacing_rate_bytes_per_second: ofConnection('Rate at which sending is paced.'),
  netwatch_connection_notsent_bytes: ofConnection(
    'Bytes queued by the application and not yet sent.',
  ),
  netwatch_connection_sent_payload_bytes_total: totalOfConnection(
    'Payload bytes sent that the other end acknowledged: acked_bytes without SYN and FIN.',
  ),
  netwatch_connection_received_payload_bytes_total: totalOfConnection(
    'Payload bytes received in order: received_bytes without FIN.',
  ),
  netwatch_connection_sent_bytes_total: totalOfConnection(
    'Payload bytes sent, once more each time they are sent again.',
  ),
  netwatch_connection_retransmitted_bytes_total: totalOfConnection('Payload bytes sent again.'),
  netwatch_connection_sent_segments_total: totalOfConnection(
    'Segments sent, those without data included.',
  ),
  netwatch_connection_received_segments_total: totalOfConnection(
    'Segments received, those without data included.',
  ),
  netwatch_connection_mss_bytes: ofConnection('Largest payload of a segment sent.'),
  netwatch_connection_rto_seconds: ofConnection(
    'Time without an acknowledgement after which a segment is sent again; none if the length of a jiffy is not known.',
  ),
  netwatch_connection_snd_wnd_bytes: ofConnection('Window that the other end offers.'),
  netwatch_connection_sacked_segments: ofConnection(
    'Outstanding segments that have arrived out of order.',
  ),
  netwatch_connection_busy_seconds_total: totalOfConnection(
    'Time with data to send or not yet acknowledged; none if the length of a jiffy is not known.',
  ),
  netwatch_connection_rwnd_limited_seconds_total: totalOfConnection(
    'Time of it in which the window of the other end held sending up.',
  ),
  netwatch_connection_sndbuf_limited_seconds_total: totalOfConnection(
    'Time of it in which the size of the send buffer held sending up.',
  ),
  netwatch_connection_ecn_negotiated: ofConnection(
    '1 if both ends do explicit congestion notification (ECN).',
  ),
  netwatch_connection_ecn_seen: ofConnection(
    '1 if a packet has arrived that ECN could have marked.',
  ),
  netwatch_connection_delivered_ce_segments_total: totalOfConnection(
    'Segments that arrived with the mark of congestion (ECN), as the other end says.',
  ),
  netwatch_connection_receive_queue_bytes: ofConnection(
    'Bytes received in order that the application has not read, as Recv-Q of ss: FIN is one.',
  ),
};
