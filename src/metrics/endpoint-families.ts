/** Families of the endpoint: what it reads, whom it serves, and its own process. Part of families.ts. */
import { ofEndpoint } from './family.js';

export const ENDPOINT_FAMILIES = {
  netwatch_collector_up: ofEndpoint(
    'gauge',
    '1 if netwatch.prom is being written, 0 if it is missing or older than three intervals.',
  ),
  netwatch_textfile_mtime_seconds: ofEndpoint(
    'gauge',
    'When the file was last written, in seconds since 1970.',
    ['file'],
  ),
  netwatch_textfile_scrape_error: ofEndpoint(
    'gauge',
    '1 if the file is left out: it breaks the format, or contradicts a file before it.',
    ['file'],
  ),
  netwatch_endpoint_requests_total: ofEndpoint(
    'counter',
    'HTTP requests answered, by kind of path and status.',
    ['handler', 'code'],
  ),
  netwatch_endpoint_connections: ofEndpoint('gauge', 'HTTP connections open now.'),
  netwatch_endpoint_stream_clients: ofEndpoint('gauge', 'Pages that follow the live stream now.'),
  netwatch_endpoint_slow_clients_total: ofEndpoint(
    'counter',
    'Connections cut because the client read or wrote too slowly.',
  ),

  // The endpoint's own process, under the names that every client library uses
  process_cpu_seconds_total: ofEndpoint(
    'counter',
    'Total user and system CPU time spent in seconds.',
  ),
  process_resident_memory_bytes: ofEndpoint('gauge', 'Resident memory size in bytes.'),
  process_start_time_seconds: ofEndpoint(
    'gauge',
    'Start time of the process since unix epoch in seconds.',
  ),
  process_open_fds: ofEndpoint('gauge', 'Number of open file descriptors.'),
  process_max_fds: ofEndpoint('gauge', 'Maximum number of open file descriptors.'),
} as const;
