/**
 * Source `insight`: fifteen kinds of TCP event, filtered and counted in the kernel. Kernel side:
 * bpf/insight.bpf.c.
 */
import {
  decodeInsight,
  decodeInsightTotals,
  INSIGHT,
  INSIGHT_FILTER,
  RODATA,
  type Insight,
  type InsightTotals,
} from '../generated/insight.js';
import { maskOf } from './insight-events.js';
import { LateInsight } from './insight-totals.js';
import { isWanted, type KernelHas } from './insight-probes.js';
import { listNamespaces } from '../kernel/host.js';
import { readIterator } from '../kernel/iterator.js';
import { hasSocketStorage, hasTracepoint, tracepointArguments } from '../kernel/kernel-btf.js';
import { jiffiesPerSecond } from '../kernel/kernel-config.js';
import { sumPerCpu } from '../kernel/map.js';
import { flag, kernelFacts } from '../kernel/rodata.js';
import { openSource, type Source, type SourceSpec } from '../kernel/source.js';
import { resetReasons } from './drop-reasons.js';
import { encodeFilter, type Filter } from './filter.js';
import { LateRecords } from './late-records.js';
import type { LiveSource } from './live.js';
import { acceptGains, isAcceptProgramWanted, OWNER_GAINS, seedOwners } from './owners.js';
import { argumentFeature, has, TRIAL_RING_BYTES, type SourcePlan } from './plan.js';
import { takenGains, transferGains, transferHooks, transferNotes } from './transfers.js';

export type { InsightTotals } from '../generated/insight.js';

export type InsightRecord = Insight;

/** What numbers in the records mean on this kernel. */
export interface KernelNames {
  /** Why a reset was sent, by number; null where the kernel does not tell. */
  readonly resetReasons: ReadonlyMap<number, string> | null;
  /** Null where the kernel's configuration cannot be read. */
  readonly msPerJiffy: number | null;
}

/** Inclusive; null: no limit. */
export interface Range {
  readonly min: number | null;
  readonly max: number | null;
}

export interface InsightOptions {
  readonly filter: Filter;
  /** Mask of events. */
  readonly events: number;
  /** The kernel's number of a state; 0 for any. */
  readonly state: number;
  readonly durationMs: Range;
  readonly bytes: Range;
  readonly rttUs: Range;
  /** Also count the connections that are open at the end. */
  readonly statistics: boolean;
  readonly ringBytes: number;
}

/** Few enough to be garbage while they are young. */
const BATCH = 512;
const NS_PER_MS = 1_000_000;
const MAX_U64 = (1n << 64n) - 1n;
const MAX_U32 = 0xffff_ffff;
/** Counts what is open at the end; no event needs it. */
const OPEN_CONNECTIONS = 'open_connections';
const OPEN_CONNECTION_BYTES = 8;

const RESET_REASON = argumentFeature(['tcp_send_reset', 'reason', 3], {
  gives: 'the reasons of resets that are sent',
  since: '6.10',
});
/** It tells of attempts that failed too, which are then left out. */
const RETRANSMIT_ERROR_ARGUMENTS = 3;

function kernelHas(): KernelHas {
  return {
    transfers: transferHooks(),
    congestionStates: hasTracepoint('tcp_cong_state_set'),
    socketStorage: hasSocketStorage(),
  };
}

const isAsked = ({ min, max }: Range): boolean => min !== null || max !== null;

/** The options as struct nw_insight_filter. */
function encodeInsightFilter(options: InsightOptions): Uint8Array {
  const { events, state, durationMs, bytes, rttUs } = options;
  const { at, size } = INSIGHT_FILTER;
  const view = new DataView(new ArrayBuffer(size));
  const u64 = (place: number, value: number | null, unit: number, none: bigint): void => {
    view.setBigUint64(place, value === null ? none : BigInt(Math.round(value * unit)), true);
  };
  u64(at.minAgeNs, durationMs.min, NS_PER_MS, 0n);
  u64(at.maxAgeNs, durationMs.max, NS_PER_MS, MAX_U64);
  u64(at.minBytes, bytes.min, 1, 0n);
  u64(at.maxBytes, bytes.max, 1, MAX_U64);
  view.setUint32(at.minRttUs, rttUs.min ?? 0, true);
  view.setUint32(at.maxRttUs, rttUs.max ?? MAX_U32, true);
  view.setUint32(at.events, events, true);
  view.setUint32(at.state, state, true);
  view.setUint32(at.ageAsked, Number(isAsked(durationMs)), true);
  view.setUint32(at.bytesAsked, Number(isAsked(bytes)), true);
  view.setUint32(at.rttAsked, Number(isAsked(rttUs)), true);
  return new Uint8Array(view.buffer);
}

function specOf(options: InsightOptions): SourceSpec {
  const kernel = kernelHas();
  const { events, statistics, filter, ringBytes } = options;
  return {
    name: 'insight',
    rodata: [
      [RODATA.nw_filter, encodeFilter(filter)],
      ...kernelFacts(RODATA),
      [RODATA.nw_insight_filter, encodeInsightFilter(options)],
      [RODATA.nw_has_cong_state, flag(kernel.congestionStates)],
      [RODATA.nw_has_reset_reason, flag(has(RESET_REASON))],
      [
        RODATA.nw_has_retransmit_error,
        flag(tracepointArguments('tcp_retransmit_skb') >= RETRANSMIT_ERROR_ARGUMENTS),
      ],
    ],
    mapSizes: new Map([
      ['events', ringBytes],
      ...(kernel.socketStorage ? [['insight_seen_table', 1] as const] : []),
    ]),
    wants: (program) =>
      program === OPEN_CONNECTIONS
        ? statistics
        : isAcceptProgramWanted(program) && isWanted(program, events, kernel),
    essential: (program) => program === 'inet_sock_set_state',
  };
}

const ANY: Range = { min: null, max: null };

/** Some of the events, with no filter by value. */
export function onlyEvents(events: number, filter: Filter, ringBytes: number): InsightOptions {
  return {
    filter,
    events,
    state: 0,
    durationMs: ANY,
    bytes: ANY,
    rttUs: ANY,
    statistics: false,
    ringBytes,
  };
}

/** As a tool opens it that is asked for all it can. */
export function trial(
  filter: Filter,
  { events, statistics }: Pick<InsightOptions, 'events' | 'statistics'>,
): SourceSpec {
  return specOf({ ...onlyEvents(events, filter, TRIAL_RING_BYTES), statistics });
}

/** For `netwatch doctor`. */
export const PLAN: SourcePlan = {
  spec: () => null,
  programs: {
    inet_sock_set_state: { gives: 'the events CONNECT and CLOSE' },
    ...OWNER_GAINS,
    ...acceptGains('the event ACCEPT'),
    ...transferGains('the event SEND', 'the event RECEIVE'),
    ...takenGains('the event RECEIVE of data'),
    tcp_retransmit_skb: { gives: 'the event RETRANSMIT' },
    tcp_retransmit_synack: { gives: 'SYN-ACKs that are sent again' },
    tcp_send_reset: { gives: 'the event RESET for those that are sent' },
    tcp_receive_reset: { gives: 'the event RESET for those that are received' },
    tcp_probe: { gives: 'changes of window, round-trip time and phase' },
    tcp_rcv_space_adjust: { gives: 'the event WINDOW_UPDATE as the application reads' },
    tcp_cong_state_set: { gives: 'the moment of FAST_RECOVERY', since: '5.19' },
    [OPEN_CONNECTIONS]: { gives: 'the number of connections that are open at the end' },
  },
  features: [RESET_REASON],
};

/** Null where the kernel does not say how long a jiffy is. */
function msPerJiffy(): number | null {
  const hz = jiffiesPerSecond();
  return hz === null ? null : 1000 / hz;
}

export class InsightSource implements LiveSource<InsightRecord> {
  readonly source: Source;
  readonly notes: readonly string[];
  /** Mask of those that are watched. */
  readonly events: number;
  readonly #filter: Filter;
  readonly names: KernelNames = {
    resetReasons: has(RESET_REASON) ? resetReasons() : null,
    msPerJiffy: msPerJiffy(),
  };
  readonly #places = new Int32Array(BATCH);
  readonly #records = new LateRecords(INSIGHT, decodeInsight);
  readonly #late = new LateInsight();
  #active: number | null = null;
  #finished = false;

  constructor(options: InsightOptions) {
    this.#filter = options.filter;
    this.events = options.events;
    this.notes =
      (options.events & maskOf(['SEND', 'RECEIVE'])) === 0 ? [] : transferNotes(transferHooks());
    this.source = openSource(specOf(options));
    seedOwners(this.source);
  }

  #isAttached(name: string): boolean {
    return this.source.programs.some(({ program, attached }) => program === name && attached);
  }

  /** Hands over what happened since the last call, a batch at most; returns how much it was. */
  drain(take: (record: InsightRecord) => void): number {
    const takeLate = (record: InsightRecord): void => {
      this.#late.add(record);
      take(record);
    };
    const taken = this.source.ring.drain(this.#places, (view, places, count) => {
      for (let i = 0; i < count; i++) this.#records.read(view, places[i] ?? 0, take, takeLate);
    });
    this.#records.giveUp(taken === 0 && this.#finished, takeLate);
    return taken;
  }

  totals(): InsightTotals {
    return this.#late.addedTo(decodeInsightTotals(sumPerCpu(this.source.map('insight_totals')), 0));
  }

  /** Connections that were open at the end and pass the filter; null if they were not counted. */
  get active(): number | null {
    return this.#active;
  }

  finish(): void {
    this.#active = this.#openConnections();
    this.source.detach();
    this.#finished = true;
  }

  #openConnections(): number | null {
    if (!this.#isAttached(OPEN_CONNECTIONS)) return null;
    const link = this.source.object.linkFd(OPEN_CONNECTIONS);
    const wanted = new Set(this.#filter.namespaces);
    let count = 0;
    for (const [inode, path] of listNamespaces()) {
      if (wanted.size > 0 && !wanted.has(inode)) continue;
      try {
        count += readIterator(link, path, OPEN_CONNECTION_BYTES, () => undefined);
      } catch {
        // a namespace may have gone meanwhile, and its connections with it
      }
    }
    return count;
  }
}
