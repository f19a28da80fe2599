/**
 * Source `life`: how TCP connections come to be, and how they end. Seven tools show it, each with
 * the events it needs. Kernel side: bpf/life.bpf.c.
 */
import { DnsCache } from '../dns/cache.js';
import {
  decodeConnectionOwner,
  decodeDns,
  decodeLife,
  KIND,
  LIFE,
  LIFE_FILTER,
  MARK,
  RODATA,
  type Life,
} from '../generated/life.js';
import { LIFE_EVENTS, lifeMask, type LifeEvent } from './life-events.js';
import { hasSocketStorage } from '../kernel/kernel-btf.js';
import { flag, kernelFacts } from '../kernel/rodata.js';
import { openSource, type Source, type SourceSpec } from '../kernel/source.js';
import { encodeFilter, NO_FILTER, type Filter } from './filter.js';
import type { LiveSource } from './live.js';
import {
  ACCEPT_PROGRAMS,
  acceptGains,
  isAcceptProgramWanted,
  isUserProgramWanted,
  OWNER_GAINS,
  seedOwners,
  USER_PROGRAMS,
} from './owners.js';
import { NO_PINNED_MAPS, pinnedByName, type PinnedMaps } from './pinned.js';
import { TRIAL_RING_BYTES, type SourcePlan } from './plan.js';

export type LifeRecord = Life;

export interface LifeOptions {
  readonly events: readonly LifeEvent[];
  readonly filter: Filter;
  /** The user of the process; null: any. */
  readonly uid: number | null;
  /** Answers to connect() that took at least so long. */
  readonly minLatencyMs: number;
  readonly pinned: PinnedMaps;
  /** Also listen to name servers, for `LifeSource.names`. */
  readonly names: boolean;
  readonly ringBytes: number;
}

export const ALL_LIFE: LifeOptions = {
  events: LIFE_EVENTS,
  filter: NO_FILTER,
  uid: null,
  minLatencyMs: 0,
  pinned: NO_PINNED_MAPS,
  names: false,
  ringBytes: 1 << 22,
};

/** Connections that are kept at most until they are accepted; then the oldest is its listener's. */
const MAX_KEPT = 16_384;

/** Few enough to be garbage while they are young. */
const BATCH = 512;
const NS_PER_US = 1000;
const US_PER_MS = 1000;

/** The only one that no event needs. */
const NAMES = 'dns_ingress';

/** What connect() does, told with the port that it gets only later. */
const CONNECTED: readonly LifeEvent[] = ['CONNECT', 'STATE'];
const ACCEPTED: readonly LifeEvent[] = ['ACCEPT'];
/** What happens to a socket whose process has to be remembered. */
const OWNED: readonly LifeEvent[] = ['STATE', 'END', 'CLOSE'];
const BY_STATE: readonly LifeEvent[] = [...OWNED, 'CONNECT', 'ESTABLISHED', 'REFUSED'];

/** Which program serves which events; the kernel side has the same table at its head. */
const SERVES: Readonly<Record<string, readonly LifeEvent[]>> = {
  inet_sock_set_state: BY_STATE,
  ...Object.fromEntries(ACCEPT_PROGRAMS.map((program) => [program, [...ACCEPTED, ...OWNED]])),
  user_sends: OWNED,
  user_receives: OWNED,
  user_reads: OWNED,
  sys_exit_connect: CONNECTED,
  tcp_retransmit_skb: CONNECTED,
  forget_socket: BY_STATE,
  task_file: OWNED,
};

/** Whether a program is to be loaded for these events. */
export function servesLife(
  program: string,
  events: readonly LifeEvent[],
  hasStorage: boolean,
): boolean {
  if (program === 'forget_socket' && hasStorage) return false;
  if (USER_PROGRAMS.includes(program) && !isUserProgramWanted(program)) return false;
  if (!isAcceptProgramWanted(program)) return false;
  return SERVES[program]?.some((event) => events.includes(event)) ?? false;
}

/** The options as struct nw_life_filter. */
export function encodeLifeFilter({ events, uid, minLatencyMs }: LifeOptions): Uint8Array {
  const { at, size } = LIFE_FILTER;
  const view = new DataView(new ArrayBuffer(size));
  const minLatencyNs = Math.round(minLatencyMs * US_PER_MS) * NS_PER_US;
  view.setBigUint64(at.minLatencyNs, BigInt(minLatencyNs), true);
  view.setUint32(at.events, lifeMask(events), true);
  view.setUint32(at.uidAsked, Number(uid !== null), true);
  view.setUint32(at.uid, uid ?? 0, true);
  return new Uint8Array(view.buffer);
}

function specOf(options: LifeOptions): SourceSpec {
  const { events, filter, pinned, names, ringBytes } = options;
  const hasStorage = hasSocketStorage();
  const wants = (program: string): boolean =>
    program === NAMES ? names : servesLife(program, events, hasStorage);
  const byState = wants('inet_sock_set_state');
  return {
    name: 'life',
    rodata: [
      [RODATA.nw_filter, encodeFilter(filter)],
      ...kernelFacts(RODATA),
      [RODATA.nw_life_filter, encodeLifeFilter(options)],
      [RODATA.nw_by_cgroup_map, flag(pinned.cgroups !== null)],
      [RODATA.nw_by_mntns_map, flag(pinned.mountNamespaces !== null)],
    ],
    mapSizes: new Map([['events', ringBytes]]),
    wants,
    pinnedMaps: pinnedByName(pinned),
    essential: (program) => program === (byState ? 'inet_sock_set_state' : 'sys_exit_accept4'),
  };
}

/** As a tool opens it that is asked for all it can. */
export function trial(filter: Filter, asked: Partial<LifeOptions>): SourceSpec {
  return specOf({ ...ALL_LIFE, ...asked, filter, ringBytes: TRIAL_RING_BYTES });
}

/** For `netwatch doctor`. */
export const PLAN: SourcePlan = {
  spec: () => null,
  programs: {
    inet_sock_set_state: { gives: 'the life of connections' },
    ...OWNER_GAINS,
    ...acceptGains('the processes that accept connections'),
    sys_exit_connect: { gives: 'connect() at once where it does not wait for the answer' },
    tcp_retransmit_skb: { gives: 'connect() before the answer where it waits for one' },
    [NAMES]: { gives: 'the names in front of connections' },
  },
  features: [],
};

type Task = Pick<Life, 'startNs' | 'pid' | 'uid' | 'comm'>;

const areListeners = ([first]: readonly Life[]): boolean =>
  first !== undefined && (first.marks & MARK.NW_MARK_LISTENER_ALLOWED) !== 0;

export class LifeSource implements LiveSource<LifeRecord> {
  readonly source: Source;
  /** What name servers have said so far. */
  readonly names = new DnsCache();
  readonly #places = new Int32Array(BATCH);
  /** By socket: what happened to connections that nobody has accepted yet. */
  readonly #kept = new Map<number, Life[]>();
  #finished = false;

  constructor(options: LifeOptions) {
    this.source = openSource(specOf(options));
    seedOwners(this.source);
  }

  drain(take: (record: LifeRecord) => void): number {
    const count = this.source.ring.drain(this.#places, (view, places, count) => {
      for (let i = 0; i < count; i++) this.#read(view, places[i] ?? 0, take);
    });
    if (count === 0 && this.#finished)
      for (const [sock, records] of this.#kept) this.#settle(sock, areListeners(records), take);
    return count;
  }

  #read(view: DataView, place: number, take: (record: LifeRecord) => void): void {
    switch (view.getUint32(place + LIFE.at.kind, true)) {
      case KIND.NW_KIND_DNS:
        this.names.take(decodeDns(view, place));
        return;
      case KIND.NW_KIND_CONNECTION_OWNER:
      case KIND.NW_KIND_CONNECTION_UNACCEPTED: {
        const { sock, allowed, startNs, pid, uid, comm } = decodeConnectionOwner(view, place);
        this.#settle(sock, allowed === 1, take, { startNs, pid, uid, comm });
        return;
      }
      default: {
        const record = decodeLife(view, place);
        if ((record.marks & MARK.NW_MARK_UNJUDGED) === 0) take(record);
        else this.#keep(record, take);
      }
    }
  }

  #keep(record: Life, take: (record: LifeRecord) => void): void {
    const { sock } = record;
    const records = this.#kept.get(sock) ?? [];
    records.push(record);
    this.#kept.set(sock, records);
    if (this.#kept.size <= MAX_KEPT) return;
    for (const [oldest, its] of this.#kept) {
      this.#settle(oldest, areListeners(its), take);
      return;
    }
  }

  /** It shows whose a connection is: it has been accepted, or it has ended before. */
  #settle(
    sock: number,
    isAllowed: boolean,
    take: (record: LifeRecord) => void,
    task: Task | null = null,
  ): void {
    const records = this.#kept.get(sock) ?? [];
    this.#kept.delete(sock);
    if (!isAllowed) return;
    for (const record of records) take(task === null ? record : { ...record, ...task });
  }

  finish(): void {
    this.source.detach();
    this.#finished = true;
  }
}
