/** Families about who: listening sockets, flows, and probes of who is still there. */
import { CGROUP_LABELS } from './connection-families.js';
import { counter, gauge } from './family.js';

/** Whose cgroup it is. */
const UNIT = { optional: CGROUP_LABELS } as const;

const OWNER_LABELS = ['pid', 'process'] as const;

/** A listening socket; sock tells those apart that share an address (SO_REUSEPORT). */
const LISTENER_LABELS = [
  ...(['network_local_address', 'network_local_port', 'netns'] as const),
  ...(['sock', 'pid', 'process'] as const),
] as const;

/** Connections of one process with one other end. */
const FLOW_LABELS = ['process', 'role', 'server_port', 'network_peer_address'] as const;

export const WHO_FAMILIES = {
  netwatch_tcp_accept_queue_length: gauge(
    'Connections that wait for accept() on a listening socket.',
    LISTENER_LABELS,
    UNIT,
  ),
  netwatch_tcp_accept_queue_limit: gauge(
    'Length at which the accept queue of a listening socket is full.',
    LISTENER_LABELS,
    UNIT,
  ),
  netwatch_tcp_accept_queue_overflows_total: counter(
    'SYNs and last ACKs of handshakes that found the accept queue of a listening socket full and were dropped (-e); one that has closed keeps its last count for five minutes.',
    LISTENER_LABELS,
    UNIT,
  ),
  netwatch_tcp_close_wait_sockets: gauge(
    'Connections that the other end has closed and this process has not (CLOSE_WAIT).',
    OWNER_LABELS,
    UNIT,
  ),
  netwatch_tcp_close_wait_oldest_seconds: gauge(
    'Time for which the oldest of them has been waiting for its process to close it.',
    OWNER_LABELS,
    UNIT,
  ),
  netwatch_tcp_syn_cookies_total: counter(
    'SYN cookies of the watched namespaces, as the kernel counts them: sent where a queue of requests was full (sent), brought back by a connection (received), ACKs that brought none (failed).',
    ['event'],
  ),
  netwatch_flow_bytes_total: counter(
    'Payload bytes by process, unit, side (role: client or server), port of the server and address of the other end; those beyond 249 flows are together in role="other". Their sum is netwatch_tcp_io_bytes_total.',
    [...FLOW_LABELS, 'network_io_direction'],
    UNIT,
  ),
  netwatch_flow_connections_total: counter('Connections of a flow.', FLOW_LABELS, UNIT),
  netwatch_flow_retransmits_total: counter(
    'Segments of a flow that were sent again.',
    FLOW_LABELS,
    UNIT,
  ),
  netwatch_flow_rtt_seconds: gauge(
    'Mean of the smoothed round-trip times of the connections of a flow.',
    FLOW_LABELS,
    UNIT,
  ),
  netwatch_tcp_keepalive_probes_total: counter(
    'Probes received that ask whether this end is still there or its window open, with a sequence number that is old on purpose: no drops, no errors (-e; Linux 6.11).',
    ['network_type'],
  ),
} as const;
