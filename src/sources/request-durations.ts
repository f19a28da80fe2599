/**
 * How long requests took, in bins so fine that a quantile read from them is true to 10 %: by side and port
 * of the server, whatever their number. Told of the records of exchanges as they are read. Bounded.
 */
import { HTTP_EXCHANGE } from '../generated/packet.js';
import { readU64 } from '../kernel/read.js';
import { familyOf } from '../metrics/families.js';
import { sideOf, type Side } from './exchange.js';
import { OTHER_PORT } from './http-exchanges.js';

const { at: FIELD } = HTTP_EXCHANGE;
const NS_PER_S = 1e9;
const BOUNDS_NS = familyOf('netwatch_http_request_duration_seconds').buckets.map((bound) =>
  Math.round(bound * NS_PER_S),
);
const FIRST_BOUND_NS = BOUNDS_NS[0]!;
const BOUNDS_PER_DOUBLING = 8;
/** Ports that are kept apart on each side, 180 series each; more are counted together. */
const MOST_PORTS = 16;

/** Requests of one side at one port. */
export interface DurationCounts {
  readonly side: Side;
  readonly serverPort: number;
  /** +Inf last. */
  readonly buckets: readonly number[];
  readonly sumNs: number;
}

interface Filling extends DurationCounts {
  readonly buckets: number[];
  sumNs: number;
}

/** The first bound that is no less; bounds are rounded, so that the logarithm may be one off. */
export function durationBucket(ns: number): number {
  const guess = Math.ceil(BOUNDS_PER_DOUBLING * Math.log2(ns / FIRST_BOUND_NS));
  let bucket = Math.min(BOUNDS_NS.length, Math.max(0, guess));
  while (bucket > 0 && ns <= BOUNDS_NS[bucket - 1]!) bucket--;
  while (bucket < BOUNDS_NS.length && ns > BOUNDS_NS[bucket]!) bucket++;
  return bucket;
}

export class RequestDurations {
  readonly #ports: Readonly<Record<Side, Map<number, Filling>>> = {
    server: new Map(),
    client: new Map(),
  };

  /** Counts the exchange whose record is at `at`. */
  add(view: DataView, at: number): void {
    const side = sideOf(view.getUint8(at + FIELD.role));
    const counts = this.#countsOf(side, view.getUint16(at + FIELD.serverPort, true));
    const ns = readU64(view, at + FIELD.durationNs);
    counts.buckets[durationBucket(ns)]!++;
    counts.sumNs += ns;
  }

  counts(): readonly DurationCounts[] {
    return Object.values(this.#ports).flatMap((ports) => [...ports.values()]);
  }

  #countsOf(side: Side, port: number): Filling {
    const ports = this.#ports[side];
    const serverPort = ports.has(port) || ports.size < MOST_PORTS ? port : OTHER_PORT;
    let counts = ports.get(serverPort);
    if (counts === undefined) {
      const buckets = new Array<number>(BOUNDS_NS.length + 1).fill(0);
      ports.set(serverPort, (counts = { side, serverPort, buckets, sumNs: 0 }));
    }
    return counts;
  }
}
