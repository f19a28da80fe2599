/**
 * What each unit, container and pod has moved, opened, sent again and asked for since netwatch started: sums
 * that stay when the connections and the cgroup are gone.
 */
import { MARK, OUTCOME, ROLE } from '../../generated/connection.js';
import { ownersKey, type CgroupNames } from '../../sources/cgroup-names.js';
import type { Connection } from '../../sources/connection.js';
import type { Side } from '../../sources/exchange.js';
import { TCP_CLOSE, TCP_LISTEN, TCP_SYN_RECV, TCP_SYN_SENT } from '../../sources/tcp-states.js';
import { payloadReceived } from '../../sources/payload.js';
import { payloadSent } from './connection-values.js';

/** Names kept apart; what comes later is in {@link OTHER} for good, as a counter never falls. */
const MOST = 500;

/** Payload bytes, connections, segments and requests. */
export interface UnitTotal {
  readonly names: CgroupNames | null;
  sent: number;
  received: number;
  /** By side, and by how the handshake has ended (OUTCOME). */
  readonly connections: Record<Side, number[]>;
  retransmits: number;
  requests: Record<Side, number>;
}

/** What has been added of one connection so far. */
export interface Added {
  sent: number;
  received: number;
  retransmits: number;
  /** That it was opened or failed is in the sums, or was before netwatch. */
  opened: boolean;
}

/** A connection as it is now, and what is in the sums. */
export interface Counted {
  readonly last: Connection;
  readonly names: CgroupNames | null;
  readonly added: Added;
}

const noConnections = (): number[] => Array<number>(OUTCOME.NW_OUTCOMES).fill(0);

const nothingOf = (names: CgroupNames | null): UnitTotal => ({
  ...{ names, sent: 0, received: 0, retransmits: 0 },
  connections: { server: noConnections(), client: noConnections() },
  requests: { server: 0, client: 0 },
});

export class UnitTotals {
  /** Of those with names of their own, and of those that have none or are not known. */
  readonly #totals = new Map<string, UnitTotal>();
  /** The same by what was asked with, so that a request needs no text for it. */
  readonly #asked = new WeakMap<CgroupNames, UnitTotal>();
  /** Of those beyond the {@link MOST} first. */
  readonly other = nothingOf(null);

  /** The sums of who is called so. */
  of(names: CgroupNames | null): UnitTotal {
    const key = names ?? NAMELESS;
    let total = this.#asked.get(key);
    if (total === undefined) this.#asked.set(key, (total = this.#find(ownersKey(key), names)));
    return total;
  }

  #find(key: string, names: CgroupNames | null): UnitTotal {
    const known = this.#totals.get(key);
    if (known !== undefined) return known;
    if (this.#totals.size >= MOST) return this.other;
    const made = nothingOf(names);
    this.#totals.set(key, made);
    return made;
  }

  get named(): Iterable<UnitTotal> {
    return this.#totals.values();
  }
}

const NAMELESS: CgroupNames = { path: '/', unit: null, container: null, pod: null };

/** What was before netwatch saw it is nobody's. */
export function addedBefore(connection: Connection): Added {
  const isNew = connection.openNs !== null;
  return {
    sent: isNew ? 0 : payloadSent(connection),
    received: isNew ? 0 : payloadReceived(connection),
    retransmits: isNew ? 0 : connection.totalRetrans,
    opened: !isNew,
  };
}

const isOpening = ({ state }: Connection): boolean =>
  state === TCP_SYN_SENT || state === TCP_SYN_RECV;

/** It has closed without having been open. */
export const isFailed = ({ state, oldState }: Connection): boolean =>
  state === TCP_CLOSE && (oldState === TCP_SYN_SENT || oldState === TCP_SYN_RECV);

/** Adds what a connection has done since to the sums of its owner's unit. */
export function addToUnit(units: UnitTotals, { last, names, added }: Counted): void {
  if (last.state === TCP_LISTEN) return;
  const total = units.of(names);
  const sent = payloadSent(last);
  const received = payloadReceived(last);
  total.sent += Math.max(0, sent - added.sent);
  total.received += Math.max(0, received - added.received);
  total.retransmits += Math.max(0, last.totalRetrans - added.retransmits);
  added.sent = sent;
  added.received = received;
  added.retransmits = last.totalRetrans;
  const outcome = Math.floor(last.marks / MARK.NW_MARK_OUTCOME);
  const hasFailed = outcome !== OUTCOME.NW_OUTCOME_SUCCESS;
  if (!hasFailed && (added.opened || isOpening(last) || isFailed(last))) return;
  added.opened = true;
  const counts = total.connections[last.role === ROLE.NW_ROLE_CLIENT ? 'client' : 'server'];
  counts[outcome] = (counts[outcome] ?? 0) + 1;
}
