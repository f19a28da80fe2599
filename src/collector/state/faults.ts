/** Drops, resets and bad segments, by the reason of the kernel; keepalive probes, which are none. */
import type { Part } from '../../metrics/snapshot.js';
import { networkType } from '../../sources/address-family.js';
import type { FaultTotal } from '../../sources/fault.js';

/** What this file writes. */
type Writes = Part<
  | 'netwatch_skb_drops_total'
  | 'netwatch_tcp_errors_total'
  | 'netwatch_tcp_keepalive_probes_total'
  | 'netwatch_tcp_resets_total'
>;

/** Drops that mean a segment itself was wrong, not that something refused it. */
const SEGMENT_ERROR = /^TCP_(.*SEQUENCE|CSUM|FLAGS|RFC7323_.*)$/;

export function addFaults(snapshot: Writes, totals: readonly FaultTotal[]): void {
  for (const { kind, reason, family, received, count } of totals) {
    const type = networkType(family);
    if (kind === 'keepalive') {
      snapshot.add('netwatch_tcp_keepalive_probes_total', { network_type: type }, count);
      continue;
    }
    if (kind === 'reset') {
      const direction = received ? 'receive' : 'transmit';
      snapshot.add('netwatch_tcp_resets_total', { network_io_direction: direction, reason }, count);
      continue;
    }
    snapshot.add('netwatch_skb_drops_total', { reason, network_type: type }, count);
    if (SEGMENT_ERROR.test(reason)) snapshot.add('netwatch_tcp_errors_total', { reason }, count);
  }
}
