/**
 * What the collector makes of HTTP exchanges: lines of requests.log, objects, counts of their parts, and the
 * slowest ones for the end. Told of the records of heads and exchanges as they are read.
 */
import { decodeHttpExchange, HTTP_EXCHANGE } from '../generated/packet.js';
import { readU64 } from '../kernel/read.js';
import { ByteWriter } from '../metrics/bytes.js';
import { exchangeOf, sideOf, type Exchange } from '../sources/exchange.js';
import { ExchangeParts } from '../sources/exchange-parts.js';
import type { Handshakes } from '../sources/handshakes.js';
import { RequestDurations } from '../sources/request-durations.js';
import { RequestLines } from '../sources/request-lines.js';
import type { RotatingLog } from '../sinks/rotating.js';
import type { Targets } from '../http/targets.js';
import { ExchangeText } from './exchange-text.js';
import type { NamesOf } from '../sources/cgroup-names.js';
import type { UnitTotals } from './state/unit-totals.js';
import type { Ndjson } from './ndjson.js';

const { at: FIELD } = HTTP_EXCHANGE;
const MOST_SLOW = 3;

/** What is said of requests at the end. */
export interface RequestSummary {
  readonly counts: Pick<ExchangeParts, 'totals'>;
  /** The slowest first. */
  readonly slowest: readonly Exchange[];
}

export interface RequestsParts {
  /** Null without -i. */
  readonly log: RotatingLog | null;
  readonly ndjson: Ndjson | null;
  readonly toWallMs: (ns: number) => number;
  readonly handshakes: Handshakes;
  readonly namesOf: NamesOf;
  readonly units: UnitTotals;
}

export class Requests implements RequestSummary {
  readonly counts = new ExchangeParts();
  readonly durations = new RequestDurations();
  readonly #parts: RequestsParts;
  readonly #lines: RequestLines;
  readonly #text: ExchangeText;
  #waiting = 0;
  /** The slowest first. */
  #slowest: readonly Exchange[] = [];

  constructor(targets: Targets, parts: RequestsParts) {
    this.#parts = parts;
    this.#lines = new RequestLines(targets);
    this.#text = new ExchangeText(new ByteWriter(1 << 16), parts.toWallMs);
  }

  get slowest(): readonly Exchange[] {
    return this.#slowest;
  }

  /** First lines that had to make room before their exchange ended. */
  get forgottenLines(): number {
    return this.#lines.forgotten;
  }

  /** Takes the record of a head; `isClean`: as {@link RequestLines.add} has it. */
  head(view: DataView, at: number, isClean?: boolean): void {
    this.#lines.add(view, at, isClean);
  }

  /** Takes the record of an exchange. */
  exchange(view: DataView, at: number): void {
    this.counts.add(view, at);
    this.durations.add(view, at);
    const names = this.#parts.namesOf(readU64(view, at + FIELD.cgroup));
    this.#parts.units.of(names).requests[sideOf(view.getUint8(at + FIELD.role))]++;
    const { log, ndjson, toWallMs, handshakes } = this.#parts;
    const slot = this.#lines.takeSlot(view, at);
    const connectNs = handshakes.before(view, at);
    if (log !== null) {
      this.#text.add(view, at, this.#lines.pathIn(slot), connectNs);
      this.#waiting++;
    }
    const isSlow = this.#isSlow(readU64(view, at + FIELD.durationNs));
    if (!isSlow && ndjson === null) return;
    const request = this.#lines.lineIn(slot);
    const exchange = exchangeOf(decodeHttpExchange(view, at), request, connectNs);
    ndjson?.exchange(exchange, toWallMs(exchange.tsNs), names);
    if (isSlow) this.#keep(exchange);
  }

  /** Hands the lines over. */
  flush(): void {
    if (this.#waiting > 0) this.#parts.log?.write(this.#text.lines.view(), this.#waiting);
    this.#waiting = 0;
    this.#text.lines.reset();
  }

  #isSlow(ns: number): boolean {
    return this.#slowest.length < MOST_SLOW || ns > (this.#slowest.at(-1)?.durationNs ?? 0);
  }

  #keep(exchange: Exchange): void {
    this.#slowest = [...this.#slowest, exchange]
      .sort((a, b) => (b.durationNs ?? 0) - (a.durationNs ?? 0))
      .slice(0, MOST_SLOW);
  }
}
