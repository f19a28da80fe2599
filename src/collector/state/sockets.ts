/** The sockets of now: how many in each state, and the accept queues. */
import type { Part } from '../../metrics/snapshot.js';
import type { Connection } from '../../sources/connection.js';
import { connectionState, TCP_LISTEN, type ConnectionState } from '../../sources/tcp-states.js';

/** What this file writes. */
type Writes = Part<
  'netwatch_tcp_sockets' | 'netwatch_tcp_accept_queue_length' | 'netwatch_tcp_accept_queue_limit'
>;

/** Gauges over all sockets: how many in each state, and the accept queues. */
export function addSockets(
  snapshot: Writes,
  entries: Iterable<{ readonly last: Connection }>,
): void {
  const counts = new Map<ConnectionState, number>();
  const listeners: Connection[] = [];
  for (const { last } of entries) {
    const state = connectionState(last.state);
    counts.set(state, (counts.get(state) ?? 0) + 1);
    if (last.state === TCP_LISTEN) listeners.push(last);
  }
  addAcceptQueues(snapshot, listeners);
  for (const [state, count] of counts)
    snapshot.add('netwatch_tcp_sockets', { network_connection_state: state }, count);
}

/** Several listeners may share an address (SO_REUSEPORT): their queues add up. */
function addAcceptQueues(snapshot: Writes, listeners: readonly Connection[]): void {
  const sums = new Map<string, { at: Connection; length: number; limit: number }>();
  for (const at of listeners) {
    const key = `${at.localAddr} ${at.localPort}`;
    const sum = sums.get(key) ?? { at, length: 0, limit: 0 };
    sum.length += at.backlog;
    sum.limit += at.maxBacklog;
    sums.set(key, sum);
  }
  for (const { at, length, limit } of sums.values()) {
    const labels = { network_local_address: at.localAddr, network_local_port: at.localPort };
    snapshot.add('netwatch_tcp_accept_queue_length', labels, length);
    snapshot.add('netwatch_tcp_accept_queue_limit', labels, limit);
  }
}
