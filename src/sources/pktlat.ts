/**
 * Source `pktlat`: how long received data waits for the process that reads it. Kernel side:
 * bpf/pktlat.bpf.c.
 */
import { decodePacketLatency, RODATA, type PacketLatency } from '../generated/pktlat.js';
import { hasSocketStorage } from '../kernel/kernel-btf.js';
import { kernelFacts } from '../kernel/rodata.js';
import { openSource, type Source, type SourceSpec } from '../kernel/source.js';
import { encodeFilter, type Filter } from './filter.js';
import type { LiveSource } from './live.js';
import { TRIAL_RING_BYTES, type SourcePlan } from './plan.js';

export type PacketLatencyRecord = PacketLatency;

export interface PacketLatencyOptions {
  readonly filter: Filter;
  /** Threads; none: any. */
  readonly tids: readonly number[];
  /** Shorter ones are left out. */
  readonly minLatencyUs: number;
  readonly ringBytes: number;
}

/** Few enough to be garbage while they are young. */
const BATCH = 512;
const NS_PER_US = 1000n;

function encodeTids(tids: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(RODATA.nw_tids.size);
  bytes.set(new Uint8Array(Uint32Array.from(tids).buffer));
  return bytes;
}

function specOf(options: PacketLatencyOptions): SourceSpec {
  const { filter, tids, minLatencyUs, ringBytes } = options;
  const hasStorage = hasSocketStorage();
  const minLatencyNs = BigUint64Array.of(BigInt(minLatencyUs) * NS_PER_US);
  return {
    name: 'pktlat',
    rodata: [
      [RODATA.nw_filter, encodeFilter(filter)],
      ...kernelFacts(RODATA),
      [RODATA.nw_min_latency_ns, new Uint8Array(minLatencyNs.buffer)],
      [RODATA.nw_tid_count, Uint8Array.of(tids.length, 0, 0, 0)],
      [RODATA.nw_tids, encodeTids(tids)],
    ],
    mapSizes: new Map([
      ['events', ringBytes],
      ...(hasStorage ? [['unread_table', 1] as const] : []),
    ]),
    wants: (program) => program !== 'forget_socket' || !hasStorage,
    essential: (program) => program !== 'forget_socket',
  };
}

/** As a tool opens it that is asked for all it can. */
export function trial(filter: Filter): SourceSpec {
  return specOf({ filter, tids: [], minLatencyUs: 0, ringBytes: TRIAL_RING_BYTES });
}

/** For `netwatch doctor`. */
export const PLAN: SourcePlan = {
  spec: () => null,
  programs: {
    tcp_probe: { gives: 'the arrival of data' },
    tcp_rcv_space_adjust: { gives: 'the moment at which a process reads it' },
    forget_socket: { gives: 'room for more sockets than 65,536 in all' },
  },
  features: [],
};

export class PacketLatencySource implements LiveSource<PacketLatencyRecord> {
  readonly source: Source;
  readonly #places = new Int32Array(BATCH);

  /** Throws NetwatchError if the kernel does not let us. */
  constructor(options: PacketLatencyOptions) {
    this.source = openSource(specOf(options));
  }

  drain(take: (record: PacketLatencyRecord) => void): number {
    return this.source.ring.drain(this.#places, (view, places, count) => {
      for (let i = 0; i < count; i++) take(decodePacketLatency(view, places[i] ?? 0));
    });
  }

  finish(): void {
    this.source.detach();
  }
}
