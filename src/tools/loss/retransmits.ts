/** The source insight with retransmissions alone, counted by flow. */
import { maskOf } from '../../sources/insight-events.js';
import type { Filter } from '../../sources/filter.js';
import { InsightSource, onlyEvents } from '../../sources/insight.js';
import { FlowCounts } from './flows.js';

const RING_BYTES = 1 << 22;

export class RetransmitSource extends InsightSource {
  readonly flows = new FlowCounts();

  constructor(filter: Filter) {
    super(onlyEvents(maskOf(['RETRANSMIT']), filter, RING_BYTES));
  }
}
