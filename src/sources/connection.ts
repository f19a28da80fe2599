/**
 * Source `connection`: the life of connections as ring records, their present
 * state through iter/tcp, and totals. Kernel side: bpf/connection.bpf.c.
 */
import {
  CONNECTION,
  decodeConnection,
  decodeConnectionOwner,
  decodeConnectionTotals,
  decodeRetransmitTotals,
  KeptConnection,
  KIND,
  RODATA,
  type Connection,
  type ConnectionOwner,
  type ConnectionTotals,
  type RetransmitTotals,
} from '../generated/connection.js';
import { readIterator } from '../kernel/iterator.js';
import { sumPerCpu } from '../kernel/map.js';
import { encodeJiffies } from '../kernel/kernel-config.js';
import { kernelFacts } from '../kernel/rodata.js';
import { openSource, type Source, type SourceSpec } from '../kernel/source.js';
import { encodeFilter, type Filter } from './filter.js';
import { asksForOwner, fitsKernel, LISTEN_GAINS, OWNER_GAINS, seedOwners } from './owners.js';
import { helperFeature, rightFeature, type SourcePlan } from './plan.js';
import type { PulledConnections } from './pulled-connections.js';
import { encodeLoss, TRIAL_RING, type RingOptions } from './ring-options.js';

export type { Connection } from '../generated/connection.js';

/** Its connection holds until the next record; what is to stay is to be read. */
export type ConnectionRecord =
  | { readonly kind: 'open'; readonly connection: KeptConnection }
  | { readonly kind: 'close'; readonly connection: KeptConnection }
  /** A listening socket has closed whose accept queue has overflowed: its last count. */
  | { readonly kind: 'unlistened'; readonly connection: KeptConnection }
  | { readonly kind: 'owner'; readonly owner: ConnectionOwner }
  /** Another process reads or writes it now. */
  | { readonly kind: 'handover'; readonly owner: ConnectionOwner }
  /** It ended before anybody accepted it; the owner is its listener's. */
  | { readonly kind: 'unaccepted'; readonly owner: ConnectionOwner };

export interface ConnectionOptions {
  readonly filter: Filter;
  /** Count retransmissions by cause. */
  readonly retrans: boolean;
  readonly ring: RingOptions;
}

const RETRANSMIT_PROGRAMS = ['tcp_retransmit_skb', 'tcp_retransmit_synack'];
const BATCH = 4096;

function specOf(options: ConnectionOptions): SourceSpec {
  return {
    name: 'connection',
    rodata: [
      [RODATA.nw_filter, encodeFilter(options.filter)],
      [RODATA.nw_lose_every, encodeLoss(options.ring)],
      [RODATA.nw_jiffies_per_second, encodeJiffies()],
      ...kernelFacts(RODATA),
    ],
    mapSizes: new Map([['events', options.ring.bytes]]),
    wants: (program) =>
      fitsKernel(program) && (options.retrans || !RETRANSMIT_PROGRAMS.includes(program)),
    essential: (program) => program === 'inet_sock_set_state' || program === 'tcp',
  };
}

/** For `netwatch doctor`. */
export const PLAN: SourcePlan = {
  spec: ({ filter, retrans }) => specOf({ filter, retrans, ring: TRIAL_RING }),
  programs: {
    inet_sock_set_state: { gives: 'connections that open and close' },
    tcp: { gives: 'the present state of connections' },
    tcp_retransmit_skb: { gives: 'retransmits of an open connection as they happen' },
    tcp_retransmit_synack: { gives: 'SYN-ACKs that are sent again' },
    ...OWNER_GAINS,
    ...LISTEN_GAINS,
  },
  features: [
    helperFeature('sock_from_file', {
      gives: 'the owners of more than 65,536 sockets at a time',
      since: '5.11',
    }),
    rightFeature('CAP_SYS_ADMIN', {
      gives: 'the state of connections in other network namespaces',
      options: ['netns'],
    }),
  ],
};

export class ConnectionSource {
  readonly source: Source;
  /** The filter asks for a process: what comes before accept() waits for the record of the owner. */
  readonly awaitsOwners: boolean;
  readonly #places = new Int32Array(BATCH);
  readonly #decode = recordReader();

  constructor(options: ConnectionOptions) {
    this.awaitsOwners = asksForOwner(options.filter);
    this.source = openSource(specOf(options));
  }

  /** Writes the owners of sockets that existed before into their storage. */
  seedOwners(): void {
    seedOwners(this.source);
  }

  /** Hands over what happened since the last call; returns the number of records. */
  drain(take: (record: ConnectionRecord) => void): number {
    return this.source.ring.drain(this.#places, (view, places, count) => {
      for (let i = 0; i < count; i++) {
        const record = this.#decode(view, places[i] ?? 0);
        if (record !== null) take(record);
      }
    });
  }

  /** The present state of every connection in a network namespace. */
  dump(namespacePath: string | null, take: (connection: Connection) => void): number {
    const link = this.source.object.linkFd('tcp');
    return readIterator(link, namespacePath, CONNECTION.size, (view, at) => {
      take(decodeConnection(view, at));
    });
  }

  /** The same, for later. */
  pull(namespacePath: string | null, pulled: PulledConnections): void {
    const link = this.source.object.linkFd('tcp');
    readIterator(link, namespacePath, CONNECTION.size, (view, at) => {
      pulled.add(view, at);
    });
  }

  totals(): ConnectionTotals {
    return decodeConnectionTotals(sumPerCpu(this.source.map('connection_totals')), 0);
  }

  retransmits(): RetransmitTotals {
    return decodeRetransmitTotals(sumPerCpu(this.source.map('retransmit_totals')), 0);
  }
}

/** Reads records one after the other, with no object for each connection. */
function recordReader(): (view: DataView, at: number) => ConnectionRecord | null {
  const connection = new KeptConnection(KeptConnection.store());
  const [open, close, unlistened] = (['open', 'close', 'unlistened'] as const).map(
    (kind): ConnectionRecord => ({ kind, connection }),
  ) as [ConnectionRecord, ConnectionRecord, ConnectionRecord];
  return (view, at) => {
    switch (view.getUint32(at + CONNECTION.at.kind, true)) {
      case KIND.NW_KIND_CONNECTION_OPEN:
        connection.load(view, at);
        return open;
      case KIND.NW_KIND_CONNECTION_CLOSE:
        connection.load(view, at);
        return close;
      case KIND.NW_KIND_LISTENER_CLOSE:
        connection.load(view, at);
        return unlistened;
      case KIND.NW_KIND_CONNECTION_OWNER:
        return { kind: 'owner', owner: decodeConnectionOwner(view, at) };
      case KIND.NW_KIND_CONNECTION_HANDOVER:
        return { kind: 'handover', owner: decodeConnectionOwner(view, at) };
      case KIND.NW_KIND_CONNECTION_UNACCEPTED:
        return { kind: 'unaccepted', owner: decodeConnectionOwner(view, at) };
      default:
        return null;
    }
  };
}
