/**
 * Who talks to whom: connections added up by process, its unit and container, side, port of the server and
 * address of the other end. A bounded number of these flows has a name; all others are one, so that every
 * byte is in exactly one of them and no sum ever falls.
 *
 * What a connection has moved since it was last looked at goes to its flow of now. A flow that is new
 * gets a name while there are free ones; after that only if in one interval it moves twice of what the
 * quietest named one does, whose sums then go to the others, for good.
 */
import { OWNER_SOURCE, ROLE, type Connection } from '../generated/connection.js';
import { RowStore, type Row } from '../kernel/rows.js';
import { ownersKey, type CgroupNames } from './cgroup-names.js';
import { payloadReceived } from './payload.js';
import { TCP_LISTEN } from './tcp-states.js';

/** Sums of some connections. */
export interface FlowSums {
  /** Payload bytes, as they were sent first. */
  sent: number;
  received: number;
  /** Of an interval: those that were open in it; else: those that have been seen. */
  connections: number;
  /** Segments sent again. */
  retransmits: number;
}

export interface Flow extends FlowSums {
  readonly process: string;
  /** Of its cgroup; null: not known, or not asked for. */
  readonly names: CgroupNames | null;
  readonly role: 'client' | 'server';
  readonly serverPort: number;
  readonly peer: string;
  /** Mean of the smoothed round-trip times in the last interval, in us; null: none was measured. */
  rttUs: number | null;
}

/** What one interval has brought. */
export interface FlowInterval {
  readonly flows: readonly Flow[];
  /** Of flows for which there was no room. */
  readonly others: FlowSums;
}

export interface FlowLimits {
  /** Flows with a name at most. */
  readonly named: number;
  /** Flows of one interval that are told apart at most. */
  readonly perInterval: number;
}

interface Named {
  flow: Flow;
  /** Bytes per interval, the older the less. */
  recent: number;
}

/**
 * What of a connection has been added already: places in its row, as each look changes them. `openNs`
 * is NaN where it is not known; `interval` is the one in which it was looked at last.
 */
const COUNTED = { openNs: 0, ports: 1, sent: 2, received: 3, retransmits: 4, interval: 5 } as const;
const COUNTED_NUMBERS = Object.keys(COUNTED).length;

interface Growing extends Flow {
  /** In eighths of us, and how many have one. */
  srtt: number;
  measured: number;
  newConnections: number;
}

const noSums = (): FlowSums => ({ sent: 0, received: 0, connections: 0, retransmits: 0 });

/** Intervals for which a connection may be missing: its end may have been lost. */
const PATIENCE = 2;
/** So much of the bytes of the intervals before counts besides the new ones. */
const MEMORY = 0.8;
/** A deficit that lasts is one: the end of a connection may be on its way. */
const DEFICIT_INTERVALS = 3;

const portsOf = ({ localPort, peerPort }: Connection): number => localPort * 65_536 + peerPort;

const bytesOf = ({ sent, received }: FlowSums): number => sent + received;

function addTo(sums: FlowSums, more: FlowSums): void {
  sums.sent += more.sent;
  sums.received += more.received;
  sums.connections += more.connections;
  sums.retransmits += more.retransmits;
}

export class FlowTable {
  /** All that has no name. */
  readonly others: FlowSums = noSums();
  readonly #limits: FlowLimits;
  readonly #named = new Map<string, Named>();
  readonly #counted = new Map<number, Row>();
  readonly #rows = new RowStore(COUNTED_NUMBERS, 0);
  #interval = new Map<string, Growing>();
  #beyond: FlowSums & { newConnections: number } = { ...noSums(), newConnections: 0 };
  #intervals = 0;
  #isCrowded = false;
  /** Of the last intervals. */
  #deficits: { readonly sent: number; readonly received: number }[] = [];

  /** Records, and in how many intervals none since. */
  #lost = 0;
  #sinceLoss = DEFICIT_INTERVALS;

  constructor(limits: FlowLimits) {
    this.#limits = limits;
  }

  /** Those with a name, with their sums since they have it. */
  get flows(): Flow[] {
    return [...this.#named.values()].map(({ flow }) => flow);
  }

  /** Of all flows together. */
  get total(): FlowSums {
    const sums = { ...this.others };
    for (const { flow } of this.#named.values()) addTo(sums, flow);
    return sums;
  }

  /** A connection as it is now; `names`: of its cgroup. */
  sampled(connection: Connection, names: CgroupNames | null = null): void {
    if (connection.state !== TCP_LISTEN) this.#look(connection, names);
  }

  /** The last look at one. */
  closed(connection: Connection, names: CgroupNames | null = null): void {
    this.#look(connection, names);
    this.left(connection.sock);
  }

  /** It is not watched any more. */
  left(sock: number): void {
    const row = this.#counted.get(sock);
    if (row === undefined) return;
    this.#counted.delete(sock);
    this.#rows.give(row);
  }

  #look(connection: Connection, names: CgroupNames | null): void {
    const { sock, openNs, totalRetrans, srttUs } = connection;
    const sent = connection.bytesSent - connection.bytesRetrans;
    const received = payloadReceived(connection);
    const { chunk, index } = this.#rowOf(sock);
    const { wide } = chunk;
    const at = index * COUNTED_NUMBERS;
    const isKnown =
      Object.is(wide[at + COUNTED.openNs], openNs ?? NaN) &&
      wide[at + COUNTED.ports] === portsOf(connection) &&
      wide[at + COUNTED.sent]! <= sent;
    if (!isKnown) wide.fill(0, at, at + COUNTED_NUMBERS);
    const flow = this.#growing(connection, names);
    const sums = flow ?? this.#beyond;
    sums.sent += sent - wide[at + COUNTED.sent]!;
    sums.received += received - wide[at + COUNTED.received]!;
    sums.retransmits += totalRetrans - wide[at + COUNTED.retransmits]!;
    sums.connections++;
    if (!isKnown) sums.newConnections++;
    if (flow !== null && srttUs !== 0) {
      flow.srtt += srttUs;
      flow.measured++;
    }
    wide[at + COUNTED.openNs] = openNs ?? NaN;
    wide[at + COUNTED.ports] = portsOf(connection);
    wide[at + COUNTED.sent] = sent;
    wide[at + COUNTED.received] = received;
    wide[at + COUNTED.retransmits] = totalRetrans;
    wide[at + COUNTED.interval] = this.#intervals;
  }

  /** The row of a socket; one that is new is of no connection yet. */
  #rowOf(sock: number): Row {
    let row = this.#counted.get(sock);
    if (row === undefined) {
      row = this.#rows.take();
      row.chunk.wide[row.index * COUNTED_NUMBERS + COUNTED.ports] = NaN;
      this.#counted.set(sock, row);
    }
    return row;
  }

  /** The flow of a connection in this interval; null: there is no room. */
  #growing(
    { role, ownerSource, comm, localPort, peerPort, peerAddr }: Connection,
    names: CgroupNames | null,
  ): Growing | null {
    const isServer = role === ROLE.NW_ROLE_SERVER;
    const serverPort = isServer ? localPort : peerPort;
    const process = ownerSource === OWNER_SOURCE.NW_OWNER_NONE ? '-' : comm;
    const key = `${process}\0${isServer}\0${serverPort}\0${peerAddr}\0${names === null ? '' : ownersKey(names)}`;
    const known = this.#interval.get(key);
    if (known !== undefined) return known;
    if (this.#interval.size >= this.#limits.perInterval && !this.#named.has(key)) return null;
    const flow: Growing = {
      ...{ process, names, role: isServer ? 'server' : 'client', serverPort, peer: peerAddr },
      ...{ ...noSums(), rttUs: null, srtt: 0, measured: 0, newConnections: 0 },
    };
    this.#interval.set(key, flow);
    return flow;
  }

  /** Ends an interval: what it has brought is added to the sums, and given. */
  endInterval(): FlowInterval {
    for (const named of this.#named.values()) named.recent *= MEMORY;
    const grown = [...this.#interval].sort(([, a], [, b]) => bytesOf(b) - bytesOf(a));
    for (const [, flow] of grown)
      flow.rttUs = flow.measured === 0 ? null : flow.srtt / 8 / flow.measured;
    this.#isCrowded = false;
    for (const [key, flow] of grown) this.#settle(key, flow);
    const others = this.#beyond;
    addTo(this.others, { ...others, connections: others.newConnections });
    this.#beyond = { ...noSums(), newConnections: 0 };
    this.#interval = new Map();
    this.#forgetMissing();
    return { flows: grown.map(([, flow]) => flow), others };
  }

  #settle(key: string, grown: Growing): void {
    const { process, names, role, serverPort, peer, rttUs, sent, received, retransmits } = grown;
    const flow = { process, names, role, serverPort, peer, rttUs };
    const sums = { ...flow, sent, received, retransmits, connections: grown.newConnections };
    const named = this.#named.get(key);
    if (named !== undefined) {
      addTo(named.flow, sums);
      named.flow.rttUs = rttUs;
      named.recent += bytesOf(grown);
    } else if (this.#hasRoomFor(grown))
      this.#named.set(key, { flow: sums, recent: bytesOf(grown) });
    else addTo(this.others, sums);
  }

  /** The largest come first: where one found no room, no other will. */
  #hasRoomFor(flow: Flow): boolean {
    if (this.#named.size < this.#limits.named) return true;
    if (this.#isCrowded) return false;
    let quietest: [string, Named] | null = null;
    for (const each of this.#named)
      if (quietest === null || each[1].recent < quietest[1].recent) quietest = each;
    this.#isCrowded = quietest === null || bytesOf(flow) <= 2 * quietest[1].recent;
    if (quietest === null || this.#isCrowded) return false;
    this.#named.delete(quietest[0]);
    addTo(this.others, quietest[1].flow);
    return true;
  }

  #forgetMissing(): void {
    this.#intervals++;
    for (const [sock, { chunk, index }] of this.#counted) {
      const interval = chunk.wide[index * COUNTED_NUMBERS + COUNTED.interval]!;
      if (this.#intervals - interval > PATIENCE) this.left(sock);
    }
  }

  /**
   * The kernel has counted so many bytes in all since the start: what is missing here, because records were
   * lost, is the others'. At once where it is known that some were (`lost`: so many so far) or that no more
   * will come (`isOver`), else if it stays.
   */
  reconcile(
    total: { readonly sent: number; readonly received: number },
    { lost, isOver }: { readonly lost: number; readonly isOver: boolean },
  ): void {
    const { sent, received } = this.total;
    this.#deficits.push({ sent: total.sent - sent, received: total.received - received });
    // what is lost now may be of connections that the kernel counts only in the next total
    this.#sinceLoss = lost === this.#lost ? this.#sinceLoss + 1 : 0;
    this.#lost = lost;
    const isKnown = isOver || this.#sinceLoss < DEFICIT_INTERVALS;
    if (!isKnown && this.#deficits.length < DEFICIT_INTERVALS) return;
    const deficits = isKnown ? this.#deficits.slice(-1) : this.#deficits;
    this.others.sent += Math.max(0, Math.min(...deficits.map((it) => it.sent)));
    this.others.received += Math.max(0, Math.min(...deficits.map((it) => it.received)));
    this.#deficits = [];
  }
}
