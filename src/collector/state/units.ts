/** Sums by unit, container and pod. */
import type { Part } from '../../metrics/snapshot.js';
import type { UnitTotal, UnitTotals } from './unit-totals.js';
import type { Side } from '../../sources/exchange.js';
import { ERROR_TYPES } from './totals.js';
import { nameLabels } from './connection-labels.js';

type Writes = Part<
  | 'netwatch_unit_io_bytes_total'
  | 'netwatch_unit_connections_total'
  | 'netwatch_unit_retransmits_total'
  | 'netwatch_unit_http_requests_total'
>;

/** Of those that are in no unit, or in none that is known. */
const NONE = '-';
const OTHER = 'other';

function addOne(snapshot: Writes, total: UnitTotal, unit: string, hasHttp: boolean): void {
  const labels = { unit, ...nameLabels(total.names) };
  const moved = (direction: 'transmit' | 'receive', bytes: number): void => {
    const of = { ...labels, network_io_direction: direction };
    snapshot.add('netwatch_unit_io_bytes_total', of, bytes);
  };
  // 16 series of each unit would be too many: failures have theirs from the first one on
  const connections = (role: Side): void => {
    for (const [outcome, type] of ERROR_TYPES) {
      const count = total.connections[role][outcome] ?? 0;
      const of = { ...labels, network_tcp_handshake_role: role, error_type: type };
      if (type === '' || count > 0) snapshot.add('netwatch_unit_connections_total', of, count);
    }
  };
  moved('transmit', total.sent);
  moved('receive', total.received);
  connections('client');
  connections('server');
  snapshot.add('netwatch_unit_retransmits_total', labels, total.retransmits);
  if (!hasHttp) return;
  for (const side of ['server', 'client'] as const)
    snapshot.add('netwatch_unit_http_requests_total', { ...labels, side }, total.requests[side]);
}

/** `hasHttp`: requests are seen (-i). */
export function addUnits(snapshot: Writes, units: UnitTotals, hasHttp: boolean): void {
  for (const total of units.named) addOne(snapshot, total, NONE, hasHttp);
  addOne(snapshot, units.other, OTHER, hasHttp);
}
