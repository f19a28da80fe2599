/** What makes the kernel send a segment again, in words. */
import { RETRANSMIT_TYPE } from '../generated/insight.js';
import type { InsightRecord } from './insight.js';

const CAUSES = new Map(
  Object.entries(RETRANSMIT_TYPE).map(([name, value]) => [
    value as number,
    name.replace('NW_RETRANSMIT_', '').toLowerCase(),
  ]),
);

/** `fast`, `timeout`, … as in `network_tcp_retransmit_type`; null for an event of another kind. */
export function causeName({ cause }: Pick<InsightRecord, 'cause'>): string | null {
  return CAUSES.get(cause) ?? null;
}
