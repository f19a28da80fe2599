/**
 * Totals of insight's events that were kept until accept() showed whose they are: the kernel leaves
 * them to the reader. The same sums as nw_count_event() in bpf/include/insight/emit.bpf.h.
 */
import {
  decodeInsightTotals,
  INSIGHT_TOTALS,
  type Insight,
  type InsightTotals,
} from '../generated/insight.js';
import { EVENT_NAMES } from './insight-events.js';

/** The kernel keeps the smoothed round-trip time times eight. */
const SRTT_SHIFT = 3;
/** Up to this many microseconds each value has a bucket of its own. */
const MOST_ALONE_US = 15;

/** The place of a round-trip time in `InsightTotals.rtt`, see NW_RTT_BUCKETS. */
export function bucketOfRtt(us: number): number {
  if (us <= MOST_ALONE_US) return us;
  const bits = 32 - Math.clz32(us);
  return 16 * (bits - 4) + ((us >> (bits - 5)) & 15);
}

/** With `count` more at a place. */
const raised = (counts: readonly number[], place: number): readonly number[] =>
  counts.map((count, i) => (i === place ? count + 1 : count));

/** What an event adds to the totals. */
function withEvent(totals: InsightTotals, record: Insight): InsightTotals {
  const { event, bytes, segments, srttUs, cwnd } = record;
  const counted = { ...totals, events: raised(totals.events, event) };
  switch (EVENT_NAMES[event]) {
    case 'SEND':
      return { ...counted, bytesSent: counted.bytesSent + bytes };
    case 'RECEIVE':
      return { ...counted, bytesReceived: counted.bytesReceived + bytes };
    case 'RETRANSMIT':
      return {
        ...counted,
        segmentsRetransmitted: counted.segmentsRetransmitted + segments,
      };
    case 'RTT_UPDATE': {
      const us = srttUs >>> SRTT_SHIFT;
      return {
        ...counted,
        rttUs: counted.rttUs + us,
        cwnd: counted.cwnd + cwnd,
        rtt: raised(counted.rtt, bucketOfRtt(us)),
      };
    }
    default:
      return counted;
  }
}

/** Adds up the events that the kernel has not counted. */
export class LateInsight {
  #totals = decodeInsightTotals(new DataView(new ArrayBuffer(INSIGHT_TOTALS.size)), 0);

  add(record: Insight): void {
    this.#totals = withEvent(this.#totals, record);
  }

  /** The kernel's totals and these. */
  addedTo(kernel: InsightTotals): InsightTotals {
    const late = this.#totals;
    const sums = (some: readonly number[], others: readonly number[]): readonly number[] =>
      some.map((count, i) => count + (others[i] ?? 0));
    return {
      events: sums(kernel.events, late.events),
      bytesSent: kernel.bytesSent + late.bytesSent,
      bytesReceived: kernel.bytesReceived + late.bytesReceived,
      segmentsRetransmitted: kernel.segmentsRetransmitted + late.segmentsRetransmitted,
      rttUs: kernel.rttUs + late.rttUs,
      cwnd: kernel.cwnd + late.cwnd,
      rtt: sums(kernel.rtt, late.rtt),
    };
  }
}
