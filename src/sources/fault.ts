/**
 * Source `fault`: drops and resets with the kernel's own reasons. Kernel side:
 * bpf/fault.bpf.c.
 */
import type { ConnectionOwner } from '../generated/connection.js';
import {
  decodeFault,
  decodeFaultKey,
  FAULT,
  KIND,
  RODATA,
  type Fault,
} from '../generated/fault.js';
import { encodeJiffies } from '../kernel/kernel-config.js';
import { readHash } from '../kernel/map.js';
import { readU64 } from '../kernel/read.js';
import { flag, kernelFacts, u32 } from '../kernel/rodata.js';
import { openSource, type Source, type SourceSpec } from '../kernel/source.js';
import { ipVersion } from './address-family.js';
import {
  dropReasons,
  KFREE_SKB_REASON,
  KFREE_SKB_SOCKET,
  NO_REASON,
  reasonNumber,
  resetReasons,
} from './drop-reasons.js';
import { encodeFilter, type Filter } from './filter.js';
import { isUnjudgedIn, KeptRecords } from './kept-records.js';
import { argumentFeature, has, type SourcePlan } from './plan.js';
import { encodeLoss, TRIAL_RING, type RingOptions } from './ring-options.js';

export interface FaultRecord {
  readonly kind: 'drop' | 'reset';
  readonly tsNs: number;
  readonly netns: number;
  readonly sock: number;
  /** Of the socket's owner; 0: not known. */
  readonly pid: number;
  readonly comm: string;
  readonly cgroup: number;
  readonly localAddr: string;
  readonly localPort: number;
  readonly peerAddr: string;
  readonly peerPort: number;
  readonly seq: number;
  readonly ack: number;
  readonly received: boolean;
  /** The kernel's name for it: `TCP_INVALID_SEQUENCE`, `NO_SOCKET`. */
  readonly reason: string;
}

export interface FaultTotal {
  /** Keepalive probes are counted and have no record: nothing was wrong. */
  readonly kind: 'drop' | 'reset' | 'keepalive';
  readonly reason: string;
  readonly family: 4 | 6;
  readonly received: boolean;
  readonly count: number;
}

type Labelled = Pick<Fault, 'kind' | 'reason' | 'family' | 'rx'>;

const keyOf = ({ kind, reason, family, received }: Omit<FaultTotal, 'count'>): string =>
  `${kind} ${reason} ${family} ${received}`;

function nameOf(kind: number): FaultTotal['kind'] {
  if (kind === KIND.NW_KIND_KEEPALIVE) return 'keepalive';
  return kind === KIND.NW_KIND_RESET ? 'reset' : 'drop';
}

const BATCH = 4096;

/** A segment that found an accept queue full; the kernel's own name for it, where it has one. */
const OVERFLOW = 'TCP_LISTEN_OVERFLOW';
/** Its number where the kernel (before 6.14) has none: beyond all of its own. */
const OVERFLOW_NUMBER = NO_REASON - 1;

const overflowNumber = (): number => reasonNumber(OVERFLOW) || OVERFLOW_NUMBER;

const DROP_REASON = argumentFeature(['kfree_skb', 'reason', KFREE_SKB_REASON], {
  gives: 'drops for any other reason than a bad checksum',
  since: '5.17',
  options: ['err'],
});
const DROP_SOCKET = argumentFeature(['kfree_skb', 'socket', KFREE_SKB_SOCKET], {
  gives: 'the socket of a drop, and drops in a filter by process',
  since: '6.11',
  options: ['err'],
});
/** Arguments of tcp_send_reset: sk, skb, then reason. */
const RESET_REASON = argumentFeature(['tcp_send_reset', 'reason', 3], {
  gives: 'the reasons of resets that are sent',
  since: '6.10',
  options: ['err'],
});

function specOf(filter: Filter, ring: RingOptions): SourceSpec {
  const instead = has(DROP_REASON) ? 'tcp_bad_csum' : 'kfree_skb';
  const purge = reasonNumber('QUEUE_PURGE');
  return {
    name: 'fault',
    rodata: [
      [RODATA.nw_filter, encodeFilter(filter)],
      ...kernelFacts(RODATA),
      [RODATA.nw_lose_every, encodeLoss(ring)],
      [RODATA.nw_has_drop_reason, flag(has(DROP_REASON))],
      [RODATA.nw_has_drop_socket, flag(has(DROP_SOCKET))],
      [RODATA.nw_purge_reason, u32(purge)],
      [RODATA.nw_old_sequence, u32(reasonNumber('TCP_OLD_SEQUENCE'))],
      [RODATA.nw_no_socket_reason, u32(reasonNumber('NO_SOCKET') || NO_REASON)],
      [RODATA.nw_overflow_reason, u32(overflowNumber())],
      [RODATA.nw_overflow_hz, encodeJiffies()],
      [RODATA.nw_has_reset_reason, flag(has(RESET_REASON))],
    ],
    mapSizes: new Map([['events', ring.bytes]]),
    wants: (program) => program !== instead,
    essential: () => false,
  };
}

/** For `netwatch doctor`. */
export const PLAN: SourcePlan = {
  spec: ({ filter, err }) => (err ? specOf(filter, TRIAL_RING) : null),
  programs: {
    kfree_skb: { gives: 'drops', since: '5.17' },
    tcp_bad_csum: { gives: 'drops for a bad checksum', since: '5.14' },
    listener_ingress: { gives: 'connections for which a listening socket has no room' },
    tcp_send_reset: { gives: 'resets that are sent' },
    tcp_receive_reset: { gives: 'resets that are received' },
  },
  features: [DROP_REASON, DROP_SOCKET, RESET_REASON],
};

export class FaultSource {
  readonly source: Source;
  /** Of connections that nobody has accepted yet. */
  readonly #kept = new KeptRecords(
    FAULT,
    (view, at) => this.#released.push(decodeFault(view, at)),
    () => {
      this.source.ring.takeBack(1);
    },
  );
  /** That turned out to count since the last drain. */
  readonly #released: Fault[] = [];
  /** How often, by kind, reason, family and direction: the kernel has not counted them. */
  readonly #late = new Map<string, FaultTotal>();
  readonly #dropReasons = dropReasons();
  readonly #resetReasons = resetReasons();
  readonly #hasDropReason = has(DROP_REASON);
  readonly #overflowNumber = overflowNumber();
  readonly #places = new Int32Array(BATCH);

  constructor(filter: Filter, ring: RingOptions) {
    this.source = openSource(specOf(filter, ring));
  }

  #reason(kind: FaultTotal['kind'], reason: number): string {
    if (kind === 'drop' && reason === this.#overflowNumber) return OVERFLOW;
    if (kind !== 'reset')
      return this.#hasDropReason ? (this.#dropReasons.get(reason) ?? `${reason}`) : 'TCP_CSUM';
    return this.#resetReasons.get(reason) ?? `${reason}`;
  }

  #label({ kind, reason, family, rx }: Labelled): Omit<FaultTotal, 'count'> {
    const name = nameOf(kind);
    return {
      kind: name,
      reason: this.#reason(name, reason),
      family: ipVersion(family),
      received: rx === 1,
    };
  }

  #recordOf(wire: Fault): FaultRecord {
    const { reason, received } = this.#label(wire);
    return { ...wire, kind: wire.kind === KIND.NW_KIND_RESET ? 'reset' : 'drop', reason, received };
  }

  /** Hands over what has happened since, and what has turned out to count; returns what was read. */
  drain(take: (record: FaultRecord) => void): number {
    const taken = this.source.ring.drain(this.#places, (view, places, count) => {
      for (let i = 0; i < count; i++) {
        const at = places[i] ?? 0;
        if (isUnjudgedIn(FAULT, view, at)) this.#kept.keep(view, at);
        else take(this.#recordOf(decodeFault(view, at)));
      }
    });
    this.#kept.expire();
    for (const wire of this.#released.splice(0)) {
      this.#countLate(wire);
      take(this.#recordOf(wire));
    }
    return taken;
  }

  /** It shows whose a connection is. */
  judge(owner: ConnectionOwner): void {
    this.#kept.judge(owner);
  }

  /** Nobody will accept any more: what was kept is its listener's, for the next drain. */
  finish(): void {
    this.#kept.finish();
  }

  #countLate(wire: Fault): void {
    const label = this.#label(wire);
    const key = keyOf(label);
    this.#late.set(key, { ...label, count: 1 + (this.#late.get(key)?.count ?? 0) });
  }

  totals(): FaultTotal[] {
    const totals = new Map(this.#late);
    for (const [key, value] of readHash(this.source.map('fault_totals', 8), true).values()) {
      const label = this.#label(decodeFaultKey(key, 0));
      const late = this.#late.get(keyOf(label))?.count ?? 0;
      totals.set(keyOf(label), { ...label, count: late + readU64(value, 0) });
    }
    return [...totals.values()];
  }
}
