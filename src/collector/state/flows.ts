/** Who talks to whom: flows with a name, and all others as one. */
import type { Part } from '../../metrics/snapshot.js';
import type { FlowSums, FlowTable } from '../../sources/flows.js';
import { nameLabels } from './connection-labels.js';

/** What this file writes. */
type Writes = Part<
  | 'netwatch_flow_bytes_total'
  | 'netwatch_flow_connections_total'
  | 'netwatch_flow_retransmits_total'
  | 'netwatch_flow_rtt_seconds'
>;

interface FlowLabels extends ReturnType<typeof nameLabels> {
  readonly process: string;
  readonly role: string;
  readonly server_port: number | string;
  readonly network_peer_address: string;
}

const US_PER_SECOND = 1e6;

/** What `process` and `role` say of all that have no name of their own. */
const OTHERS: FlowLabels = {
  process: 'other',
  role: 'other',
  server_port: '',
  network_peer_address: '',
};

function addSums(snapshot: Writes, labels: FlowLabels, sums: FlowSums): void {
  const name = 'netwatch_flow_bytes_total';
  snapshot.add(name, { ...labels, network_io_direction: 'receive' }, sums.received);
  snapshot.add(name, { ...labels, network_io_direction: 'transmit' }, sums.sent);
  snapshot.add('netwatch_flow_connections_total', labels, sums.connections);
  snapshot.add('netwatch_flow_retransmits_total', labels, sums.retransmits);
}

export function addFlows(snapshot: Writes, { flows, others }: FlowTable): void {
  for (const { process, names, role, serverPort, peer, rttUs, ...sums } of flows) {
    const ends = { process, role, server_port: serverPort, network_peer_address: peer };
    const labels = { ...ends, ...nameLabels(names) };
    addSums(snapshot, labels, sums);
    if (rttUs !== null) snapshot.add('netwatch_flow_rtt_seconds', labels, rttUs / US_PER_SECOND);
  }
  addSums(snapshot, OTHERS, others);
}
