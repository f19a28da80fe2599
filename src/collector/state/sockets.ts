/** The sockets of now: how many in each state, and those that listen. */
import type { Part } from '../../metrics/snapshot.js';
import type { Connection } from '../../sources/connection.js';
import { connectionState, TCP_LISTEN, type ConnectionState } from '../../sources/tcp-states.js';
import { addListeners } from './listeners.js';

/** What this file writes. */
type Writes = Part<'netwatch_tcp_sockets'> & Parameters<typeof addListeners>[0];

/** Gauges over all sockets: how many in each state, and the listening ones. */
export function addSockets(
  snapshot: Writes,
  entries: Iterable<{ readonly last: Connection }>,
  options: { readonly overflows: boolean },
): void {
  const counts = new Map<ConnectionState, number>();
  const listeners: Connection[] = [];
  for (const { last } of entries) {
    const state = connectionState(last.state);
    counts.set(state, (counts.get(state) ?? 0) + 1);
    if (last.state === TCP_LISTEN) listeners.push(last);
  }
  addListeners(snapshot, listeners, options);
  for (const [state, count] of counts)
    snapshot.add('netwatch_tcp_sockets', { network_connection_state: state }, count);
}
