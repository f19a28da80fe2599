/** Drops and resets as lines of err.log. */
import { formatAddress, formatEndpoint } from '../metrics/address.js';
import type { ByteWriter } from '../metrics/bytes.js';
import { logLine } from '../metrics/lines.js';
import type { FaultRecord } from '../sources/fault.js';
import type { ToldFault } from './fault-events.js';
import { nameLabels } from './state/connection-labels.js';

/** `drop`, or which way a reset went. */
export function faultType({
  kind,
  received,
}: FaultRecord): 'drop' | 'reset_received' | 'reset_sent' {
  if (kind === 'drop') return 'drop';
  return received ? 'reset_received' : 'reset_sent';
}

export function faultLine(out: ByteWriter, told: ToldFault, timestampMs: number): void {
  const { fault, owner, event, sender } = told;
  const { pid, process } = owner;
  const by = sender?.owner;
  const labels = {
    sock: formatAddress(fault.sock),
    src: formatEndpoint(fault.localAddr, fault.localPort),
    dst: formatEndpoint(fault.peerAddr, fault.peerPort),
    seq: fault.seq,
    ack: fault.ack,
    type: faultType(fault),
    reason: fault.reason,
    event,
    ...(pid === null ? {} : { pid }),
    ...(process === null ? {} : { process }),
    ...nameLabels(owner.names),
    ...(by?.pid === null || by === undefined ? {} : { peer_pid: by.pid }),
    ...(by?.process === null || by === undefined ? {} : { peer_process: by.process }),
    ...(sender === null ? {} : { peer_reason: sender.reason }),
  };
  logLine(out, 'netwatch_tcp_error', labels, 1, timestampMs);
}
