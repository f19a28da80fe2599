/**
 * What the records of exchanges come to, whatever their number: the parts as histograms by side and port of
 * the server, how many were not answered, and of how many not all parts are known. Bounded.
 */
import { HTTP_EXCHANGE, HTTP_OUTCOME, UNEXPLAINED } from '../generated/packet.js';
import { readDuration, readU64 } from '../kernel/read.js';
import { familyOf } from '../metrics/families.js';
import { Quantiles } from '../metrics/quantiles.js';
import {
  causeOf,
  outcomeOf,
  PARTS,
  sideOf,
  type Cause,
  type Outcome,
  type PartName,
  type Side,
} from './exchange.js';
import { OTHER_PORT } from './http-exchanges.js';

const { at: FIELD } = HTTP_EXCHANGE;
const DURATION_BYTES = 8;
const NS_PER_US = 1000;
/** Whole numbers of microseconds: powers of two, and eight for each of these from 2^18 on. */
const BOUNDS_US = familyOf('netwatch_http_request_part_seconds').buckets.map((seconds) =>
  Math.round(seconds * 1e6),
);
const FIRST_POWER = 6;
const FINE_POWER = 18;
const STEPS = 8;
/** Ports that are kept apart on each side; more are counted together. */
const MOST_PORTS = 64;

/** A part of all exchanges of one side at one port. */
export interface PartCounts {
  readonly side: Side;
  readonly part: PartName;
  readonly serverPort: number;
  /** +Inf last. */
  readonly buckets: readonly number[];
  readonly sumNs: number;
}

interface Filling extends PartCounts {
  /** Of the record's parts. */
  readonly index: number;
  readonly buckets: number[];
  sumNs: number;
}

/** All exchanges of one side. */
export interface SideTotals {
  readonly durations: Quantiles;
  /** By the index of the part, nanoseconds. */
  readonly partNs: readonly number[];
}

interface FillingSide extends SideTotals {
  readonly partNs: number[];
  readonly ports: Map<number, readonly Filling[]>;
}

/** The first bound that is no less; after the last one what lies above. */
export function partBucket(ns: number): number {
  const us = Math.ceil(ns / NS_PER_US);
  if (us <= BOUNDS_US[0]!) return 0;
  if (us > BOUNDS_US.at(-1)!) return BOUNDS_US.length;
  const power = 32 - Math.clz32(us - 1);
  if (power <= FINE_POWER) return power - FIRST_POWER;
  let bucket = FINE_POWER - FIRST_POWER + STEPS * (power - 1 - FINE_POWER) + 1;
  while (us > BOUNDS_US[bucket]!) bucket++;
  return bucket;
}

const emptySide = (side: Side): FillingSide => ({
  durations: new Quantiles(),
  partNs: PARTS[side].map(() => 0),
  ports: new Map(),
});

export class ExchangeParts {
  readonly #sides: Readonly<Record<Side, FillingSide>> = {
    server: emptySide('server'),
    client: emptySide('client'),
  };
  readonly #unanswered = new Map<string, { side: Side; outcome: Outcome; count: number }>();
  readonly #unexplained = new Map<Cause, number>();

  /** Counts the exchange whose record is at `at`. */
  add(view: DataView, at: number): void {
    const side = sideOf(view.getUint8(at + FIELD.role));
    const totals = this.#sides[side];
    totals.durations.add(readU64(view, at + FIELD.durationNs));
    for (const part of this.#partsOf(side, view.getUint16(at + FIELD.serverPort, true))) {
      const { index } = part;
      const ns = readDuration(view, at + FIELD.partNs + DURATION_BYTES * index);
      if (ns === null) continue;
      totals.partNs[index]! += ns;
      part.buckets[partBucket(ns)]!++;
      part.sumNs += ns;
    }
    const outcome = view.getUint8(at + FIELD.outcome);
    if (outcome !== HTTP_OUTCOME.NW_HTTP_ANSWERED) this.#countOutcome(side, outcomeOf(outcome));
    const unexplained = view.getUint8(at + FIELD.unexplained);
    if (unexplained === UNEXPLAINED.NW_EXPLAINED) return;
    const cause = causeOf(unexplained) ?? 'kernel';
    this.#unexplained.set(cause, (this.#unexplained.get(cause) ?? 0) + 1);
  }

  /** Parts that some exchange has. */
  parts(): PartCounts[] {
    return Object.values(this.#sides)
      .flatMap(({ ports }) => [...ports.values()].flat())
      .filter(({ buckets }) => buckets.some((count) => count > 0));
  }

  unanswered(): readonly {
    readonly side: Side;
    readonly outcome: Outcome;
    readonly count: number;
  }[] {
    return [...this.#unanswered.values()];
  }

  /** By the cause. */
  get unexplained(): ReadonlyMap<Cause, number> {
    return this.#unexplained;
  }

  totals(side: Side): SideTotals {
    return this.#sides[side];
  }

  #countOutcome(side: Side, outcome: Outcome): void {
    const key = `${side} ${outcome}`;
    const before = this.#unanswered.get(key)?.count ?? 0;
    this.#unanswered.set(key, { side, outcome, count: before + 1 });
  }

  #partsOf(side: Side, port: number): readonly Filling[] {
    const { ports } = this.#sides[side];
    const serverPort = ports.has(port) || ports.size < MOST_PORTS ? port : OTHER_PORT;
    let parts = ports.get(serverPort);
    if (parts === undefined) {
      parts = PARTS[side].map(({ name, index }) => ({
        ...{ side, part: name, index, serverPort, sumNs: 0 },
        buckets: new Array<number>(BOUNDS_US.length + 1).fill(0),
      }));
      ports.set(serverPort, parts);
    }
    return parts;
  }
}
