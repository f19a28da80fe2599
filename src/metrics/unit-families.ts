/** Families by unit, container and pod: the first 500 of these, then `other`. Part of families.ts. */
import { family } from './family.js';

const CGROUP = { optional: ['container', 'pod'] as const };
const UNITS = 'by unit; "-": in none, "other": all beyond the first 500.';

export const UNIT_FAMILIES = {
  netwatch_unit_io_bytes_total: family(
    'counter',
    'prom',
    `Payload bytes that processes sent or received, ${UNITS}`,
    ['unit', 'network_io_direction'],
    CGROUP,
  ),
  netwatch_unit_connections_total: family(
    'counter',
    'prom',
    `Connections that processes opened or accepted, or that failed (error_type as in netwatch_tcp_connections_total; of each unit from the first one on), ${UNITS}`,
    ['unit', 'network_tcp_handshake_role', 'error_type'],
    CGROUP,
  ),
  netwatch_unit_retransmits_total: family(
    'counter',
    'prom',
    `Segments sent again on connections of processes, ${UNITS}`,
    ['unit'],
    CGROUP,
  ),
  netwatch_unit_http_requests_total: family(
    'counter',
    'prom',
    `HTTP requests that processes served or made, ${UNITS}`,
    ['unit', 'side'],
    CGROUP,
  ),
};
