/**
 * Families of the tools that count, each in the .prom file of its tool. Part of families.ts. One
 * that two tools write has the label `tool`, as all these files are read as one exposition.
 */
import { counter, family, timing } from './family.js';
import { log2Seconds } from './histogram.js';

/** The highest length in each of the kernel's buckets. */
const BACKLOG_BOUNDS = Array.from({ length: 16 }, (_, i) => 2 ** (i + 1) - 1);

export const TOOL_FAMILIES = {
  netwatch_tcp_process_bytes_total: counter(
    'Payload bytes that processes of a name sent or received, as a tool has counted them.',
    ['tool', 'process', 'network_io_direction'],
  ),
  netwatch_tcp_subnet_bytes_total: counter(
    'Payload bytes sent to a subnet, as netwatch tcpsubnet has counted them.',
    ['subnet'],
  ),
  netwatch_tcp_segment_rtt_seconds: timing(
    'Smoothed round-trip time of a connection, at every segment that arrived on it.',
    log2Seconds(0, 24),
  ),
  netwatch_tcp_accept_queue_length_at_arrival: family(
    'histogram',
    'prom',
    'Connections that waited for accept() when another one came, by the limit of the queue.',
    ['limit'],
    { buckets: BACKLOG_BOUNDS },
  ),
  netwatch_nic_queue_bytes_total: counter(
    'Bytes of frames that went through a queue of a network device, as a tool has counted them; queue "-": none that it has.',
    ['tool', 'device', 'queue', 'network_io_direction'],
  ),
  netwatch_nic_queue_packets_total: counter(
    'Packets that went through a queue of a network device, as a tool has counted them; queue "-": none that it has.',
    ['tool', 'device', 'queue', 'network_io_direction'],
  ),
  netwatch_softirq_seconds_total: counter('Time spent in software interrupts, by vector.', [
    'vector',
  ]),
  netwatch_softirqs_total: counter('Software interrupts that were handled, by vector.', ['vector']),
  netwatch_tcp_congestion_seconds_total: counter(
    'Time that connections spent in a state of congestion control before it changed.',
    ['state'],
  ),
} as const;
