/** Drops and resets as lines of err.log. */
import { formatAddress, formatEndpoint } from '../metrics/address.js';
import type { ByteWriter } from '../metrics/bytes.js';
import { logLine } from '../metrics/lines.js';
import type { ProcessOwner } from '../metrics/ndjson.js';
import type { FaultRecord } from '../sources/fault.js';
import { nameLabels } from './state/connection-labels.js';

/** `drop`, or which way a reset went. */
export function faultType({
  kind,
  received,
}: FaultRecord): 'drop' | 'reset_received' | 'reset_sent' {
  if (kind === 'drop') return 'drop';
  return received ? 'reset_received' : 'reset_sent';
}

export function faultLine(
  out: ByteWriter,
  fault: FaultRecord,
  { pid, process, names }: ProcessOwner,
  timestampMs: number,
): void {
  const labels = {
    ...(pid === null ? {} : { pid: String(pid) }),
    ...(process === null ? {} : { process }),
    ...nameLabels(names),
    sock: formatAddress(fault.sock),
    src: formatEndpoint(fault.localAddr, fault.localPort),
    dst: formatEndpoint(fault.peerAddr, fault.peerPort),
    seq: fault.seq,
    ack: fault.ack,
    type: faultType(fault),
    reason: fault.reason,
  };
  logLine(out, 'netwatch_tcp_error', labels, 1, timestampMs);
}
