/** Listening sockets, each for itself: whose they are, how full their queues, what found no room. */
import { formatAddress } from '../../metrics/address.js';
import type { Part } from '../../metrics/snapshot.js';
import type { CgroupNames } from '../../sources/cgroup-names.js';
import type { Connection } from '../../sources/connection.js';
import type { SynCookies } from '../../sources/netstat.js';
import { TCP_LISTEN } from '../../sources/tcp-states.js';
import { nameLabels, ownerLabels } from './connection-labels.js';

/** What this file writes. */
type Writes = Part<
  | 'netwatch_tcp_accept_queue_length'
  | 'netwatch_tcp_accept_queue_limit'
  | 'netwatch_tcp_accept_queue_overflows_total'
  | 'netwatch_tcp_syn_cookies_total'
>;

/** A listening socket as it was last seen. */
export interface Listener {
  readonly last: Connection;
  readonly names: CgroupNames | null;
}

/** Of listening sockets that have closed: what each has had until then. */
export interface Closed {
  /** What sockets with the labels of this one have had before it, which its series goes on from. */
  before(listener: Connection): number;
  /** Those that nobody has asked for since the last call, with all that they have had. */
  rest(): Iterable<Listener & { readonly overflows: number }>;
}

/** Several may have one address: in other namespaces, or with SO_REUSEPORT. */
function listenerLabels(
  listener: Connection,
  names: CgroupNames | null,
): ReturnType<typeof nameLabels> & {
  network_local_address: string;
  network_local_port: number;
  netns: number;
  sock: string;
  pid: string;
  process: string;
} {
  return {
    network_local_address: listener.localAddr,
    network_local_port: listener.localPort,
    netns: listener.netns,
    sock: formatAddress(listener.sock),
    ...ownerLabels(listener),
    ...nameLabels(names),
  };
}

/** SYN cookies of all listening sockets, as the kernel counts them. */
export function addCookies(snapshot: Writes, cookies: SynCookies): void {
  for (const event of ['sent', 'received', 'failed'] as const)
    snapshot.add('netwatch_tcp_syn_cookies_total', { event }, cookies[event]);
}

/** `overflows`: null where they are not counted (without -e). */
export function addListeners(
  snapshot: Writes,
  entries: Iterable<Listener>,
  { overflows }: { readonly overflows: Closed | null },
): void {
  const family = 'netwatch_tcp_accept_queue_overflows_total';
  for (const { last: listener, names } of entries) {
    if (listener.state !== TCP_LISTEN) continue;
    const labels = listenerLabels(listener, names);
    snapshot.add('netwatch_tcp_accept_queue_length', labels, listener.backlog);
    snapshot.add('netwatch_tcp_accept_queue_limit', labels, listener.maxBacklog);
    if (overflows !== null)
      snapshot.add(family, labels, listener.overflows + overflows.before(listener));
  }
  for (const { last, names, overflows: count } of overflows?.rest() ?? [])
    snapshot.add(family, listenerLabels(last, names), count);
}
