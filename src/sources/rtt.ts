/**
 * Source `rtt`: smoothed round-trip times at every segment that arrives on an established
 * connection. Kernel side: bpf/rtt.bpf.c.
 */
import {
  decodeHistogram,
  decodeRtt,
  decodeRttKey,
  HISTOGRAM,
  RODATA,
  RTT,
  RTT_BY,
  type Histogram,
  type Rtt,
  type RttKey,
} from '../generated/rtt.js';
import { sumPerCpu } from '../kernel/map.js';
import { kernelFacts, u32 } from '../kernel/rodata.js';
import { openCounts, type Attached, type SourceSpec } from '../kernel/source.js';
import { SwappedMap } from '../kernel/swapped-map.js';
import type { CountingSource } from './counting.js';
import { encodeFilter, type Filter } from './filter.js';
import { IntervalCounts } from './interval-counts.js';
import { isOwnerProgramWanted, OWNER_GAINS, seedOwners } from './owners.js';
import type { SourcePlan } from './plan.js';

/** Whose round-trip times are counted apart. */
export type RttBy = 'nothing' | 'local' | 'peer';
export type RttUnit = 'usecs' | 'msecs';

export interface RttOptions {
  readonly filter: Filter;
  readonly by: RttBy;
  readonly unit: RttUnit;
}

/** Round-trip times by bucket, see src/terminal/histogram.ts, in the unit asked for. */
export interface RttSums extends Rtt {
  readonly count: number;
}

/** The round-trip times of one address, or of all. */
export interface RttCounts extends RttSums {
  /** Null: all. */
  readonly address: string | null;
}

const BY: Readonly<Record<RttBy, number>> = {
  nothing: RTT_BY.NW_RTT_BY_NOTHING,
  local: RTT_BY.NW_RTT_BY_LOCAL,
  peer: RTT_BY.NW_RTT_BY_PEER,
};

const US_PER_UNIT: Readonly<Record<RttUnit, number>> = { usecs: 1, msecs: 1000 };

function specOf({ filter, by, unit }: RttOptions): SourceSpec {
  return {
    name: 'rtt',
    rodata: [
      [RODATA.nw_filter, encodeFilter(filter)],
      ...kernelFacts(RODATA),
      [RODATA.nw_rtt_by, u32(BY[by])],
      [RODATA.nw_us_per_unit, u32(US_PER_UNIT[unit])],
    ],
    mapSizes: new Map(),
    wants: (program) => program === 'tcp_probe' || isOwnerProgramWanted(program, filter),
    essential: (program) => program === 'tcp_probe',
  };
}

/** As a tool opens it that is asked for all it can. */
export function trial(filter: Filter): SourceSpec {
  return specOf({ filter, by: 'peer', unit: 'usecs' });
}

/** For `netwatch doctor`. */
export const PLAN: SourcePlan = {
  spec: () => null,
  programs: {
    tcp_probe: { gives: 'the round-trip times' },
    inet_sock_set_state: { gives: 'the process of a connection', options: ['cgroup'] },
    ...OWNER_GAINS,
  },
  features: [],
};

/** The counts of two times of one interval as one. */
export function sumOfRtts(a: RttSums, b: RttSums): RttSums {
  return {
    buckets: a.buckets.map((count, i) => count + (b.buckets[i] ?? 0)),
    sumUs: a.sumUs + b.sumUs,
    count: a.count + b.count,
  };
}

function decodeSums(view: DataView): RttSums {
  const rtt = decodeRtt(view, 0);
  return { ...rtt, count: rtt.buckets.reduce((sum, count) => sum + count, 0) };
}

export class RttSource implements CountingSource<readonly RttCounts[]> {
  readonly source: Attached;
  readonly #by: RttBy;
  readonly #counts: IntervalCounts<RttKey, RttSums>;

  /** Throws NetwatchError if the kernel does not let us. */
  constructor(options: RttOptions) {
    this.#by = options.by;
    this.source = openCounts(specOf(options));
    seedOwners(this.source);
    this.#counts = new IntervalCounts(new SwappedMap(this.source, 'rtts', RTT.size), {
      key: (view) => decodeRttKey(view, 0),
      value: decodeSums,
      sum: sumOfRtts,
    });
  }

  take(): readonly RttCounts[] {
    this.#counts.collect(() => undefined);
    const all = this.#counts.take();
    if (this.#by !== 'nothing')
      return all.map(({ key, value }) => ({ address: key.addr, ...value }));
    // the kernel counts those of each CPU apart
    const [first, ...others] = all.map(({ value }) => value);
    return first === undefined ? [] : [{ address: null, ...others.reduce(sumOfRtts, first) }];
  }

  /** All since the start: microseconds, with bounds as in src/metrics/histogram.ts. */
  totals(): Histogram {
    return decodeHistogram(sumPerCpu(this.source.map('rtt_totals', HISTOGRAM.size)), 0);
  }

  lost(): number {
    return this.#counts.lost;
  }

  finish(): void {
    this.source.detach();
  }
}
