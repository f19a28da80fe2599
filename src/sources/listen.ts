/** Source `listen`: calls of listen() on TCP sockets. Kernel side: bpf/listen.bpf.c. */
import { kernelFacts } from '../kernel/rodata.js';
import { decodeListen, RODATA, type Listen } from '../generated/listen.js';
import { openSource, type Source, type SourceSpec } from '../kernel/source.js';
import { encodeFilter, type Filter } from './filter.js';
import type { LiveSource } from './live.js';
import { TRIAL_RING_BYTES, type SourcePlan } from './plan.js';

export type ListenRecord = Listen;

const BATCH = 128;

function specOf(filter: Filter, ringBytes: number): SourceSpec {
  return {
    name: 'listen',
    rodata: [[RODATA.nw_filter, encodeFilter(filter)], ...kernelFacts(RODATA)],
    mapSizes: new Map([['events', ringBytes]]),
    essential: () => true,
  };
}

const CALLS = { gives: 'calls of listen()' };

/** As a tool opens it that is asked for all it can. */
export function trial(filter: Filter): SourceSpec {
  return specOf(filter, TRIAL_RING_BYTES);
}

/** For `netwatch doctor`. */
export const PLAN: SourcePlan = {
  spec: () => null,
  programs: { sys_enter_listen: CALLS, sys_exit_listen: CALLS },
  features: [],
};

export class ListenSource implements LiveSource<ListenRecord> {
  readonly source: Source;
  readonly #places = new Int32Array(BATCH);

  constructor(filter: Filter, ringBytes: number) {
    this.source = openSource(specOf(filter, ringBytes));
  }

  drain(take: (record: ListenRecord) => void): number {
    return this.source.ring.drain(this.#places, (view, places, count) => {
      for (let i = 0; i < count; i++) take(decodeListen(view, places[i] ?? 0));
    });
  }

  finish(): void {
    this.source.detach();
  }
}
