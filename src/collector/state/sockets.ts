/** The sockets of now: how many in each state. */
import type { Part } from '../../metrics/snapshot.js';
import type { Connection } from '../../sources/connection.js';
import { connectionState, type ConnectionState } from '../../sources/tcp-states.js';

/** What this file writes. */
type Writes = Part<'netwatch_tcp_sockets'>;

/** Gauges over all sockets. */
export function addSockets(
  snapshot: Writes,
  entries: Iterable<{ readonly last: Connection }>,
): void {
  const counts = new Map<ConnectionState, number>();
  for (const { last } of entries) {
    const state = connectionState(last.state);
    counts.set(state, (counts.get(state) ?? 0) + 1);
  }
  for (const [state, count] of counts)
    snapshot.add('netwatch_tcp_sockets', { network_connection_state: state }, count);
}
