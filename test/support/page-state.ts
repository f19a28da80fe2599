/** A netwatch.prom for tests of the page: with everything it shows, every number chosen by the test. */
import { utimesSync } from 'node:fs';
import { join } from 'node:path';
import { OTEL_HTTP_SECONDS } from '../../src/metrics/histogram.js';
import { familyOf, type HistogramName } from '../../src/metrics/families.js';
import { Snapshot } from '../../src/metrics/snapshot.js';
import { writePromFile } from '../../src/sinks/prom-file.js';
import { durationBucket } from '../../src/sources/request-durations.js';

export interface PageState {
  /** All counters and histograms are multiples of it. */
  readonly factor?: number;
  readonly connections?: number;
  /** Of connection 0. */
  readonly process?: string;
  readonly intervalSeconds?: number;
}

/** Counts of buckets: `each` in the first four. */
function counts(name: HistogramName, each: number): number[] {
  return familyOf(name)
    .buckets.map((_, i) => (i < 4 ? each : 0))
    .concat(0);
}

export function pageState({
  factor = 1,
  connections = 3,
  process = 'nginx',
  intervalSeconds = 3600,
}: PageState = {}): Snapshot {
  const s = new Snapshot();
  for (const role of ['client', 'server'] as const) {
    const label = { network_tcp_handshake_role: role };
    s.add('netwatch_tcp_connections_total', { ...label, error_type: '' }, 40 * factor);
    s.add('netwatch_tcp_connections_total', { ...label, error_type: 'refused' }, 3 * factor);
  }
  for (const direction of ['receive', 'transmit'] as const) {
    const label = { network_io_direction: direction };
    s.add('netwatch_tcp_io_bytes_total', label, 123_457 * factor);
    s.add('netwatch_tcp_segments_total', label, 1000 * factor);
    s.add('netwatch_tcp_resets_total', { ...label, reason: 'NO_SOCKET' }, 5 * factor);
    for (const layer of ['mac', 'ip', 'tcp'] as const) {
      const name = 'netwatch_packet_layer_duration_seconds';
      const labels = { layer, ...label, network_type: 'ipv4' } as const;
      s.histogram(name, labels, counts(name, factor), 0.001 * factor);
    }
  }
  s.add(
    'netwatch_skb_drops_total',
    { reason: 'NETFILTER_DROP', network_type: 'ipv4' },
    17 * factor,
  );
  s.add('netwatch_tcp_retransmits_total', { network_tcp_retransmit_type: 'fast' }, 11 * factor);
  s.add('netwatch_tcp_sockets', { network_connection_state: 'established' }, connections);
  s.add('netwatch_tcp_sockets', { network_connection_state: 'listen' }, 2);
  s.histogram('netwatch_tcp_rtt_seconds', {}, counts('netwatch_tcp_rtt_seconds', factor), 1);
  addHttp(s, factor);
  addHealth(s, factor, intervalSeconds);
  for (let i = 0; i < connections; i++) addConnection(s, i, i === 0 ? process : 'worker');
  return s;
}

function addHttp(s: Snapshot, factor: number): void {
  s.add('netwatch_http_resyncs_total', {}, 0);
  const of = (status: number, each: number): void =>
    s.histogram(
      'http_server_request_duration_seconds',
      {
        http_request_method: 'GET',
        http_response_status_code: status,
        url_scheme: 'http',
        network_protocol_version: '1.1',
        server_port: 8080,
        ...(status >= 500 ? { error_type: status } : {}),
      },
      OTEL_HTTP_SECONDS.map((_, i) => (i < 2 ? each : 0)).concat(0),
      each / 100,
    );
  of(200, 20 * factor);
  of(500, factor);
  const requests = 42 * factor;
  addDurations(s, requests);
  addParts(s, requests);
}

/** All of 80 us, which OpenTelemetry's first bucket takes for 2.5 ms. */
function addDurations(s: Snapshot, requests: number): void {
  const name = 'netwatch_http_request_duration_seconds';
  const at = durationBucket(80_000);
  const buckets = familyOf(name).buckets.map((_, i) => (i === at ? requests : 0));
  const labels = { side: 'server', server_port: 8080 } as const;
  s.histogram(name, labels, [...buckets, 0], 0.00008 * requests);
}

const PART_SECONDS = { receive_queue: 0.00002, application: 0.00006 } as const;

function addParts(s: Snapshot, requests: number): void {
  const name = 'netwatch_http_request_part_seconds';
  for (const part of ['receive_queue', 'application'] as const) {
    const buckets = familyOf(name).buckets.map((_, i) => (i === 0 ? requests : 0));
    const labels = { side: 'server', part, server_port: 8080 } as const;
    s.histogram(name, labels, [...buckets, 0], PART_SECONDS[part] * requests);
  }
}

function addHealth(s: Snapshot, factor: number, intervalSeconds: number): void {
  for (const source of ['connection', 'packet', 'fault']) {
    s.add('netwatch_events_total', { source }, 500 * factor);
    s.add('netwatch_events_lost_total', { source, stage: 'ringbuf' }, 2 * factor);
    s.add('netwatch_ringbuf_used_bytes', { source }, 4096);
    s.add('netwatch_ringbuf_capacity_bytes', { source }, 65_536);
  }
  s.add('netwatch_records_accepted_total', { file: 'err.log' }, 30 * factor);
  s.add('netwatch_records_written_total', { file: 'err.log' }, 30 * factor);
  s.add(
    'netwatch_bpf_program_attached',
    { source: 'packet', program: 'ingress', attach_type: 'cgroup_skb' },
    1,
  );
  s.add('netwatch_build_info', { version: '9.8.7', kernel: 'k', libbpf: 'l', node: 'n' }, 1);
  s.add('netwatch_collection_interval_seconds', {}, intervalSeconds);
  s.add('netwatch_process_start_time_seconds', {}, 1000);
  s.add('netwatch_process_cpu_seconds_total', {}, 0.5 * factor);
  s.add('netwatch_process_resident_memory_bytes', {}, 80_000_000);
}

function addConnection(s: Snapshot, i: number, process: string): void {
  const ends = {
    sock: `ffff8881${String(i).padStart(8, '0')}`,
    src: `10.0.0.1:${10_000 + i}`,
    dst: `10.0.0.2:${20_000 + i}`,
  };
  s.add('netwatch_connection_info', { pid: 100 + i, process, ...ends, is_server: i % 2 }, 1);
  s.add('netwatch_connection_srtt_seconds', ends, (i + 1) / 1e6);
  s.add('netwatch_connection_cwnd_segments', ends, 10);
  s.add('netwatch_connection_acked_bytes_total', ends, 1000 * (i + 1));
  s.add('netwatch_connection_received_bytes_total', ends, 7_000_000 - i);
  s.add('netwatch_connection_pacing_rate_bytes_per_second', ends, 125_000);
}

/** Writes it; `writtenMs`: the time the file is to have. */
export async function writeState(
  folder: string,
  snapshot: Snapshot,
  writtenMs = Date.now(),
): Promise<void> {
  const written = await writePromFile(folder, 'netwatch.prom', snapshot.text());
  if (!written.ok) throw new Error('netwatch.prom could not be written');
  utimesSync(join(folder, 'netwatch.prom'), writtenMs / 1000, writtenMs / 1000);
}
