/** HTTP exchanges as they end, each with the first line of its request: the source `packet` without packets. */
import { HTTP_EXCHANGE, KIND } from '../generated/packet.js';
import type { Targets } from '../http/targets.js';
import { readU64 } from '../kernel/read.js';
import type { Source } from '../kernel/source.js';
import { ConnectionSource } from './connection.js';
import { readExchange, sideOf, type Exchange, type Side } from './exchange.js';
import type { Filter } from './filter.js';
import { Handshakes, isFirst } from './handshakes.js';
import type { LiveSource } from './live.js';
import { asksForOwner } from './owners.js';
import { kindOf, PacketSource } from './packet.js';
import { RequestLines } from './request-lines.js';
import { takeWaitingExchanges } from './waiting-exchanges.js';

export { exchangeSpec as trial } from './packet.js';

const { at: FIELD } = HTTP_EXCHANGE;
const CONNECTION_RING_BYTES = 1 << 20;

export interface ExchangeOptions {
  readonly filter: Filter;
  /** How much of a request's target is shown. */
  readonly targets: Targets;
  /** Null: both. */
  readonly side: Side | null;
  /** Shorter ones are left out. */
  readonly slowNs: number;
  readonly ringBytes: number;
}

export class ExchangeSource implements LiveSource<Exchange> {
  /** Knows how long connecting took, and whose a connection is, for a filter that asks for that. */
  readonly #connections: ConnectionSource;
  readonly #handshakes = new Handshakes();
  readonly #packets: PacketSource;
  readonly #lines: RequestLines;
  /** What waited for its last point at the end. */
  readonly #left: DataView[] = [];
  readonly #side: Side | null;
  readonly #slowNs: number;
  #isFinished = false;

  constructor({ filter, targets, side, slowNs, ringBytes }: ExchangeOptions) {
    const ring = { bytes: ringBytes, loseEvery: 0 };
    this.#connections = new ConnectionSource({
      ...{ filter, retrans: false },
      ring: { bytes: CONNECTION_RING_BYTES, loseEvery: 0 },
    });
    if (asksForOwner(filter)) this.#connections.seedOwners();
    this.#packets = new PacketSource({ filter, time: false, http: true, packets: null, ring });
    this.#lines = new RequestLines(targets);
    this.#side = side;
    this.#slowNs = slowNs;
  }

  get source(): Source {
    return this.#packets.source;
  }

  /** Requests whose first line had to make room before they ended. */
  get forgottenLines(): number {
    return this.#lines.forgotten;
  }

  drain(take: (record: Exchange) => void): number {
    let exchanges = 0;
    if (!this.#isFinished) this.#connect();
    for (const view of this.#left.splice(0)) if (this.#take(view, 0, take)) exchanges++;
    let records: number;
    do {
      records = this.#packets.drain((view, places, count) => {
        for (let i = 0; i < count; i++) if (this.#take(view, places[i]!, take)) exchanges++;
      });
      // a batch of nothing but first lines is not the end
    } while (records > 0 && exchanges === 0);
    return exchanges;
  }

  #take(view: DataView, at: number, take: (record: Exchange) => void): boolean {
    const kind = kindOf(view, at);
    if (kind === KIND.NW_KIND_HTTP_HEAD) this.#lines.add(view, at);
    if (kind !== KIND.NW_KIND_HTTP_EXCHANGE) return false;
    if (!this.#isWanted(view, at)) {
      this.#lines.take(view, at);
      return false;
    }
    take(readExchange(view, at, this.#lines, this.#connectNs(view, at)));
    return true;
  }

  /** Takes what the ring of the connections holds. */
  #connect(): void {
    this.#connections.drain((record) => {
      if (record.kind === 'open') this.#handshakes.opened(record.connection);
    });
  }

  #connectNs(view: DataView, at: number): number | null {
    if (!isFirst(view, at)) return null;
    // it may have come since the last look
    if (!this.#isFinished) this.#connect();
    return this.#handshakes.before(view, at);
  }

  #isWanted(view: DataView, at: number): boolean {
    const side = sideOf(view.getUint8(at + FIELD.role));
    if (this.#side !== null && side !== this.#side) return false;
    return readU64(view, at + FIELD.durationNs) >= this.#slowNs;
  }

  finish(): void {
    this.#connect();
    this.#isFinished = true;
    this.#packets.stopWatching();
    this.#connections.source.close();
    takeWaitingExchanges(this.source, (view, at) => {
      this.#left.push(new DataView(view.buffer.slice(at, at + HTTP_EXCHANGE.size)));
    });
  }
}
