/**
 * Source `packet`: every TCP packet, with layer times and HTTP heads if asked. Kernel side:
 * bpf/packet.bpf.c. The records are read where they lie; this is the path that runs for every packet.
 */
import {
  decodeHttpDurations,
  decodeHttpKey,
  decodeHttpTotals,
  decodeLayerTotals,
  decodeTimeWaitSegments,
  EARLY,
  HTTP_HEAD,
  HTTP_DURATIONS,
  KIND,
  MARK,
  PACKET,
  RODATA,
  SENT_SET,
  SENT_SLOT,
  SENT_STATE,
  TOLD,
  type HttpKey,
  type HttpTotals,
  type LayerTotals,
  type TimeWaitSegments,
} from '../generated/packet.js';
import { encodeJiffies } from '../kernel/kernel-config.js';
import { functionParameters, hasFunction, hasHelper } from '../kernel/kernel-btf.js';
import { whyNoTrampoline } from '../kernel/trampoline.js';
import { KFREE_SKB_SOCKET, reasonNumber } from './drop-reasons.js';
import { readIterator } from '../kernel/iterator.js';
import { readArrayValue, readHash, readPerCpu, sumPerCpu } from '../kernel/map.js';
import { readU64 } from '../kernel/read.js';
import { PIECE_RECORDS } from '../kernel/ring.js';
import { flag } from '../kernel/rodata.js';
import { openSource, type Source, type SourceSpec } from '../kernel/source.js';
import { encodeFilter, type Filter } from './filter.js';
import { LayerCounts } from './layer-counts.js';
import {
  argumentFeature,
  functionFeature,
  has,
  type Feature,
  type Gain,
  type SourcePlan,
} from './plan.js';
import { encodeLoss, TRIAL_RING, type RingOptions } from './ring-options.js';
import { sortByTime } from './sort-by-time.js';
import type { ToldPackets } from './told-packets.js';

const TOLD_OF: Readonly<Record<ToldPackets, number>> = {
  all: TOLD.NW_TOLD_ALL,
  http: TOLD.NW_TOLD_HTTP,
  // of a connection that nobody has accepted it shows later whether they count
  none: TOLD.NW_TOLD_UNJUDGED,
};

export interface PacketOptions {
  readonly filter: Filter;
  /** Measure the time in each layer. */
  readonly time: boolean;
  /** Find HTTP/1 heads and time requests. */
  readonly http: boolean;
  /** Take the points in time of HTTP exchanges; absent: where the kernel gives them. */
  readonly explain?: boolean;
  /** Absent: all; null: of no packet is anything told or counted, only of exchanges. */
  readonly packets?: ToldPackets | null;
  readonly ring: RingOptions;
}

const BATCH = PIECE_RECORDS;
/** Records between two looks whether the ring needs room: 5 ms before the code is compiled. */
const RELIEVE_EVERY = 256;
/** Programs that are called back, in a loop: 5.13, as this helper. */
const CALLBACKS = 'for_each_map_elem';
const HTTP_ENDS = 'http_ends';
const PLAIN = new Set(['packet_ingress', 'packet_egress', 'socket_begins']);
const TIMED = new Set(['timed_ingress', 'timed_egress', 'timed_socket_begins']);
const ESSENTIAL = new Set(['packet_ingress', 'packet_egress', 'timed_ingress', 'timed_egress']);
const ANSWERS = 'packet_answer';
const WITHOUT_TIMES = new Set([...PLAIN, 'packet_unowned', ANSWERS, HTTP_ENDS]);

/**
 * Layer times need atomic operations that give the old value: 5.12, which also brought this helper.
 * Kernels before it refuse a program that merely holds one.
 */
const ATOMICS = 'check_mtu';

/** Where fentry may be used, the boundaries of the layers are the functions themselves. */
const EXACT_BOUNDARIES: ReadonlyMap<string, string> = new Map([
  ['ip_rcv_core', 'ip_rcv_core'],
  ['ip6_rcv_core', 'ip6_rcv_core'],
  ['tcp_v4_rcv', 'tcp_v4_rcv'],
  ['tcp_v6_rcv', 'tcp_v6_rcv'],
  ['sendmsg_entry', 'tcp_sendmsg_locked'],
  ['sendpage_entry', 'tcp_sendpage_locked'],
]);
/** What they take the place of. */
const SENDMSG_TRACEPOINT = 'tcp_sendmsg_locked';

/** What takes the points in time of HTTP exchanges, besides the packets. */
const POINTS = new Set([
  'tcp_sendmsg_locked',
  'sendmsg_entry',
  'sendpage_entry',
  'tcp_rcv_space_adjust',
  'tcp_destroy_sock',
]);

/** The iterator that gives up on packets nobody has read. */
const FLUSH = 'flush_unread';
/** Nothing lies outside of a connection where HTTP is not looked for. */
const noHttp = (): [string, number][] => [
  ['http_deep', 1],
  ['request_blocks_at_hand', 1],
  ...emptyPools(['request_blocks']),
];
const emptyPools = (pools: readonly string[]): [string, number][] =>
  pools.flatMap((pool) => [
    [pool, 1],
    [`${pool}_free`, 1],
  ]);
/** The pools take no memory where nothing is put into them. */
const NO_UNREAD = emptyPools(['unread_small', 'unread_large', 'gap_blocks']);
const NO_WRITES = emptyPools(['write_blocks']);

const toldOf = (packets: ToldPackets | null = 'all'): number =>
  packets === null ? TOLD.NW_TOLD_NONE : TOLD_OF[packets];

const KERNEL_CONTEXT = functionFeature('bpf_cast_to_kern_ctx', {
  gives: 'the MAC and IP times of received packets',
  since: '6.2',
  options: ['time'],
});
/** What doctor says of it: where programs may be attached to functions, those tell the same. */
const RECEIVE_TIMES: Feature = {
  ...KERNEL_CONTEXT,
  obstacle: () => (whyNoTrampoline() === null ? null : KERNEL_CONTEXT.obstacle()),
};
const UNOWNED = {
  gives: 'packets to closed ports and to connections in TIME_WAIT',
  since: '6.11',
} as const;
const DROP_SOCKET = argumentFeature(['kfree_skb', 'socket', KFREE_SKB_SOCKET], UNOWNED);

/** Parameters of the function from 6.13 on: the socket in whose name it answers is one of them. */
const REPLY_PARAMETERS = 10;

/** Whether cgroup_skb does not see what TIME_WAIT answers with. */
const hidesAnswers = (): boolean => functionParameters('ip_send_unicast_reply') >= REPLY_PARAMETERS;

function specOf(options: PacketOptions): SourceSpec {
  const canTime = hasHelper(ATOMICS);
  const time = options.time && canTime;
  const canExplain = canTime && hasHelper(CALLBACKS);
  const explains = options.http && canExplain && options.explain !== false;
  const chosen = time || explains ? TIMED : PLAIN;
  const hasTrampolines = canTime && whyNoTrampoline() === null;
  const wantsTimed = (program: string): boolean => {
    if (!options.time && !(explains && POINTS.has(program))) return false;
    const hook = EXACT_BOUNDARIES.get(program);
    if (hook !== undefined) return hasTrampolines && hasFunction(hook);
    return !(hasTrampolines && program === SENDMSG_TRACEPOINT);
  };
  return {
    name: 'packet',
    rodata: [
      [RODATA.nw_filter, encodeFilter(options.filter)],
      [RODATA.nw_lose_every, encodeLoss(options.ring)],
      [RODATA.nw_time, flag(time)],
      [RODATA.nw_exact, flag(time && hasTrampolines)],
      [RODATA.nw_jiffies_per_second, encodeJiffies()],
      [RODATA.nw_http_on, flag(options.http)],
      [RODATA.nw_http_explains, flag(explains)],
      [RODATA.nw_http_sees_buffer, flag(explains && !hasTrampolines)],
      [RODATA.nw_has_kernel_context, flag(has(KERNEL_CONTEXT))],
      [RODATA.nw_has_loop, flag(hasHelper('loop'))],
      [RODATA.nw_has_drop_socket, flag(has(DROP_SOCKET))],
      [RODATA.nw_no_socket_reason, Uint8Array.of(reasonNumber('NO_SOCKET'), 0, 0, 0)],
      [RODATA.nw_told, Uint8Array.of(toldOf(options.packets))],
    ],
    mapSizes: new Map([
      ['events', options.ring.bytes],
      ...(time ? [] : NO_UNREAD),
      ...(time || explains ? [] : NO_WRITES),
      ...(options.http ? [] : noHttp()),
    ]),
    wants: (program) => {
      if (program === HTTP_ENDS) return options.http;
      if (program === ANSWERS) return hidesAnswers();
      return (
        chosen.has(program) ||
        (!PLAIN.has(program) && (WITHOUT_TIMES.has(program) || wantsTimed(program)))
      );
    },
    lacks: (program) => {
      if (program === HTTP_ENDS)
        return hasHelper(CALLBACKS) ? null : 'requests that are never answered need Linux 5.13';
      return canTime || WITHOUT_TIMES.has(program) ? null : 'layer times need Linux 5.12';
    },
    essential: (program) => chosen.has(program) && ESSENTIAL.has(program),
  };
}

/** What a program gives that is only there for layer times. */
const timed = (gives: string): Gain => ({ gives, since: '5.12' });

const ARRIVAL = timed('the MAC time of packets from some drivers');
const EXACT = timed('the exact moments at which IP and TCP take a packet');
const UNREAD = timed('packets that nobody has read in the end');

/** For `netwatch doctor`. */
export const PLAN: SourcePlan = {
  spec: ({ filter, time, http }) => specOf({ filter, time, http, ring: TRIAL_RING }),
  programs: {
    packet_ingress: { gives: 'received packets' },
    packet_egress: { gives: 'sent packets' },
    packet_unowned: UNOWNED,
    [ANSWERS]: { gives: 'what connections in TIME_WAIT answer with' },
    http_ends: { gives: 'requests that are never answered', since: '5.13' },
    socket_begins: { gives: 'the connection of data that comes with the last ACK of a handshake' },
    timed_socket_begins: timed('the times of data that comes with the last ACK of a handshake'),
    timed_ingress: timed('the times of received packets'),
    timed_egress: timed('the times of sent packets'),
    netif_rx_entry: ARRIVAL,
    napi_gro_receive_entry: ARRIVAL,
    napi_gro_frags_entry: ARRIVAL,
    netif_receive_skb_entry: ARRIVAL,
    netif_receive_skb_list_entry: ARRIVAL,
    netif_receive_skb: timed('the MAC and IP times of received packets'),
    ip_rcv_core: EXACT,
    ip6_rcv_core: EXACT,
    tcp_v4_rcv: EXACT,
    tcp_v6_rcv: EXACT,
    tcp_rcv_space_adjust: timed('the TCP time of received packets'),
    tcp_destroy_sock: UNREAD,
    flush_unread: UNREAD,
    tcp_sendmsg_locked: { gives: 'the TCP time of sent packets', since: '6.16' },
    sendmsg_entry: timed('the TCP time of sent packets'),
    sendpage_entry: timed('the TCP time of what sendfile sends'),
    net_dev_queue: timed('the MAC and IP times of sent packets'),
    net_dev_start_xmit: timed('the MAC and IP times of sent packets'),
  },
  features: [RECEIVE_TIMES, DROP_SOCKET],
};

/** What a tool loads that is about requests and no packets. */
export const exchangeSpec = (filter: Filter): SourceSpec =>
  specOf({ filter, time: false, http: true, packets: null, ring: TRIAL_RING });

/** A batch of packet records, oldest first, to be read with {@link PACKET}.at. */
export type TakePackets = (view: DataView, places: Int32Array, count: number) => void;

/** A record where it lies. */
type TakeRecord = (view: DataView, at: number) => void;

export class PacketSource {
  readonly source: Source;
  readonly #places = new Int32Array(BATCH);
  readonly #times = new Float64Array(BATCH);
  /** Null: no times are asked for. */
  readonly #layers: LayerCounts | null;

  constructor(options: PacketOptions) {
    this.source = openSource(specOf(options));
    this.#layers = options.time ? new LayerCounts() : null;
  }

  /** Hands over the packets since the last call, in order of time; `end` as of the ring. */
  drain(take: TakePackets, end = this.source.ring.produced): number {
    const { ring } = this.source;
    const inOrder: TakePackets = (view, places, count) => {
      sortByTime(view, places, count, this.#times);
      this.#countLayers(view, places, count);
      for (let from = 0; from < count; from += RELIEVE_EVERY) {
        const some = Math.min(RELIEVE_EVERY, count - from);
        take(view, places.subarray(from, from + some), some);
        ring.relieve();
      }
    };
    let taken = 0;
    ring.relieve(end);
    while (taken < BATCH && ring.consumed < end) {
      const count = ring.drain(this.#places, inOrder, end);
      if (count === 0) break;
      taken += count;
    }
    return taken;
  }

  #countLayers(view: DataView, places: Int32Array, count: number): void {
    if (this.#layers === null) return;
    for (let i = 0; i < count; i++) {
      const at = places[i] ?? 0;
      if (isPacket(view, at) && !isUnjudged(view, at)) this.#layers.add(view, at);
    }
  }

  /** A packet that was unjudged counts after all. */
  countReleased(view: DataView, at: number): void {
    this.#layers?.add(view, at);
  }

  /** Detaches everything that sees packets; what it has seen can still be read. */
  stopWatching(): void {
    for (const { program, attached } of this.source.programs)
      if (attached && program !== FLUSH) this.source.object.detach(program);
  }

  /** Puts the received packets that nobody has read into the ring, of one network namespace. */
  flushUnread(namespacePath: string | null): void {
    if (this.source.programs.some(({ program, attached }) => program === FLUSH && attached))
      readIterator(this.source.object.linkFd(FLUSH), namespacePath, 1, () => undefined);
  }

  /** Hands over the data that came to a listener last and of which no connection has come. */
  early(takeHead: TakeRecord, takePacket: TakeRecord): void {
    const { view, stride } = readPerCpu(this.source.map('early_data', EARLY.size));
    for (let at = 0; at < view.byteLength; at += stride) {
      if (readU64(view, at + EARLY.at.skb) === 0) continue;
      const heads = view.getUint32(at + EARLY.at.heads, true);
      for (let i = 0; i < heads; i++) takeHead(view, at + EARLY.at.head + i * HTTP_HEAD.size);
      takePacket(view, at + EARLY.at.packet);
    }
  }

  /** Hands over the packets that no driver has taken yet; they stay where they are. */
  unsent(take: TakeRecord): void {
    const slots = (view: DataView, stride: number): void => {
      for (let at = 0; at < view.byteLength; at += stride)
        if (view.getUint32(at + SENT_SLOT.at.state, true) === SENT_STATE.NW_SENT_WAITING)
          take(view, at + SENT_SLOT.at.packet);
    };
    const map = this.source.map('sent_sets', SENT_SET.size);
    for (let index = 0; index < map.maxEntries; index++)
      slots(readArrayValue(map, index), SENT_SLOT.size);
    const last = readPerCpu(this.source.map('last_sent', SENT_SLOT.size));
    slots(last.view, last.stride);
  }

  /** Of the packets that were handed over, and of those whose records were lost. */
  layers(): LayerTotals {
    const totals = sumPerCpu(this.source.map('layer_totals'));
    this.#layers?.addTo(totals);
    return decodeLayerTotals(totals, 0);
  }

  /** Of connections in TIME_WAIT, whose sockets count no segments; from 6.11, sent ones from 6.13. */
  timeWaitSegments(): TimeWaitSegments {
    return decodeTimeWaitSegments(sumPerCpu(this.source.map('time_wait_segments')), 0);
  }

  /** Whether requests that a connection leaves unanswered are seen. */
  get seesHttpEnds(): boolean {
    return this.source.programs.some(({ program, attached }) => program === HTTP_ENDS && attached);
  }

  httpTotals(): HttpTotals {
    return decodeHttpTotals(sumPerCpu(this.source.map('http_totals')), 0);
  }

  httpDurations(): HttpDurations[] {
    const map = this.source.map('http_durations', HTTP_DURATIONS.size);
    return [...readHash(map, true).values()].map(([key, value]) => {
      const { buckets, sumNs } = decodeHttpDurations(value, 0);
      return { key: decodeHttpKey(key, 0), buckets, sumNs };
    });
  }
}

/** How long exchanges of one kind took whose records were lost. */
export interface HttpDurations {
  readonly key: HttpKey;
  /** Counts per OpenTelemetry bucket, +Inf last. */
  readonly buckets: readonly number[];
  readonly sumNs: number;
}

/** What a record is of: {@link KIND}. */
export function kindOf(view: DataView, at: number): number {
  return view.getUint32(at + PACKET.at.kind, true);
}

/** True for a packet record (not one of HTTP). */
export function isPacket(view: DataView, at: number): boolean {
  return kindOf(view, at) === KIND.NW_KIND_PACKET;
}

/** True for the packet of a connection that nobody has accepted yet, if the filter asks for that. */
export function isUnjudged(view: DataView, at: number): boolean {
  return (view.getUint8(at + PACKET.at.marks) & MARK.NW_MARK_UNJUDGED) !== 0;
}
