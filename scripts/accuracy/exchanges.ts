/** HTTP exchanges of network namespaces, as `netwatch requests` gets them; for the accuracy suite. */
import { PARTS, sideOf, type Exchange as Read, type Side } from '../../src/sources/exchange.js';
import { ExchangeSource } from '../../src/sources/exchange-source.js';
import { NO_FILTER } from '../../src/sources/filter.js';

export interface Exchange extends Read {
  readonly side: Side;
  /** In nanoseconds, by name; null: not known. */
  readonly parts: Readonly<Record<string, number | null>>;
}

const DRAIN_MS = 20;
const RING_BYTES = 1 << 22;

/** Collects exchanges from the moment it is made until it is closed. */
export class ExchangeWatch {
  readonly exchanges: Exchange[] = [];
  readonly #source: ExchangeSource;
  readonly #timer: NodeJS.Timeout;

  /** `inodes`: of the network namespaces. */
  constructor(inodes: readonly number[]) {
    this.#source = new ExchangeSource({
      filter: { ...NO_FILTER, namespaces: inodes },
      ...{ targets: 'full', side: null, slowNs: 0, ringBytes: RING_BYTES },
    });
    this.#timer = setInterval(() => {
      this.#drain();
    }, DRAIN_MS);
  }

  #drain(): void {
    this.#source.drain((exchange) => {
      this.exchanges.push(named(exchange));
    });
  }

  close(): void {
    clearInterval(this.#timer);
    this.#source.finish();
    this.#source.source.close();
  }
}

function named(exchange: Read): Exchange {
  const side = sideOf(exchange.role);
  const parts: Record<string, number | null> = {};
  for (const { name, index } of PARTS[side]) parts[name] = exchange.partNs[index] ?? null;
  return { ...exchange, side, parts };
}
