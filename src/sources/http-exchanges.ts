/**
 * HTTP exchanges, counted from their records as they are read: how long they took, when the first
 * byte of the response came, how large the bodies were. Of exchanges whose record is lost the kernel
 * counts the duration (bpf/include/http_exchange.bpf.h). Bounded whatever a peer sends: see folded().
 */
import { STATUS_CODES } from 'node:http';
import { HTTP_EXCHANGE, HTTP_OUTCOME, HTTP_ROLE, type HttpKey } from '../generated/packet.js';
import { readDuration, readU64 } from '../kernel/read.js';
import { familyOf } from '../metrics/families.js';
import { BODY_SIZE_BYTES, OTEL_HTTP_SECONDS } from '../metrics/histogram.js';
import type { HttpDurations } from './packet.js';

const { at: FIELD } = HTTP_EXCHANGE;
const NS_PER_S = 1e9;
const BOUNDS_NS = OTEL_HTTP_SECONDS.map((seconds) => seconds * NS_PER_S);
/** Prescribed by nobody: closer together, and from 64 us on. */
const FIRST_BYTE_NS = familyOf('netwatch_http_first_byte_duration_seconds').buckets.map((seconds) =>
  Math.round(seconds * NS_PER_S),
);

/** Kinds of exchanges that are kept apart; more are counted as `_OTHER`. */
const MOST_KINDS = 4096;
/** A kind that has not been seen for so long is forgotten; its series end. */
const IDLE_MS = 3_600_000;

/** Shown as `_OTHER`; three digits end below it. */
export const OTHER_STATUS = 1023;
/** The port of what is counted as `_OTHER` for want of room. */
export const OTHER_PORT = 0;
/** A power of two; a role is one or two. */
const ROLES = 4;
const FIRST_STATUS = 100;
const STATUS_END = 600;

/** Counts per bucket, +Inf last, and the sum of what was counted. */
export interface Distribution {
  readonly buckets: readonly number[];
  readonly sum: number;
}

interface Filling extends Distribution {
  readonly buckets: number[];
  sum: number;
}

/** Exchanges of one kind. */
export interface HttpCounts {
  readonly key: HttpKey;
  /** In nanoseconds. */
  readonly duration: Distribution;
  /** Until the first byte of the response, in nanoseconds. */
  readonly firstByte: Distribution;
  /** In bytes. */
  readonly requestBody: Distribution;
  readonly responseBody: Distribution;
}

interface Kind extends HttpCounts {
  readonly duration: Filling;
  readonly firstByte: Filling;
  readonly requestBody: Filling;
  readonly responseBody: Filling;
  /** Seen since the last look at all of them. */
  isFresh: boolean;
  /** When it was seen first after such a look. */
  lastMs: number;
}

/** What the records of one side had last: most have the same again. */
interface Recent {
  status: number;
  serverPort: number;
  method: number;
  version: number;
  outcome: number;
  /** Null: nothing yet, or it is forgotten. */
  kind: Kind | null;
}

const empty = (bounds: readonly number[]): Filling => ({
  buckets: new Array<number>(bounds.length + 1).fill(0),
  sum: 0,
});

function count(into: Filling, bounds: readonly number[], value: number): void {
  let bucket = 0;
  while (bucket < bounds.length && value > bounds[bucket]!) bucket++;
  into.buckets[bucket]!++;
  into.sum += value;
}

/** A whole number of bits for each part, below 2^53. */
function numberOf({ status, serverPort, role, method, version, outcome }: HttpKey): number {
  const small = ((((role << 4) | method) << 1) | version) * 8 + outcome;
  return (small * 1024 + status) * 65_536 + serverPort;
}

/**
 * What a peer chooses is folded, so that nobody can fill the table from outside: a status that is
 * none (RFC 9110, section 15), and at a client each that is not in use (a server chose it).
 */
function folded(key: HttpKey): HttpKey {
  const { status, role } = key;
  const isKnown =
    role === HTTP_ROLE.NW_HTTP_ROLE_CLIENT
      ? STATUS_CODES[status] !== undefined
      : status >= FIRST_STATUS && status < STATUS_END;
  return isKnown || status === 0 ? key : { ...key, status: OTHER_STATUS };
}

export class HttpExchanges {
  readonly #kinds = new Map<number, Kind>();
  /** What takeOver() has seen, by key. */
  readonly #taken = new Map<number, Readonly<Distribution>>();
  readonly #now: () => number;
  /** By the role. */
  readonly #recent: readonly Recent[] = Array.from({ length: ROLES }, () => ({
    ...{ status: 0, serverPort: 0, method: 0, version: 0, outcome: 0 },
    kind: null,
  }));

  /** `now`: milliseconds of a clock that does not jump. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Counts the exchange whose record is at `at`. */
  add(view: DataView, at: number): void {
    const kind = this.#kindAt(view, at);
    this.#see(kind);
    count(kind.duration, BOUNDS_NS, readU64(view, at + FIELD.durationNs));
    const firstByte = readDuration(view, at + FIELD.firstByteNs);
    if (firstByte !== null) count(kind.firstByte, FIRST_BYTE_NS, firstByte);
    const requestBytes = readDuration(view, at + FIELD.requestBytes);
    if (requestBytes !== null) count(kind.requestBody, BODY_SIZE_BYTES, requestBytes);
    // the size of what was cut is not known
    if (kind.key.outcome === HTTP_OUTCOME.NW_HTTP_ANSWERED)
      count(kind.responseBody, BODY_SIZE_BYTES, readU64(view, at + FIELD.responseBytes));
  }

  /** Takes over what the kernel has counted by itself since the last call. */
  takeOver(durations: readonly HttpDurations[]): void {
    for (const { key, buckets, sumNs } of durations) {
      const name = numberOf(key);
      const before = this.#taken.get(name);
      const more = buckets.map((total, bucket) => total - (before?.buckets[bucket] ?? 0));
      if (more.every((count) => count === 0)) continue;
      this.#taken.set(name, { buckets, sum: sumNs });
      const kind = this.#kindOf(key);
      this.#see(kind);
      for (const [bucket, count] of more.entries()) kind.duration.buckets[bucket]! += count;
      kind.duration.sum += sumNs - (before?.sum ?? 0);
    }
  }

  /** All kinds; those that were idle for an hour are forgotten. */
  counts(): HttpCounts[] {
    const oldest = this.#now() - IDLE_MS;
    for (const [number, kind] of this.#kinds) {
      if (kind.lastMs < oldest) this.#kinds.delete(number);
      kind.isFresh = false;
    }
    for (const recent of this.#recent) recent.kind = null;
    return [...this.#kinds.values()];
  }

  /** The clock is asked once between two looks. */
  #see(kind: Kind): void {
    if (kind.isFresh) return;
    kind.isFresh = true;
    kind.lastMs = this.#now();
  }

  /** Of the record at `at`. */
  #kindAt(view: DataView, at: number): Kind {
    const status = view.getUint16(at + FIELD.status, true);
    const serverPort = view.getUint16(at + FIELD.serverPort, true);
    const role = view.getUint8(at + FIELD.role);
    const method = view.getUint8(at + FIELD.method);
    const version = view.getUint8(at + FIELD.version);
    const outcome = view.getUint8(at + FIELD.outcome);
    const recent = this.#recent[role & (ROLES - 1)]!;
    if (
      recent.kind !== null &&
      recent.status === status &&
      recent.serverPort === serverPort &&
      recent.method === method &&
      recent.version === version &&
      recent.outcome === outcome
    )
      return recent.kind;
    const key = { status, serverPort, role, method, version, outcome };
    return Object.assign(recent, key, { kind: this.#kindOf(key) }).kind;
  }

  #kindOf(key: HttpKey): Kind {
    const wanted = folded(key);
    const number = numberOf(wanted);
    const kind = this.#kinds.get(number);
    if (kind !== undefined) return kind;
    if (this.#kinds.size < MOST_KINDS) return this.#make(number, wanted);
    const other = { ...wanted, status: OTHER_STATUS, serverPort: OTHER_PORT };
    const shared = numberOf(other);
    return this.#kinds.get(shared) ?? this.#make(shared, other);
  }

  #make(number: number, key: HttpKey): Kind {
    const kind = {
      key,
      duration: empty(BOUNDS_NS),
      firstByte: empty(FIRST_BYTE_NS),
      requestBody: empty(BODY_SIZE_BYTES),
      responseBody: empty(BODY_SIZE_BYTES),
      isFresh: true,
      lastMs: this.#now(),
    };
    this.#kinds.set(number, kind);
    return kind;
  }
}
