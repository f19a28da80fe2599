/**
 * Source `bytes`: payload that processes really sent and received, by process and connection. Kernel
 * side: bpf/bytes.bpf.c.
 */
import { flag, kernelFacts } from '../kernel/rodata.js';
import {
  decodeTraffic,
  decodeTrafficKey,
  RODATA,
  TRAFFIC,
  type Traffic,
  type TrafficKey,
} from '../generated/bytes.js';
import { openCounts, type Attached, type SourceSpec } from '../kernel/source.js';
import { SwappedMap } from '../kernel/swapped-map.js';
import type { CountingSource } from './counting.js';
import { encodeFilter, type Filter } from './filter.js';
import { IntervalCounts } from './interval-counts.js';
import { NO_PINNED_MAPS, pinnedByName, type PinnedMaps } from './pinned.js';
import type { SourcePlan } from './plan.js';
import {
  isEssentialToSend,
  takenGains,
  TAKEN_PROGRAMS,
  transferGains,
  transferHooks,
  transferNotes,
  transferPrograms,
} from './transfers.js';

/** One process and one of its connections. */
export type TrafficRow = TrafficKey & Traffic;

export interface BytesOptions {
  readonly filter: Filter;
  readonly pinned: PinnedMaps;
  /** False: only what was sent. */
  readonly received: boolean;
}

/** Names of processes that are told apart in the sums since the start. */
const MOST_NAMES = 100;
const OTHER_NAMES = 'other';

function specOf({ filter, pinned, received }: BytesOptions): SourceSpec {
  const hooks = transferHooks();
  const wanted = new Set([
    ...transferPrograms('send', hooks),
    ...(received ? [...transferPrograms('receive', hooks), ...TAKEN_PROGRAMS] : []),
  ]);
  return {
    name: 'bytes',
    rodata: [
      [RODATA.nw_filter, encodeFilter(filter)],
      ...kernelFacts(RODATA),
      [RODATA.nw_by_cgroup_map, flag(pinned.cgroups !== null)],
      [RODATA.nw_by_mntns_map, flag(pinned.mountNamespaces !== null)],
    ],
    mapSizes: new Map(),
    pinnedMaps: pinnedByName(pinned),
    wants: (program) => wanted.has(program),
    essential: isEssentialToSend,
  };
}

/** As a tool opens it that is asked for all it can. */
export function trial(filter: Filter, { received }: Pick<BytesOptions, 'received'>): SourceSpec {
  return specOf({ filter, pinned: NO_PINNED_MAPS, received });
}

/** For `netwatch doctor`. */
export const PLAN: SourcePlan = {
  spec: () => null,
  programs: {
    ...transferGains('the bytes that are sent', 'the bytes that are received'),
    ...takenGains('the bytes'),
  },
  features: [],
};

export class BytesSource implements CountingSource<readonly TrafficRow[]> {
  readonly source: Attached;
  readonly notes = transferNotes(transferHooks());
  readonly #counts: IntervalCounts<TrafficKey, Traffic>;
  readonly #byProcess = new Map<string, Traffic>();

  /** Throws NetwatchError if the kernel does not let us. */
  constructor(options: BytesOptions) {
    this.source = openCounts(specOf(options));
    const map = new SwappedMap(this.source, 'traffic', TRAFFIC.size);
    this.#counts = new IntervalCounts(map, {
      key: (view) => decodeTrafficKey(view, 0),
      value: (view) => decodeTraffic(view, 0),
      sum: (a, b) => ({ sent: a.sent + b.sent, received: a.received + b.received }),
    });
  }

  #collect(): void {
    this.#counts.collect(({ comm }, { sent, received }) => {
      const isKnown = this.#byProcess.has(comm) || this.#byProcess.size < MOST_NAMES;
      const name = isKnown ? comm : OTHER_NAMES;
      const before = this.#byProcess.get(name) ?? { sent: 0, received: 0 };
      this.#byProcess.set(name, {
        sent: before.sent + sent,
        received: before.received + received,
      });
    });
  }

  take(): readonly TrafficRow[] {
    this.#collect();
    return this.#counts.take().map(({ key, value }) => ({ ...key, ...value }));
  }

  /** Sums since the start by the name of the process; those of too many names are `other`. */
  totals(): ReadonlyMap<string, Traffic> {
    this.#collect();
    return this.#byProcess;
  }

  lost(): number {
    return this.#counts.lost;
  }

  finish(): void {
    this.source.detach();
  }
}
