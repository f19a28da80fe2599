/**
 * Source `softirq`: how often each kind of software interrupt runs, and for how long. Kernel side:
 * bpf/softirq.bpf.c.
 */
import { decodeSoftirq, RODATA, SOFTIRQ, type Softirq } from '../generated/softirq.js';
import { cpuCount, sumPerCpu } from '../kernel/map.js';
import { u32 } from '../kernel/rodata.js';
import { openCounts, type Attached, type SourceSpec } from '../kernel/source.js';
import { NetwatchError } from '../failure.js';
import type { CountingSource } from './counting.js';
import { Growth } from './growth.js';
import type { SourcePlan } from './plan.js';

/** By the kernel's number (enum in linux/interrupt.h), with bcc's names. */
const VECTORS = [
  'hi',
  'timer',
  'net_tx',
  'net_rx',
  'block',
  'irq_poll',
  'tasklet',
  'sched',
  'hrtimer',
  'rcu',
] as const;

export type Vector = (typeof VECTORS)[number];

/** One kind of interrupt; the buckets are those of src/terminal/histogram.ts. */
export interface VectorCounts extends Softirq {
  readonly vector: Vector;
}

export interface SoftirqOptions {
  /** Only on this CPU; null: on all. */
  readonly cpu: number | null;
  /** Nanoseconds that make a unit of the histograms; null: none are wanted. */
  readonly unitNs: number | null;
}

function specOf({ cpu, unitNs }: SoftirqOptions): SourceSpec {
  return {
    name: 'softirq',
    rodata: [
      [RODATA.nw_unit_ns, u32(unitNs ?? 0)],
      [RODATA.nw_has_cpu, Uint8Array.of(cpu === null ? 0 : 1)],
      [RODATA.nw_cpu, u32(cpu ?? 0)],
    ],
    mapSizes: new Map(),
    essential: () => true,
  };
}

/** As a tool opens it that is asked for all it can. */
export function trial(): SourceSpec {
  return specOf({ cpu: 0, unitNs: 1000 });
}

/** For `netwatch doctor`. */
export const PLAN: SourcePlan = {
  spec: () => null,
  programs: {
    softirq_entry: { gives: 'how often software interrupts run' },
    softirq_exit: { gives: 'how long software interrupts take' },
  },
  features: [],
};

const minus = (a: VectorCounts, b: VectorCounts): VectorCounts => ({
  ...a,
  count: a.count - b.count,
  timeNs: a.timeNs - b.timeNs,
  buckets: a.buckets.map((count, i) => count - (b.buckets[i] ?? 0)),
});

export class SoftirqSource implements CountingSource<readonly VectorCounts[]> {
  readonly source: Attached;
  readonly #growth = new Growth(minus);

  /** Throws NetwatchError if there is no such CPU, NetwatchError if the kernel does not let us. */
  constructor(options: SoftirqOptions) {
    if (options.cpu !== null && options.cpu >= cpuCount)
      throw new NetwatchError({
        code: 'usage',
        message: `there is no CPU ${options.cpu}`,
        next: `this machine has CPUs 0 to ${cpuCount - 1}`,
      });
    this.source = openCounts(specOf(options));
  }

  /** Sums since the start, of every kind. */
  totals(): readonly VectorCounts[] {
    const map = this.source.map('softirq_totals', SOFTIRQ.size);
    return VECTORS.map((vector, i) => ({ vector, ...decodeSoftirq(sumPerCpu(map, i), 0) }));
  }

  take(): readonly VectorCounts[] {
    return this.#growth.of(this.totals());
  }

  /** Every interrupt has a place. */
  lost(): number {
    return 0;
  }

  finish(): void {
    this.source.detach();
  }
}
