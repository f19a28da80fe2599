/**
 * Source `congestion`: how long connections are in each state of congestion control. Kernel side:
 * bpf/congestion.bpf.c.
 */
import { CONGESTION_STATES, type CongestionState } from './tcp-states.js';
import {
  CA_TOTALS,
  decodeCaTotals,
  decodeCongestionFlow,
  decodeCongestionTimes,
  CONGESTION_TIMES,
  RODATA,
  type CaTotals,
  type CongestionFlow,
  type CongestionTimes,
} from '../generated/congestion.js';
import { hasSocketStorage, hasTracepoint } from '../kernel/kernel-btf.js';
import { sumPerCpu } from '../kernel/map.js';
import { kernelFacts, u32 } from '../kernel/rodata.js';
import { openCounts, type Attached, type SourceSpec } from '../kernel/source.js';
import { SwappedMap } from '../kernel/swapped-map.js';
import type { CountingSource } from './counting.js';
import { encodeFilter, type Filter } from './filter.js';
import { Growth } from './growth.js';
import { IntervalCounts } from './interval-counts.js';
import { isOwnerProgramWanted, OWNER_GAINS, seedOwners } from './owners.js';
import type { SourcePlan } from './plan.js';

export interface CongestionOptions {
  readonly filter: Filter;
  /** Nanoseconds that make a unit of the histograms. */
  readonly unitNs: number;
}

/** A connection: times by state, as CONGESTION_STATES; only visits that have ended count. */
export type FlowCounts = CongestionFlow & CongestionTimes;

/** All visits of a state that have ended; the buckets are those of src/terminal/histogram.ts. */
export interface StateCounts extends CaTotals {
  readonly state: CongestionState;
  readonly visits: number;
}

export interface CongestionCounts {
  readonly flows: readonly FlowCounts[];
  readonly states: readonly StateCounts[];
}

/** It tells of changes at once; without it, with the next segment. */
const TRACEPOINT = 'tcp_cong_state_set';

function specOf({ filter, unitNs }: CongestionOptions): SourceSpec {
  const instead = hasTracepoint(TRACEPOINT) ? 'tcp_probe' : TRACEPOINT;
  return {
    name: 'congestion',
    rodata: [
      [RODATA.nw_filter, encodeFilter(filter)],
      ...kernelFacts(RODATA),
      [RODATA.nw_unit_ns, u32(unitNs)],
    ],
    mapSizes: new Map(hasSocketStorage() ? [['congestion_table', 1] as const] : []),
    wants: (program) =>
      program in OWNER_GAINS ? isOwnerProgramWanted(program, filter) : program !== instead,
    essential: (program) => program === TRACEPOINT || program === 'tcp_probe',
  };
}

/** As a tool opens it that is asked for all it can. */
export function trial(filter: Filter): SourceSpec {
  return specOf({ filter, unitNs: 1000 });
}

/** For `netwatch doctor`. */
export const PLAN: SourcePlan = {
  spec: () => null,
  programs: {
    [TRACEPOINT]: { gives: 'changes of state at once', since: '5.19' },
    tcp_probe: { gives: 'changes of state, with the next segment' },
    inet_sock_set_state: { gives: 'how long the first and the last state lasted' },
    ...OWNER_GAINS,
  },
  features: [],
};

const sumOfStates = (a: CongestionTimes, b: CongestionTimes): CongestionTimes => ({
  timeNs: a.timeNs.map((ns, i) => ns + (b.timeNs[i] ?? 0)),
  changes: a.changes + b.changes,
});

const minus = (a: StateCounts, b: StateCounts): StateCounts => ({
  ...a,
  timeNs: a.timeNs - b.timeNs,
  visits: a.visits - b.visits,
  buckets: a.buckets.map((count, i) => count - (b.buckets[i] ?? 0)),
});

export class CongestionSource implements CountingSource<CongestionCounts> {
  readonly source: Attached;
  readonly #flows: IntervalCounts<CongestionFlow, CongestionTimes>;
  readonly #growth = new Growth(minus);

  /** Throws NetwatchError if the kernel does not let us. */
  constructor(options: CongestionOptions) {
    this.source = openCounts(specOf(options));
    seedOwners(this.source);
    this.#flows = new IntervalCounts(new SwappedMap(this.source, 'flows', CONGESTION_TIMES.size), {
      key: (view) => decodeCongestionFlow(view, 0),
      value: (view) => decodeCongestionTimes(view, 0),
      sum: sumOfStates,
    });
  }

  /** Sums since the start, of every state. */
  totals(): readonly StateCounts[] {
    const map = this.source.map('congest_totals', CA_TOTALS.size);
    return CONGESTION_STATES.map((state, i) => {
      const totals = decodeCaTotals(sumPerCpu(map, i), 0);
      return { state, visits: totals.buckets.reduce((sum, count) => sum + count, 0), ...totals };
    });
  }

  take(): CongestionCounts {
    this.#flows.collect(() => undefined);
    return {
      flows: this.#flows.take().map(({ key, value }) => ({ ...key, ...value })),
      states: this.#growth.of(this.totals()),
    };
  }

  lost(): number {
    return this.#flows.lost;
  }

  finish(): void {
    this.source.detach();
  }
}
