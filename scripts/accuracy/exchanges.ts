/** HTTP exchanges of a network namespace, as the kernel's records tell them; for the accuracy suite. */
import { decodeHttpExchange, KIND, type HttpExchange } from '../../src/generated/packet.js';
import { PARTS, sideOf, type Side } from '../../src/sources/exchange.js';
import { NO_FILTER } from '../../src/sources/filter.js';
import { kindOf, PacketSource } from '../../src/sources/packet.js';

export interface Exchange extends HttpExchange {
  readonly side: Side;
  /** In nanoseconds, by name; null: not known. */
  readonly parts: Readonly<Record<string, number | null>>;
}

const DRAIN_MS = 20;
const RING_BYTES = 1 << 22;

/** Collects exchanges from the moment it is made until it is closed. */
export class ExchangeWatch {
  readonly exchanges: Exchange[] = [];
  readonly #source: PacketSource;
  readonly #timer: NodeJS.Timeout;

  /** `inodes`: of the network namespaces. */
  constructor(inodes: readonly number[]) {
    this.#source = new PacketSource({
      filter: { ...NO_FILTER, namespaces: inodes },
      time: false,
      http: true,
      packets: null,
      ring: { bytes: RING_BYTES, loseEvery: 0 },
    });
    this.#timer = setInterval(() => {
      this.#drain();
    }, DRAIN_MS);
  }

  #drain(): void {
    this.#source.drain((view, places, count) => {
      for (const at of places.subarray(0, count))
        if (kindOf(view, at) === KIND.NW_KIND_HTTP_EXCHANGE)
          this.exchanges.push(named(decodeHttpExchange(view, at)));
    });
  }

  close(): void {
    clearInterval(this.#timer);
    this.#source.source.close();
  }
}

function named(exchange: HttpExchange): Exchange {
  const side = sideOf(exchange.role);
  const parts: Record<string, number | null> = {};
  for (const { name, index } of PARTS[side]) parts[name] = exchange.partNs[index] ?? null;
  return { ...exchange, side, parts };
}
