/**
 * Every metric family, declared once: name, type, help, labels, buckets and the file it lives in.
 * Names follow OpenTelemetry where it is stable, else `netwatch_` with base units. The types below
 * make a sample with a wrong label set, or a value outside a closed list, a compile error.
 */
import { CGROUP_LABELS, CONNECTION_FAMILIES, CONNECTION_LABELS } from './connection-families.js';
import { ENDPOINT_FAMILIES } from './endpoint-families.js';
import {
  counter,
  family,
  gauge,
  timing,
  type Family,
  type FamilyFile,
  type HistoryLog,
  type FamilyType,
} from './family.js';
import {
  BODY_SIZE_BYTES,
  fineSeconds,
  fineSlotSeconds,
  log2Seconds,
  NANOSECOND,
  OTEL_HTTP_SECONDS,
} from './histogram.js';
import { UNIT_FAMILIES } from './unit-families.js';
import { TOOL_FAMILIES } from './tool-families.js';
import { WHO_FAMILIES } from './who-families.js';

export type { Family, FamilyFile, FamilyType, HistoryLog };

/** Labels whose values are a closed list. */
export const LABEL_VALUES = {
  layer: ['mac', 'ip', 'tcp', 'reorder'],
  network_connection_state: [
    'closed',
    'close_wait',
    'closing',
    'established',
    'fin_wait_1',
    'fin_wait_2',
    'last_ack',
    'listen',
    'syn_received',
    'syn_sent',
    'time_wait',
  ],
  network_io_direction: ['receive', 'transmit'],
  network_tcp_handshake_role: ['client', 'server'],
  /** In the order of the kernel side's nw_retransmit_type. */
  network_tcp_retransmit_type: [
    'fast',
    'timeout',
    'tail_loss_probe',
    'syn',
    'synack',
    'path_mtu',
    'fast_open',
    'zero_window',
  ],
  network_type: ['ipv4', 'ipv6'],
  type: ['drop', 'reset_received', 'reset_sent'],
  stage: ['map_full', 'ringbuf', 'recursion', 'socket_memory', 'queue', 'file', 'decode'],
  url_scheme: ['http'],
  side: ['server', 'client'],
  cause: [
    ...(['lost', 'midstream', 'too_deep', 'unasked'] as const),
    ...(['kernel', 'old', 'no_room', 'no_read', 'no_write', 'unfinished'] as const),
  ],
  outcome: ['answered', 'reset', 'closed', 'timeout', 'truncated'],
  /** In order of time: those of a server, then those that only a client has. */
  part: [
    'request_transfer',
    'receive_queue',
    'behind',
    'application',
    'response_write',
    'send_wait',
    'request_write',
    'remote',
    'response_transfer',
  ],
  taken_for: ['http', 'http2', 'tls', 'other', 'midstream', 'tunnel'],
} as const;

/** The status code of an exchange without a response is empty, which Prometheus takes for none. */
const HTTP_LABELS = [
  'http_request_method',
  'http_response_status_code',
  'url_scheme',
  'network_protocol_version',
  'server_port',
] as const;

const bodies = (help: string) =>
  family('histogram', 'prom', help, ['http_request_method', 'url_scheme', 'server_port'], {
    buckets: BODY_SIZE_BYTES,
  });

/** Of one exchange; each side has some of the durations. */
const EXCHANGE_LABELS = [
  ...(['pid', 'process', 'url_path', 'http_response_status_code'] as const),
  ...(['request_transfer_seconds', 'request_transfer_reordering_seconds'] as const),
  ...(['request_write_seconds', 'request_write_send_buffer_seconds'] as const),
  ...(['receive_queue_seconds', 'receive_queue_run_queue_seconds'] as const),
  ...(['behind_seconds', 'application_seconds'] as const),
  ...(['response_write_seconds', 'response_write_send_buffer_seconds'] as const),
  ...(['send_wait_seconds', 'send_wait_retransmit_seconds'] as const),
  'send_wait_receive_window_seconds',
  ...(['remote_seconds', 'remote_network_seconds', 'remote_retransmit_seconds'] as const),
  ...(['response_transfer_seconds', 'response_transfer_reordering_seconds'] as const),
  ...(['delivery_seconds', 'delivery_retransmit_seconds'] as const),
  ...(['retransmits', 'connect_seconds'] as const),
  ...(['early', 'partly_explained'] as const),
] as const;

export const FAMILIES = {
  // HTTP/1.x
  http_server_request_duration_seconds: family(
    'histogram',
    'prom',
    'Time from the first byte of an HTTP request to the last byte of its response, or to the end of a connection that ends before (error_type), seen at the server.',
    HTTP_LABELS,
    { optional: ['error_type'], buckets: OTEL_HTTP_SECONDS },
  ),
  http_client_request_duration_seconds: family(
    'histogram',
    'prom',
    'Time from the first byte of an HTTP request to the last byte of its response, or to the end of a connection that ends before (error_type), seen at the client.',
    HTTP_LABELS,
    { optional: ['error_type'], buckets: OTEL_HTTP_SECONDS },
  ),
  http_server_active_requests: gauge('HTTP requests served that have no whole response yet.', [
    'url_scheme',
  ]),
  http_client_active_requests: gauge('HTTP requests made that have no whole response yet.', [
    'url_scheme',
  ]),
  http_server_request_body_size_bytes: bodies(
    'Size of the body of an HTTP request, at the server.',
  ),
  http_client_request_body_size_bytes: bodies(
    'Size of the body of an HTTP request, at the client.',
  ),
  http_server_response_body_size_bytes: bodies(
    'Size of the body of a whole HTTP response, at the server.',
  ),
  http_client_response_body_size_bytes: bodies(
    'Size of the body of a whole HTTP response, at the client.',
  ),
  netwatch_http_first_byte_duration_seconds: timing(
    'Time from the first byte of an HTTP request to the first byte of its response.',
    log2Seconds(6, 24),
    ['side', 'http_request_method', 'server_port'],
  ),
  netwatch_http_request_duration_seconds: timing(
    'Duration of HTTP requests as in http_*_request_duration_seconds, in bounds 9 % apart: quantiles of requests are read from it.',
    fineSeconds(4, 26),
    ['side', 'server_port'],
  ),
  netwatch_http_request_part_seconds: timing(
    'Time that an HTTP request spent in one of its parts, which add up to its duration. From 0.26 s on in bounds 9 % apart.',
    // what makes a request slow is told exactly; all in fine bounds would be 1,600 series for a port
    [...log2Seconds(6, 17), ...fineSlotSeconds(18, 24)],
    ['side', 'part', 'server_port'],
  ),
  netwatch_http_requests_unanswered_total: counter(
    'HTTP requests without a whole response, by how they ended.',
    ['side', 'outcome'],
  ),
  netwatch_http_requests_partly_explained_total: counter(
    'HTTP requests of which not all parts are known, by cause: no hook in this kernel, a connection older than netwatch, no room, no read or write seen, no end, segments that passed unseen.',
    ['cause'],
  ),
  netwatch_http_responses_unmatched_total: counter(
    'HTTP responses in no histogram, as it is not known when their request began, by cause.',
    ['side', 'cause'],
  ),
  netwatch_http_connections_total: counter(
    'Connections with payload, by what their first bytes were taken for; tunnel counts those that became one besides.',
    ['taken_for'],
  ),

  // TCP, all connections together
  netwatch_tcp_connections_total: counter(
    'Connections opened, or failed to open: error_type says why, or that their own process closed them first; without it they succeeded.',
    ['network_tcp_handshake_role', 'error_type'],
  ),
  netwatch_tcp_connection_duration_seconds: timing(
    'Life of a connection, from established to closed, in bounds 9 % apart.',
    fineSlotSeconds(16, 46, NANOSECOND),
    ['network_tcp_handshake_role'],
  ),
  netwatch_tcp_handshake_duration_seconds: timing(
    'Time from the first SYN to established, in bounds 9 % apart.',
    fineSlotSeconds(14, 36, NANOSECOND),
    ['network_tcp_handshake_role'],
  ),
  netwatch_tcp_rtt_seconds: timing(
    'Smoothed round-trip time of connections, one observation for each that closed.',
    log2Seconds(0, 24),
  ),
  netwatch_tcp_rtt_fine_seconds: timing(
    'Round-trip times as in netwatch_tcp_rtt_seconds, in bounds 9 % apart (below 8 us: each microsecond): quantiles are read from it.',
    fineSlotSeconds(0, 24),
  ),
  netwatch_tcp_retransmits_total: counter('Segments sent again, by what made the kernel do so.', [
    'network_tcp_retransmit_type',
  ]),
  netwatch_tcp_retransmits_recovered_total: counter(
    'Of these, segments of which the kernel has told no event: found in the counter of the socket, their cause is a guess.',
  ),
  netwatch_tcp_resets_total: counter('Resets sent or received, with the reason the kernel gives.', [
    'network_io_direction',
    'reason',
  ]),
  netwatch_tcp_events_total: counter('Events of TCP, as a tool has counted them.', [
    'tool',
    'event',
  ]),
  netwatch_tcp_io_bytes_total: counter('Payload bytes that applications sent or received.', [
    'network_io_direction',
  ]),
  netwatch_tcp_segments_total: counter('TCP segments sent or received, in TIME_WAIT too.', [
    'network_io_direction',
  ]),
  netwatch_tcp_state_duration_seconds: timing(
    'Time that connections spent in a state before they left it.',
    log2Seconds(0, 36, 2),
    ['network_connection_state'],
  ),
  netwatch_tcp_sockets: gauge('TCP sockets that exist now, by state.', [
    'network_connection_state',
  ]),
  ...WHO_FAMILIES,
  netwatch_tcp_errors_total: counter('Segments that the kernel refused, by its own reason.', [
    'reason',
  ]),
  ...UNIT_FAMILIES,
  ...TOOL_FAMILIES,
  netwatch_packet_layer_duration_seconds: timing(
    'Time that a packet spent in one layer of the network stack when it was sent first; reorder: what of a received one in TCP passed until no earlier segment was missing, if any was. In bounds 9 % apart.',
    fineSlotSeconds(6, 24, NANOSECOND),
    ['layer', 'network_io_direction', 'network_type'],
  ),
  netwatch_skb_drops_total: counter('Packets that the kernel dropped, by its own reason.', [
    'reason',
    'network_type',
  ]),

  ...CONNECTION_FAMILIES,

  // One packet, one error
  netwatch_packet_bytes: family(
    'gauge',
    'packets',
    'One TCP packet: payload length; mac_time, ip_time and tcp_time are microseconds in the layer, reorder_time those in TCP until no earlier segment was missing.',
    [...CONNECTION_LABELS, 'seq', 'ack', 'rx'],
    { optional: ['retransmit', 'mac_time', 'ip_time', 'tcp_time', 'reorder_time', 'http_info'] },
  ),
  netwatch_http_exchange_seconds: family(
    'gauge',
    'requests',
    'One HTTP request that has ended: its duration; labels are its parts and what lies inside them, in seconds; absent: not known.',
    [...CONNECTION_LABELS, 'side', 'http_request_method', 'outcome'],
    { optional: EXCHANGE_LABELS },
  ),
  netwatch_tcp_error: family(
    'gauge',
    'err',
    'One TCP segment refused, packet dropped or connection reset, with the reason of the kernel; always 1.',
    [...CONNECTION_LABELS, 'seq', 'ack', 'type', 'reason'],
    {
      optional: [
        ...(['event', 'pid', 'process', ...CGROUP_LABELS] as const),
        ...(['peer_pid', 'peer_process', 'peer_reason'] as const),
      ],
    },
  ),

  // netwatch itself
  netwatch_build_info: gauge('Versions of netwatch and of what it runs on; always 1.', [
    'version',
    'kernel',
    'libbpf',
    'node',
  ]),
  netwatch_events_total: counter(
    'Records that the kernel side of a source let through: read, in the ring buffer or lost there.',
    ['source'],
  ),
  netwatch_events_lost_total: counter(
    'Events that were lost, by source and by the place of the loss.',
    ['source', 'stage'],
  ),
  netwatch_records_accepted_total: counter('Records to be written: written plus lost.', ['file']),
  netwatch_records_written_total: counter('Records written.', ['file']),
  netwatch_file_write_errors_total: counter('Failed writes.', ['file', 'errno']),
  netwatch_bpf_program_attached: gauge(
    '1 if the BPF program is attached, 0 if the kernel refused it.',
    ['source', 'program', 'attach_type'],
  ),
  netwatch_bpf_program_run_time_seconds_total: counter('Time spent in the BPF program.', [
    'source',
    'program',
  ]),
  netwatch_bpf_program_run_count_total: counter('Runs of the BPF program.', ['source', 'program']),
  netwatch_map_entries: gauge('Entries in the BPF map.', ['map']),
  netwatch_map_capacity: gauge('Entries that the BPF map can hold.', ['map']),
  netwatch_ringbuf_used_bytes: gauge(
    'Bytes of records that wait to be read, in the ring buffer or copied out of it.',
    ['source'],
  ),
  netwatch_ringbuf_capacity_bytes: gauge('Size of the ring buffer.', ['source']),
  netwatch_event_loop_lag_seconds: gauge('Longest delay of the event loop since the last write.'),
  netwatch_last_event_timestamp_seconds: gauge(
    'When the last event was read, in seconds since 1970.',
  ),
  netwatch_collection_interval_seconds: gauge(
    'Time between two writes of this file; the endpoint takes a much older one for stale.',
  ),
  netwatch_series_dropped_total: family(
    'counter',
    'prom',
    'Series left out because their family was full, added up over all writes of the file; tool: of TOOL.prom, without it of netwatch.prom.',
    ['family'],
    { optional: ['tool'] },
  ),
  netwatch_http_resyncs_total: counter(
    'Times that the HTTP parser lost its place and searched for the next head.',
  ),
  // Not process_*: node_exporter has those of its own, and drops ours from the textfile with an
  // error.
  netwatch_process_cpu_seconds_total: counter('CPU time of the collector, user and system.'),
  netwatch_process_resident_memory_bytes: gauge('Resident memory of the collector.'),
  netwatch_process_start_time_seconds: gauge('Start of the collector, in seconds since 1970.'),
  netwatch_process_open_fds: gauge('Open file descriptors of the collector.'),
  netwatch_process_max_fds: gauge('File descriptors that the collector may open.'),

  ...ENDPOINT_FAMILIES,
  // No `satisfies` here: it would widen the labels of families that have none to any labels.
} as const;

type Families = typeof FAMILIES;
export type FamilyName = keyof Families;
type Where<Field extends keyof Family, V> = {
  [N in FamilyName]: Families[N][Field] extends V ? N : never;
}[FamilyName];

export type HistogramName = Where<'type', 'histogram'>;
/** Families whose sample is one number. */
export type ScalarName = Exclude<FamilyName, HistogramName>;
/** Families of the history logs, whose lines carry a timestamp. */
export type LogName = Where<'file', HistoryLog>;
/** Families that may stand in a snapshot; those of one packet, request or error never do. */
export type SnapshotName = Where<'file', 'prom' | 'connects' | 'endpoint'>;

type Values = typeof LABEL_VALUES;
export type LabelValue<K extends string> = K extends keyof Values
  ? Values[K][number]
  : string | number | bigint;
export type RequiredLabel<N extends FamilyName> = Families[N]['labels'][number];
type OptionalLabel<N extends FamilyName> = Families[N]['optional'][number];
/** The label set of a sample of family N: exactly its labels, and perhaps its optional ones. */
export type LabelsOf<N extends FamilyName> = [RequiredLabel<N> | OptionalLabel<N>] extends [never]
  ? Readonly<Record<string, never>>
  : { readonly [K in RequiredLabel<N>]: LabelValue<K> } & {
      readonly [K in OptionalLabel<N>]?: LabelValue<K>;
    };

export const FAMILY_NAMES = Object.keys(FAMILIES) as readonly FamilyName[];

export function familyOf(name: FamilyName): Family {
  return FAMILIES[name];
}

export function familiesIn(file: FamilyFile): readonly FamilyName[] {
  return FAMILY_NAMES.filter((name) => FAMILIES[name].file === file);
}
