/**
 * Source `synbl`: how many connections wait for accept() when another one comes. Kernel side:
 * bpf/synbl.bpf.c.
 */
import {
  BACKLOG,
  decodeBacklog,
  decodeBacklogKey,
  RODATA,
  type Backlog,
  type BacklogKey,
} from '../generated/synbl.js';
import { encodeJiffies } from '../kernel/kernel-config.js';
import { kernelFacts } from '../kernel/rodata.js';
import { openCounts, type Attached, type SourceSpec } from '../kernel/source.js';
import { SwappedMap } from '../kernel/swapped-map.js';
import type { CountingSource } from './counting.js';
import { encodeFilter, type Filter } from './filter.js';
import { IntervalCounts } from './interval-counts.js';
import { isOwnerProgramWanted, OWNER_GAINS, seedOwners } from './owners.js';
import type { SourcePlan } from './plan.js';

/** What the listening sockets of one limit had in their queues. */
export type BacklogCounts = BacklogKey & Backlog;

function specOf(filter: Filter): SourceSpec {
  return {
    name: 'synbl',
    rodata: [
      [RODATA.nw_filter, encodeFilter(filter)],
      ...kernelFacts(RODATA),
      [RODATA.nw_overflow_hz, encodeJiffies()],
    ],
    mapSizes: new Map(),
    wants: (program) => !(program in OWNER_GAINS) || isOwnerProgramWanted(program, filter),
    essential: (program) => program === 'inet_sock_set_state',
  };
}

/** As a tool opens it that is asked for all it can. */
export function trial(filter: Filter): SourceSpec {
  return specOf(filter);
}

/** For `netwatch doctor`. */
export const PLAN: SourcePlan = {
  spec: () => null,
  programs: {
    inet_sock_set_state: { gives: 'the length of the queue that a connection finds' },
    listener_ingress: { gives: 'connections that find the queue full' },
    ...OWNER_GAINS,
  },
  features: [],
};

function sumOfBacklogs(a: Backlog, b: Backlog): Backlog {
  const buckets = a.buckets.map((count, i) => count + (b.buckets[i] ?? 0));
  return { buckets, sum: a.sum + b.sum };
}

export class SynblSource implements CountingSource<readonly BacklogCounts[]> {
  readonly source: Attached;
  readonly #counts: IntervalCounts<BacklogKey, Backlog>;
  readonly #byLimit = new Map<number, Backlog>();

  /** Throws NetwatchError if the kernel does not let us. */
  constructor(filter: Filter) {
    this.source = openCounts(specOf(filter));
    seedOwners(this.source);
    this.#counts = new IntervalCounts(new SwappedMap(this.source, 'backlogs', BACKLOG.size), {
      key: (view) => decodeBacklogKey(view, 0),
      value: (view) => decodeBacklog(view, 0),
      sum: sumOfBacklogs,
    });
  }

  #collect(): void {
    this.#counts.collect(({ limit }, backlog) => {
      const before = this.#byLimit.get(limit);
      this.#byLimit.set(limit, before === undefined ? backlog : sumOfBacklogs(before, backlog));
    });
  }

  /** The smallest limit first. */
  take(): readonly BacklogCounts[] {
    this.#collect();
    return this.#counts
      .take()
      .map(({ key, value }) => ({ ...key, ...value }))
      .sort((a, b) => a.limit - b.limit);
  }

  /** Sums since the start by limit. */
  totals(): ReadonlyMap<number, Backlog> {
    this.#collect();
    return this.#byLimit;
  }

  lost(): number {
    return this.#counts.lost;
  }

  finish(): void {
    this.source.detach();
  }
}
