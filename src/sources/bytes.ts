/**
 * Source `bytes`: payload that processes really sent and received, by process and connection. Kernel
 * side: bpf/bytes.bpf.c.
 */
import {
  decodeTraffic,
  decodeTrafficKey,
  RODATA,
  TRAFFIC,
  type Traffic,
  type TrafficKey,
} from '../generated/bytes.js';
import { functionParameters, hasFunction, hasTracepoint } from '../kernel/kernel-btf.js';
import { openCounts, type Attached, type SourceSpec } from '../kernel/source.js';
import { SwappedMap } from '../kernel/swapped-map.js';
import { whyNoTrampoline } from '../kernel/trampoline.js';
import type { CountingSource } from './counting.js';
import { encodeFilter, type Filter } from './filter.js';
import { IntervalCounts } from './interval-counts.js';
import { NO_PINNED_MAPS, pinnedByName, type PinnedMaps } from './pinned.js';
import type { SourcePlan } from './plan.js';

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
/** Parameters of tcp_recvmsg() since 5.19. */
const RECEIVE_PARAMETERS = 5;

const flag = (on: boolean): Uint8Array => Uint8Array.of(on ? 1 : 0);

/** The programs that this kernel needs, of those that send and of those that receive. */
function programsFor(received: boolean): readonly string[] {
  const hasLengths = hasTracepoint('sock_send_length');
  const sending = [
    hasLengths ? 'sock_send_length' : 'tcp_sendmsg',
    ...(hasFunction('tcp_sendpage') ? ['tcp_sendpage'] : []),
  ];
  if (!received) return sending;
  const takesNoBlock = functionParameters('tcp_recvmsg') > RECEIVE_PARAMETERS;
  const before63 = takesNoBlock ? 'tcp_recvmsg_noblock' : 'tcp_recvmsg';
  const receiving = hasLengths ? 'sock_recv_length' : before63;
  return [...sending, receiving, 'sys_enter_splice', 'sys_exit_splice'];
}

function specOf({ filter, pinned, received }: BytesOptions): SourceSpec {
  const wanted = new Set(programsFor(received));
  const isFunction = (program: string): boolean => program.startsWith('tcp_');
  const noTrampoline = [...wanted].some(isFunction) ? whyNoTrampoline() : null;
  return {
    name: 'bytes',
    rodata: [
      [RODATA.nw_filter, encodeFilter(filter)],
      [RODATA.nw_by_cgroup_map, flag(pinned.cgroups !== null)],
      [RODATA.nw_by_mntns_map, flag(pinned.mountNamespaces !== null)],
    ],
    mapSizes: new Map(),
    pinnedMaps: pinnedByName(pinned),
    wants: (program) => wanted.has(program),
    lacks: (program) => (isFunction(program) ? noTrampoline : null),
    essential: (program) => program === 'sock_send_length' || program === 'tcp_sendmsg',
  };
}

const both = (filter: Filter): SourceSpec =>
  specOf({ filter, pinned: NO_PINNED_MAPS, received: true });

const SENT = { gives: 'the bytes that are sent' };
const RECEIVED = { gives: 'the bytes that are received' };
const SPLICED = { gives: 'the bytes that splice() takes from a socket' };

/** For `netwatch doctor`. */
export const PLAN: SourcePlan = {
  spec: () => null,
  tools: {
    tcptop: both,
    tcp_bytes: both,
    tcpsubnet: (filter) => specOf({ filter, pinned: NO_PINNED_MAPS, received: false }),
  },
  programs: {
    sock_send_length: { ...SENT, since: '6.3' },
    sock_recv_length: { ...RECEIVED, since: '6.3' },
    tcp_sendmsg: SENT,
    tcp_sendpage: { gives: 'the bytes that sendfile() sends' },
    tcp_recvmsg: RECEIVED,
    tcp_recvmsg_noblock: RECEIVED,
    sys_enter_splice: SPLICED,
    sys_exit_splice: SPLICED,
  },
  features: [],
};

export class BytesSource implements CountingSource<readonly TrafficRow[]> {
  readonly source: Attached;
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
