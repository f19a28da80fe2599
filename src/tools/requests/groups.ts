/**
 * Exchanges added up by what they have in common: how many, how long, how many failed, and which part
 * the time was spent in. Bounded: what finds no room is one group more.
 */
import { Quantiles } from '../../metrics/quantiles.js';
import {
  httpMethod,
  isAnswered,
  isError,
  outcomeOf,
  PARTS,
  sideOf,
  type Exchange,
  type ExchangePart,
  type Side,
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
  /** What lies inside of parts, by its name. */
  readonly insideNs: Map<string, number>;
}

/** A part's share of the time of all parts together. */
export interface Share {
  readonly part: ExchangePart;
  /** From 0 to 1. */
  readonly share: number;
  /** Of the same time, by the name of what lies inside. */
  readonly inside: readonly { readonly name: string; readonly share: number }[];
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

/** Shares of the parts that are known, the largest first; none without. */
export function sharesOf({ side, partNs, insideNs }: Group): readonly Share[] {
  const all = partNs.reduce((sum, ns) => sum + ns, 0);
  if (all === 0) return [];
  return PARTS[side]
    .map((part) => ({
      part,
      share: (partNs[part.index] ?? 0) / all,
      inside: part.inside.map(({ name }) => ({ name, share: (insideNs.get(name) ?? 0) / all })),
    }))
    .sort((a, b) => b.share - a.share);
}

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
      for (const { name, key } of inside) {
        const ns = exchange[key] ?? 0;
        if (ns > 0) group.insideNs.set(name, (group.insideNs.get(name) ?? 0) + ns);
      }
    }
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
    const key = JSON.stringify([side, process, name]);
    const group = this.#groups.get(key);
    if (group !== undefined) return group;
    if (this.#groups.size < this.#most) return this.#make(key, side, process, name);
    const other = JSON.stringify([side]);
    return this.#groups.get(other) ?? this.#make(other, side, null, OTHER);
  }

  #make(key: string, side: Side, process: string | null, name: string): Group {
    const group: Group = {
      ...{ side, process, name, durations: new Quantiles(), errors: 0, recent: 0, rate: 0 },
      partNs: PARTS[side].map(() => 0),
      insideNs: new Map(),
    };
    this.#groups.set(key, group);
    return group;
  }
}
