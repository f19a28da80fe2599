/**
 * One HTTP exchange in words: its side, method, outcome, and the parts that its time is made of with what
 * lies inside them. All of it follows from the kernel's records (bpf/include/record.h).
 */
import {
  CLIENT_PART,
  decodeHttpExchange,
  HTTP_EXCHANGE,
  HTTP_METHOD,
  HTTP_OUTCOME,
  HTTP_ROLE,
  SERVER_PART,
  UNEXPLAINED,
  type HttpExchange,
} from '../generated/packet.js';
import type { RequestLine, RequestLines } from './request-lines.js';

export const SIDES = ['server', 'client'] as const;
export type Side = (typeof SIDES)[number];

/** `request_transfer` of `NW_SERVER_REQUEST_TRANSFER`. */
type NameOf<Key, Prefix extends string> = Key extends `${Prefix}${infer Name}`
  ? Lowercase<Name>
  : never;

export type ServerPart = NameOf<keyof typeof SERVER_PART, 'NW_SERVER_'>;
export type ClientPart = NameOf<keyof typeof CLIENT_PART, 'NW_CLIENT_'>;
export type PartName = ServerPart | ClientPart;
export type Outcome = NameOf<keyof typeof HTTP_OUTCOME, 'NW_HTTP_'>;
export type Cause = NameOf<keyof typeof UNEXPLAINED, 'NW_UNEXPLAINED_'>;

/** Names by number. */
function namesOf<N extends string>(
  values: Readonly<Record<string, number>>,
  prefix: string,
): ReadonlyMap<number, N> {
  return new Map(
    Object.entries(values)
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, value]) => [value, key.slice(prefix.length).toLowerCase() as N]),
  );
}

/** A duration of the record that is no part. */
type Inside = {
  [K in keyof HttpExchange]: HttpExchange[K] extends number | null
    ? null extends HttpExchange[K]
      ? K
      : never
    : never;
}[keyof HttpExchange];

/** A duration with its name. */
export interface Timing {
  readonly name: string;
  readonly key: Inside;
}

export interface ExchangePart {
  readonly name: PartName;
  /** Of the record's parts. */
  readonly index: number;
  /** What lies inside, `receive_queue_run_queue`. */
  readonly inside: readonly Timing[];
}

type InsideNames = Readonly<Partial<Record<PartName, Readonly<Record<string, Inside>>>>>;

function partsOf(names: ReadonlyMap<number, PartName>, inside: InsideNames): ExchangePart[] {
  return [...names]
    .sort(([a], [b]) => a - b)
    .map(([index, name]) => ({
      name,
      index,
      inside: Object.entries(inside[name] ?? {}).map(([of, key]) => ({
        name: `${name}_${of}`,
        key,
      })),
    }));
}

/** The parts by side, in order of time; they add up to the duration. */
export const PARTS: Readonly<Record<Side, readonly ExchangePart[]>> = {
  server: partsOf(namesOf<ServerPart>(SERVER_PART, 'NW_SERVER_'), {
    request_transfer: { reordering: 'reorderingNs' },
    receive_queue: { run_queue: 'runQueueNs' },
    response_write: { send_buffer: 'sendBufferNs' },
    send_wait: { retransmit: 'sendRetransmitNs', receive_window: 'receiveWindowNs' },
  }),
  client: partsOf(namesOf<ClientPart>(CLIENT_PART, 'NW_CLIENT_'), {
    request_write: { send_buffer: 'sendBufferNs' },
    send_wait: { retransmit: 'sendRetransmitNs', receive_window: 'receiveWindowNs' },
    remote: { network: 'networkNs', retransmit: 'waitRetransmitNs' },
    response_transfer: { reordering: 'reorderingNs' },
    receive_queue: { run_queue: 'runQueueNs' },
  }),
};

/** What is behind the end of an exchange, and in no sum. */
export const BEYOND: Readonly<Record<Side, readonly Timing[]>> = {
  server: [
    { name: 'delivery', key: 'deliveryNs' },
    { name: 'delivery_retransmit', key: 'waitRetransmitNs' },
  ],
  client: [],
};

/** A duration of the record by its name and its place, in the order in which all are shown. */
export interface Place {
  readonly name: string;
  /** Bytes from the begin of the record. */
  readonly at: number;
}

const { at: FIELD } = HTTP_EXCHANGE;
const DURATION_BYTES = 8;
const placeOf = ({ name, key }: Timing): Place => ({ name, at: FIELD[key] });

/** All durations of a side: each part, then what is inside it; what is behind the end. */
export function placesOf(side: Side): readonly Place[] {
  return [
    ...PARTS[side].flatMap(({ name, index, inside }) => [
      { name, at: FIELD.partNs + DURATION_BYTES * index },
      ...inside.map(placeOf),
    ]),
    ...BEYOND[side].map(placeOf),
  ];
}

export const sideOf = (role: number): Side =>
  role === HTTP_ROLE.NW_HTTP_ROLE_SERVER ? 'server' : 'client';

/** Method names by code; what OpenTelemetry does not list is `_OTHER`. */
const METHODS = new Map<number, string>(
  Object.entries(HTTP_METHOD).map(([name, code]) => [code, name.replace('NW_HTTP_', '')]),
);

export function httpMethod(code: number): string {
  return code === HTTP_METHOD.NW_HTTP_NONE || code === HTTP_METHOD.NW_HTTP_OTHER
    ? '_OTHER'
    : (METHODS.get(code) ?? '_OTHER');
}

const OUTCOMES = namesOf<Outcome>(HTTP_OUTCOME, 'NW_HTTP_');
const CAUSES = namesOf<Cause>(UNEXPLAINED, 'NW_UNEXPLAINED_');

export const outcomeOf = (code: number): Outcome => OUTCOMES.get(code) ?? 'closed';

/** Why parts are not known; null: all are. A code of a newer kernel side is one of no hook. */
export function causeOf(code: number): Cause | null {
  return code === UNEXPLAINED.NW_EXPLAINED ? null : (CAUSES.get(code) ?? 'kernel');
}

/** An exchange that has ended, with the first line of its request if that is known. */
export interface Exchange extends HttpExchange {
  readonly request: RequestLine | null;
  /** From SYN to established, before a client's first exchange; null: not known. */
  readonly connectNs: number | null;
}

/** The record with what belongs to it: the same object, as a copy takes the engine microseconds. */
export function exchangeOf(
  record: HttpExchange,
  request: RequestLine | null,
  connectNs: number | null,
): Exchange {
  return Object.assign(record, { request, connectNs });
}

/** The exchange whose record is at `at`; its line is forgotten in `lines`. */
export function readExchange(
  view: DataView,
  at: number,
  lines: RequestLines,
  connectNs: number | null = null,
): Exchange {
  return exchangeOf(decodeHttpExchange(view, at), lines.take(view, at), connectNs);
}

const FIRST_CLIENT_ERROR = 400;
const FIRST_SERVER_ERROR = 500;

/**
 * Whether it failed: by its outcome, or by its status. Of a server a 4xx is an answer, to a client it
 * is a failure (OpenTelemetry).
 */
export function isError({
  role,
  status,
  outcome,
}: Pick<HttpExchange, 'role' | 'status' | 'outcome'>): boolean {
  const first = sideOf(role) === 'server' ? FIRST_SERVER_ERROR : FIRST_CLIENT_ERROR;
  return !isAnswered({ outcome }) || status >= first;
}

/** Whether it has a whole response. */
export const isAnswered = ({ outcome }: Pick<HttpExchange, 'outcome'>): boolean =>
  outcome === HTTP_OUTCOME.NW_HTTP_ANSWERED;

/** Of its part: what lies inside and is less explains nothing. */
export const LEAST_INSIDE = 0.1;

/** What explains a part of an exchange, of what lies inside; null: nothing does. */
export function explanationOf(exchange: HttpExchange, part: ExchangePart): Timing | null {
  const ns = ({ key }: Timing): number => exchange[key] ?? 0;
  const [most] = [...part.inside].sort((a, b) => ns(b) - ns(a));
  const least = (exchange.partNs[part.index] ?? 0) * LEAST_INSIDE;
  return most !== undefined && ns(most) > 0 && ns(most) >= least ? most : null;
}

/** The part that took longest, if parts are known. */
export function largestPart(exchange: HttpExchange): ExchangePart | null {
  let largest: ExchangePart | null = null;
  let longestNs = 0;
  for (const part of PARTS[sideOf(exchange.role)]) {
    const ns = exchange.partNs[part.index] ?? 0;
    if (ns <= longestNs) continue;
    largest = part;
    longestNs = ns;
  }
  return largest;
}
