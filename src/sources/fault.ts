/**
 * Source `fault`: drops and resets with the kernel's own reasons. Kernel side:
 * bpf/fault.bpf.c.
 */
import { decodeFault, decodeFaultKey, KIND, RODATA } from '../generated/fault.js';
import { tracepointArguments } from '../kernel/kernel-btf.js';
import { readHash } from '../kernel/map.js';
import { readU64 } from '../kernel/read.js';
import { openSource, type Source } from '../kernel/source.js';
import {
  dropReasons,
  KFREE_SKB_REASON,
  KFREE_SKB_SOCKET,
  reasonNumber,
  resetReasons,
} from './drop-reasons.js';
import { encodeFilter, type Filter } from './filter.js';

export interface FaultRecord {
  readonly kind: 'drop' | 'reset';
  readonly tsNs: number;
  readonly sock: number;
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
  readonly kind: 'drop' | 'reset';
  readonly reason: string;
  readonly family: 4 | 6;
  readonly received: boolean;
  readonly count: number;
}

const AF_INET6 = 10;
const BATCH = 4096;

const flag = (on: boolean): Uint8Array => Uint8Array.of(on ? 1 : 0);

/** Arguments of tcp_send_reset: sk, skb, then reason (6.10). */
const SEND_RESET_REASON = 3;

export class FaultSource {
  readonly source: Source;
  readonly #dropReasons = dropReasons();
  readonly #resetReasons = resetReasons();
  readonly #hasDropReason: boolean;
  readonly #places = new Int32Array(BATCH);

  constructor(filter: Filter, ringBytes: number) {
    const kfreeSkb = tracepointArguments('kfree_skb');
    this.#hasDropReason = kfreeSkb >= KFREE_SKB_REASON;
    const instead = this.#hasDropReason ? 'tcp_bad_csum' : 'kfree_skb';
    const purge = reasonNumber('QUEUE_PURGE');
    this.source = openSource({
      name: 'fault',
      rodata: [
        [RODATA.nw_filter, encodeFilter(filter)],
        [RODATA.nw_has_drop_reason, flag(this.#hasDropReason)],
        [RODATA.nw_has_drop_socket, flag(kfreeSkb >= KFREE_SKB_SOCKET)],
        [RODATA.nw_purge_reason, Uint8Array.of(purge, 0, 0, 0)],
        [
          RODATA.nw_has_reset_reason,
          flag(tracepointArguments('tcp_send_reset') >= SEND_RESET_REASON),
        ],
      ],
      mapSizes: new Map([['events', ringBytes]]),
      wants: (program) => program !== instead,
      essential: () => false,
    });
  }

  #reason(kind: 'drop' | 'reset', reason: number): string {
    if (kind === 'drop')
      return this.#hasDropReason ? (this.#dropReasons.get(reason) ?? `${reason}`) : 'TCP_CSUM';
    return this.#resetReasons.get(reason) ?? `${reason}`;
  }

  drain(take: (record: FaultRecord) => void): number {
    return this.source.ring.drain(this.#places, (view, places, count) => {
      for (let i = 0; i < count; i++) {
        const wire = decodeFault(view, places[i] ?? 0);
        const kind = wire.kind === KIND.NW_KIND_RESET ? 'reset' : 'drop';
        take({
          ...wire,
          kind,
          received: wire.rx === 1,
          reason: this.#reason(kind, wire.reason),
        });
      }
    });
  }

  totals(): FaultTotal[] {
    return [...readHash(this.source.map('fault_totals', 8), true).values()].map(([key, value]) => {
      const wire = decodeFaultKey(key, 0);
      const kind = wire.kind === KIND.NW_KIND_RESET ? 'reset' : 'drop';
      return {
        kind,
        reason: this.#reason(kind, wire.reason),
        family: wire.family === AF_INET6 ? 6 : 4,
        received: wire.rx === 1,
        count: readU64(value, 0),
      };
    });
  }
}
