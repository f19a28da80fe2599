/**
 * Source `drop`: TCP packets that the kernel gave up, with reason and kernel stack. Kernel side:
 * bpf/drop.bpf.c.
 */
import { decodeTcpDrop, RODATA, SEGMENT_FAULT, TCP_DROP, type TcpDrop } from '../generated/drop.js';
import { areSymbolsHidden, kernelSymbols } from '../kernel/kallsyms.js';
import { flag, kernelFacts } from '../kernel/rodata.js';
import { openSource, type Source, type SourceSpec } from '../kernel/source.js';
import {
  dropReasons,
  KFREE_SKB_REASON,
  KFREE_SKB_SOCKET,
  NO_REASON,
  reasonNumber,
} from './drop-reasons.js';
import { encodeFilter, type Filter } from './filter.js';
import { LateRecords } from './late-records.js';
import type { LiveSource } from './live.js';
import { framesOf } from './stack.js';
import { fitsKernel, LISTEN_GAINS, OWNER_GAINS, seedOwners } from './owners.js';
import { argumentFeature, has, TRIAL_RING_BYTES, type Feature, type SourcePlan } from './plan.js';

/** What is wrong with a segment that came in. */
export type SegmentFault = 'sequence' | 'data-offset' | 'checksum';

export interface DropRecord extends Omit<TcpDrop, 'fault'> {
  /** The kernel's name for it: `TCP_INVALID_SEQUENCE`; null where it gives none. */
  readonly reasonName: string | null;
  readonly fault: SegmentFault | null;
  /** A probe whose old sequence number is on purpose. */
  readonly isKeepalive: boolean;
}

export interface DropOptions {
  readonly filter: Filter;
  /** Only segments that came in and were wrong. */
  readonly onlyFaults: boolean;
  /** Also keepalive probes, which are no loss; default: not. */
  readonly keepalives?: boolean;
  readonly ringBytes: number;
}

/** Reasons that say that a segment itself was wrong; which of them there are differs. */
const FAULTS: Readonly<Record<string, SegmentFault>> = {
  TCP_CSUM: 'checksum',
  PKT_TOO_SMALL: 'data-offset',
  TCP_OLD_SEQUENCE: 'sequence',
  TCP_INVALID_SEQUENCE: 'sequence',
  TCP_INVALID_END_SEQUENCE: 'sequence',
};

/** By what bpf/drop.bpf.c found. */
const FOUND: ReadonlyMap<number, SegmentFault> = new Map([
  [SEGMENT_FAULT.NW_SEGMENT_SEQUENCE, 'sequence'],
  [SEGMENT_FAULT.NW_SEGMENT_DATA_OFFSET, 'data-offset'],
  [SEGMENT_FAULT.NW_SEGMENT_CHECKSUM, 'checksum'],
]);

const BATCH = 128;

const DROP_REASON = argumentFeature(['kfree_skb', 'reason', KFREE_SKB_REASON], {
  gives: 'the reasons of drops, and drops outside of TCP itself',
  since: '5.17',
});
const DROP_SOCKET = argumentFeature(['kfree_skb', 'socket', KFREE_SKB_SOCKET], {
  gives: 'process and state where a drop is of no connection yet',
  since: '6.11',
});

const SYMBOLS: Feature = {
  needs: '/proc/kallsyms',
  gives: 'the names of functions in kernel stacks',
  obstacle: () =>
    areSymbolsHidden()
      ? {
          reason: 'the kernel hides its addresses',
          fix: 'run it as root or give it CAP_SYSLOG, with kernel.kptr_restrict below 2',
        }
      : null,
};

/** Reasons that are wanted, as bits; a reason up to "not specified" is none. */
function reasonBits(onlyFaults: boolean): Uint8Array {
  const bits = new Uint8Array(RODATA.nw_reasons.size);
  const none = reasonNumber('NOT_SPECIFIED');
  for (const [reason, name] of dropReasons()) {
    const isWanted = onlyFaults ? name in FAULTS : reason > none;
    if (isWanted && reason < bits.length * 8)
      bits[reason >> 3] = (bits[reason >> 3] ?? 0) | (1 << (reason & 7));
  }
  return bits;
}

/** Which program tells of drops where kfree_skb has no reason for them: TCP's own function. */
function isWanted(program: string, onlyFaults: boolean): boolean {
  switch (program) {
    case 'kfree_skb':
      return has(DROP_REASON) || onlyFaults;
    case 'tcp_drop':
      return !has(DROP_REASON);
    case 'tcp_bad_csum':
      return !has(DROP_REASON) && onlyFaults;
    default:
      return fitsKernel(program);
  }
}

function specOf({ filter, onlyFaults, keepalives = false, ringBytes }: DropOptions): SourceSpec {
  const purge = reasonNumber('QUEUE_PURGE');
  const noSocket = Uint32Array.of(reasonNumber('NO_SOCKET') || NO_REASON);
  const teller = has(DROP_REASON) || onlyFaults ? 'kfree_skb' : 'tcp_drop';
  return {
    name: 'drop',
    rodata: [
      [RODATA.nw_filter, encodeFilter(filter)],
      ...kernelFacts(RODATA),
      [RODATA.nw_has_drop_reason, flag(has(DROP_REASON))],
      [RODATA.nw_has_drop_socket, flag(has(DROP_SOCKET))],
      [RODATA.nw_only_faults, flag(onlyFaults)],
      [RODATA.nw_with_keepalives, flag(keepalives)],
      [RODATA.nw_old_sequence, Uint8Array.of(reasonNumber('TCP_OLD_SEQUENCE'), 0, 0, 0)],
      [RODATA.nw_reasons, reasonBits(onlyFaults)],
      [RODATA.nw_no_socket_reason, new Uint8Array(noSocket.buffer)],
      [RODATA.nw_purge_reason, Uint8Array.of(purge, 0, 0, 0)],
    ],
    mapSizes: new Map([['events', ringBytes]]),
    wants: (program) => isWanted(program, onlyFaults),
    essential: (program) => program === teller,
  };
}

const OWNER = { gives: 'the process that owns a socket' };

/** As a tool opens it that is asked for all it can. */
export function trial(filter: Filter, { onlyFaults }: Pick<DropOptions, 'onlyFaults'>): SourceSpec {
  return specOf({ filter, onlyFaults, ringBytes: TRIAL_RING_BYTES });
}

/** For `netwatch doctor`. */
export const PLAN: SourcePlan = {
  spec: () => null,
  programs: {
    kfree_skb: { gives: 'drops' },
    // not a function of its own in every kernel; newer ones do not need it
    tcp_drop: { gives: 'drops by TCP', since: '5.17' },
    tcp_bad_csum: { gives: 'wrong checksums', since: '5.14' },
    inet_sock_set_state: OWNER,
    ...OWNER_GAINS,
    ...LISTEN_GAINS,
  },
  features: [DROP_REASON, DROP_SOCKET, SYMBOLS],
};

export class DropSource implements LiveSource<DropRecord> {
  readonly source: Source;
  /** The kernel tells why it drops. */
  readonly hasReasons = has(DROP_REASON);
  readonly hasSymbols = has(SYMBOLS);
  readonly #reasons = dropReasons();
  readonly #symbols = kernelSymbols();
  readonly #places = new Int32Array(BATCH);
  readonly #records = new LateRecords(TCP_DROP, decodeTcpDrop);
  #finished = false;

  constructor(options: DropOptions) {
    this.source = openSource(specOf(options));
    seedOwners(this.source);
  }

  drain(take: (record: DropRecord) => void): number {
    const takeWire = (wire: TcpDrop): void => {
      take(this.#named(wire));
    };
    const taken = this.source.ring.drain(this.#places, (view, places, count) => {
      for (let i = 0; i < count; i++) this.#records.read(view, places[i] ?? 0, takeWire, takeWire);
    });
    this.#records.giveUp(taken === 0 && this.#finished, takeWire);
    return taken;
  }

  #named(wire: TcpDrop): DropRecord {
    const { reason, fault } = wire;
    const reasonName = this.hasReasons ? (this.#reasons.get(reason) ?? `${reason}`) : null;
    return {
      ...wire,
      reasonName,
      fault: FOUND.get(fault) ?? FAULTS[reasonName ?? ''] ?? null,
      isKeepalive: fault === SEGMENT_FAULT.NW_SEGMENT_KEEPALIVE,
    };
  }

  /** The functions that led to a drop, the innermost first: `tcp_v4_rcv+0x9c7`. */
  frames({ stack, stackBytes, location }: DropRecord): string[] {
    const addresses = stack.slice(0, stackBytes / 8);
    return framesOf(addresses, location, this.#symbols);
  }

  finish(): void {
    this.source.detach();
    this.#finished = true;
  }
}
