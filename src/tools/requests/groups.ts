/**
 * Exchanges added up by what they have in common: how many, how long, how many failed, and which part
 * the time was spent in. Bounded: what finds no room is one group more.
 */
import { Quantiles } from '../../metrics/quantiles.js';
import {
  BEYOND,
  httpMethod,
  isAnswered,
  isError,
  outcomeOf,
  PARTS,
  sideOf,
  type Exchange,
  type ExchangePart,
  type PartName,
  type Side,
  type Timing,
} from '../../sources/exchange.js';

export const GROUPINGS = ['target', 'status', 'process', 'peer'] as const;
export type Grouping = (typeof GROUPINGS)[number];

/** Groups that are kept apart: 3 KB each. */
const MOST_GROUPS = 2000;
const OTHER = '(other)';
const UNKNOWN = '(unknown)';

/** What a group has in common, and what came together in it. */
export interface Group {
  readonly side: Side;
  /** Null: of several, or nobody known. */
  readonly process: string | null;
  readonly name: string;
  readonly durations: Quantiles;
  errors: number;
  /** Since the last {@link Groups.rate}. */
  recent: number;
  /** Per second, of the last interval. */
  rate: number;
  /** By the index of the part, in nanoseconds. */
  readonly partNs: number[];
  /** What lies inside of parts and behind the end, by its name. */
  readonly insideNs: Map<string, number>;
  /** Of a server's: what its process itself asked of others on the same route, as a proxy does. */
  upstream: Group | null;
}

/** The part that an answer of somebody else is waited for in. */
const ASKING: PartName = 'application';
const UPSTREAM = 'upstream';

/** Something's share of the time of all parts together. */
export interface NamedShare {
  readonly name: string;
  /** From 0 to 1; of what is behind the end it may be more. */
  readonly share: number;
}

/** A part's share. */
export interface Share extends NamedShare {
  readonly name: PartName;
  /** What lies inside of it: `send_wait_retransmit`. */
  readonly inside: readonly NamedShare[];
}

const processOf = ({ pid, comm }: Exchange): string | null => (pid === 0 ? null : comm);

function nameOf(exchange: Exchange, by: Grouping): string {
  const { request, method, peerAddr, outcome, status } = exchange;
  switch (by) {
    case 'target':
      if (request === null) return `${httpMethod(method)} ${UNKNOWN}`;
      return `${request.method} ${request.route}`;
    case 'status':
      return isAnswered(exchange) ? String(status) : outcomeOf(outcome);
    case 'process':
      return processOf(exchange) ?? UNKNOWN;
    case 'peer':
      return peerAddr;
    default:
      return by satisfies never;
  }
}

const allNs = ({ partNs }: Group): number => partNs.reduce((sum, ns) => sum + ns, 0);

/** What a part waited for somebody whom the process itself had asked; none where it asks nobody. */
function upstreamOf({ name, index }: ExchangePart, group: Group, all: number): NamedShare[] {
  if (name !== ASKING || group.upstream === null) return [];
  const ns = Math.min(group.partNs[index] ?? 0, group.upstream.durations.sum);
  return [{ name: `${name}_${UPSTREAM}`, share: ns / all }];
}

/** Shares of the parts that are known, the largest first; none without. */
export function sharesOf(group: Group): readonly Share[] {
  const { side, partNs, insideNs } = group;
  const all = allNs(group);
  if (all === 0) return [];
  return PARTS[side]
    .map((part) => ({
      name: part.name,
      share: (partNs[part.index] ?? 0) / all,
      inside: [
        ...part.inside.map(({ name }) => ({ name, share: (insideNs.get(name) ?? 0) / all })),
        ...upstreamOf(part, group, all),
      ],
    }))
    .sort((a, b) => b.share - a.share);
}

/** What is behind the end, against the time of all parts together. */
export function beyondOf(group: Group): readonly NamedShare[] {
  const all = allNs(group);
  if (all === 0) return [];
  return BEYOND[group.side].map(({ name }) => ({
    name,
    share: (group.insideNs.get(name) ?? 0) / all,
  }));
}

function addTimings({ insideNs }: Group, timings: readonly Timing[], exchange: Exchange): void {
  for (const { name, key } of timings) {
    const ns = exchange[key] ?? 0;
    if (ns > 0) insideNs.set(name, (insideNs.get(name) ?? 0) + ns);
  }
}

/** Names of processes have no NUL. */
const keyOf = (side: Side, process: string | null, name: string): string =>
  `${side}${process === null ? '' : ` ${process}`}\0${name}`;

export class Groups {
  readonly #by: Grouping;
  readonly #most: number;
  readonly #groups = new Map<string, Group>();
  #count = 0;

  constructor(by: Grouping, most = MOST_GROUPS) {
    this.#by = by;
    this.#most = most;
  }

  /** Exchanges in all groups. */
  get count(): number {
    return this.#count;
  }

  add(exchange: Exchange): void {
    const group = this.#groupOf(exchange);
    this.#count++;
    group.recent++;
    if (isError(exchange)) group.errors++;
    if (exchange.durationNs !== null) group.durations.add(exchange.durationNs);
    for (const { index, inside } of PARTS[group.side]) {
      group.partNs[index]! += exchange.partNs[index] ?? 0;
      addTimings(group, inside, exchange);
    }
    addTimings(group, BEYOND[group.side], exchange);
  }

  /** Sets the rates of an interval that has ended. */
  rate(seconds: number): void {
    for (const group of this.#groups.values()) {
      group.rate = seconds > 0 ? group.recent / seconds : 0;
      group.recent = 0;
    }
  }

  /** Forgets everything. */
  clear(): void {
    this.#groups.clear();
    this.#count = 0;
  }

  /** The groups with the most of something. */
  largest(count: number, amount: (group: Group) => number): readonly Group[] {
    return [...this.#groups.values()].sort((a, b) => amount(b) - amount(a)).slice(0, count);
  }

  #groupOf(exchange: Exchange): Group {
    const side = sideOf(exchange.role);
    const name = nameOf(exchange, this.#by);
    const process = this.#by === 'target' || this.#by === 'process' ? processOf(exchange) : null;
    const key = keyOf(side, process, name);
    const group = this.#groups.get(key);
    if (group !== undefined) return group;
    if (this.#groups.size < this.#most) return this.#make(key, side, process, name);
    // without a NUL: no name is like it
    const other = side;
    return this.#groups.get(other) ?? this.#make(other, side, null, OTHER);
  }

  #make(key: string, side: Side, process: string | null, name: string): Group {
    const group: Group = {
      ...{ side, process, name, durations: new Quantiles(), errors: 0, recent: 0, rate: 0 },
      partNs: PARTS[side].map(() => 0),
      insideNs: new Map(),
      upstream: null,
    };
    this.#groups.set(key, group);
    if (this.#by === 'target' && process !== null) this.#join(group, process);
    return group;
  }

  /** A process that is asked and asks on the same route passes the request on. */
  #join(group: Group, process: string): void {
    const opposite = group.side === 'server' ? 'client' : 'server';
    const other = this.#groups.get(keyOf(opposite, process, group.name));
    if (other === undefined) return;
    if (group.side === 'server') group.upstream = other;
    else other.upstream = group;
  }
}
