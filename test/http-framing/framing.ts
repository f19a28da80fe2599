/**
 * Builds test/http-framing/framing.c (bpf/include/http.h compiled natively) and talks to it: a Script
 * collects segments of many connections, run() feeds them to one process and reads what was reported.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { compile } from '../support/compile.js';

export const IN = 0;
export const OUT = 1;
export type Way = typeof IN | typeof OUT;

const ROLE = { unknown: 0, client: 1, server: 2 } as const;
export type Role = keyof typeof ROLE;

export const METHODS = [
  ...['', 'CONNECT', 'DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'TRACE', 'QUERY'],
  '_OTHER',
] as const;

const PHASES = [
  ...['start', 'line', 'long', 'name', 'skip', 'length', 'coding', 'chunk', 'body', 'data'],
  ...['close', 'pending', 'resync', 'proxy'],
] as const;

const OFF = ['on', 'other', 'http2', 'tunnel', 'tls', 'ended'] as const;
const OUTCOMES = ['answered', 'reset', 'closed', 'timeout', 'truncated'] as const;
export type Outcome = (typeof OUTCOMES)[number];
const CAUSES = ['matched', 'lost', 'midstream', 'too_deep', 'unasked'] as const;

export type Report =
  | {
      readonly kind: 'request' | 'response';
      readonly way: number;
      readonly method: string;
      readonly status: number;
      readonly version: number;
      readonly offset: number;
      readonly truncated: boolean;
      readonly line: string;
    }
  | {
      readonly kind: 'end';
      readonly method: string;
      readonly status: number;
      readonly version: number;
      /** null = not known. */
      readonly start: number | null;
      readonly end: number;
      readonly body: number;
      /** First byte of the response; null = there is none. */
      readonly first: number | null;
      /** Of the request's body; null = not known. */
      readonly requestBody: number | null;
      readonly outcome: string;
      /** Why the start is not known. */
      readonly cause: string;
    }
  | { readonly kind: 'proxy'; readonly bytes: string }
  | { readonly kind: 'sent'; readonly body: number }
  /** Requests whose responses have passed unseen, or not to their end. */
  | { readonly kind: 'lost'; readonly requests: number }
  | {
      readonly kind: 'state';
      readonly off: string;
      readonly requestWay: number | null;
      readonly phases: readonly string[];
      readonly outstanding: number;
      readonly resyncs: number;
      readonly overflowed: number;
      /** Requests without a response, as the hooks are told. */
      readonly waiting: number;
      /** Whether there is memory outside the connection for its requests. */
      readonly hasDeep: boolean;
    }
  | { readonly kind: 'bench'; readonly ns: number };

const ORDER_BYTES = 24;

/** Compiles the harness into `directory`; null if this machine has no C compiler. */
export function buildFraming(directory: string, flags: readonly string[] = []): string | null {
  return compile(join(import.meta.dirname, 'framing.c'), directory, flags);
}

/** What to feed, as the bytes framing.c reads. Sequence numbers count up per way by themselves. */
export class Script {
  #bytes = Buffer.alloc(1 << 16);
  #used = 0;
  #seq = [0, 0];
  #now = 0;
  role: Role = 'server';

  get now(): number {
    return this.#now;
  }

  /** The next sequence number of a way. */
  seq(way: Way): number {
    return this.#seq[way]!;
  }

  /** `memory`: whether there is some for requests that lie outside. */
  connection(role: Role = 'server', firstSeq = 1000, memory = true): this {
    this.#seq = [firstSeq, firstSeq];
    this.#now = 0;
    this.role = role;
    return this.#order('N', 0, 0, new Uint8Array(), 0, !memory);
  }

  /** The next segment of a way; every segment is 10 ns after the one before. */
  send(way: Way, payload: Uint8Array | string): this {
    const bytes = typeof payload === 'string' ? Buffer.from(payload, 'latin1') : payload;
    const seq = this.#seq[way]!;
    this.#seq[way] = (seq + bytes.length) >>> 0;
    return this.segment(way, seq, bytes);
  }

  /**
   * A segment with any sequence number; `early`: TCP has not got what is missing before it, so that
   * will be sent again.
   */
  segment(way: Way, seq: number, payload: Uint8Array | string, early = false): this {
    const bytes = typeof payload === 'string' ? Buffer.from(payload, 'latin1') : payload;
    this.#now += 10;
    return this.#order('S', way, seq, bytes, 0, early);
  }

  /** Bytes that TCP gets and the watcher does not see. */
  lose(way: Way, bytes: number): this {
    this.#seq[way] = (this.#seq[way]! + bytes) >>> 0;
    return this;
  }

  close(way: Way): this {
    this.#now += 10;
    return this.#order('C', way, 0, new Uint8Array());
  }

  /** The connection is over; `acked`: the other end has all that was sent. */
  ended(outcome: Outcome, acked = true): this {
    this.#now += 10;
    return this.#order('X', OUTCOMES.indexOf(outcome), 0, new Uint8Array(), 0, !acked);
  }

  /** `last`: who has sent last, if that is known. */
  midstream(last?: Way): this {
    return this.#order('M', last === undefined ? 0 : 1 + last, 0, new Uint8Array());
  }

  expect(way: Way, seq: number): this {
    return this.#order('E', way, seq, new Uint8Array());
  }

  state(): this {
    return this.#order('=', 0, 0, new Uint8Array());
  }

  /** Feeds one segment `times` times; `drain`: nobody answers, keep the queue empty. */
  bench(way: Way, payload: Uint8Array, times: number, drain = false): this {
    return this.#order('B', way, 0, payload, times, drain);
  }

  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#used);
  }

  #order(
    what: string,
    way: number,
    seq: number,
    payload: Uint8Array,
    times = 0,
    flag = false,
  ): this {
    const need = this.#used + ORDER_BYTES + payload.length;
    if (need > this.#bytes.length) {
      const larger = Buffer.alloc(need * 2);
      this.#bytes.copy(larger, 0, 0, this.#used);
      this.#bytes = larger;
    }
    const at = this.#used;
    this.#bytes[at] = what.charCodeAt(0);
    this.#bytes[at + 1] = way;
    this.#bytes[at + 2] = ROLE[this.role];
    this.#bytes[at + 3] = Number(flag);
    this.#bytes.writeUInt32LE(seq >>> 0, at + 4);
    this.#bytes.writeUInt32LE(payload.length, at + 8);
    this.#bytes.writeUInt32LE(times, at + 12);
    this.#bytes.writeUInt32LE(this.#now, at + 16);
    this.#bytes.writeUInt32LE(0, at + 20);
    this.#bytes.set(payload, at + ORDER_BYTES);
    this.#used = need;
    return this;
  }
}

function parseLine(line: string): Report {
  const [what, ...words] = line.split(' ');
  const n = words.map(Number);
  switch (what) {
    case 'head':
      return {
        kind: n[1] === 1 ? 'request' : 'response',
        way: n[0]!,
        method: METHODS[n[2]!] ?? '?',
        status: n[3]!,
        version: n[4]!,
        offset: n[5]!,
        truncated: n[6] === 1,
        line: Buffer.from(words[7] ?? '', 'hex').toString('latin1'),
      };
    case 'end':
      return {
        kind: 'end',
        method: METHODS[n[0]!] ?? '?',
        status: n[1]!,
        version: n[2]!,
        start: n[3] === 0 ? null : n[3]!,
        end: n[4]!,
        body: n[5]!,
        first: n[6] === 0 ? null : n[6]!,
        requestBody: n[7]! < 0 ? null : n[7]!,
        outcome: OUTCOMES[n[8]!] ?? '?',
        cause: CAUSES[n[9]!] ?? '?',
      };
    case 'proxy':
      return { kind: 'proxy', bytes: Buffer.from(words[0] ?? '', 'hex').toString('latin1') };
    case 'sent':
      return { kind: 'sent', body: n[0]! };
    case 'lost':
      return { kind: 'lost', requests: n[0]! };
    case 'state':
      return {
        kind: 'state',
        off: OFF[n[0]!] ?? '?',
        requestWay: n[1] === 0 ? null : n[1]! - 1,
        phases: [PHASES[n[2]!] ?? '?', PHASES[n[3]!] ?? '?'],
        outstanding: n[4]!,
        resyncs: n[5]!,
        overflowed: n[6]!,
        waiting: n[7]!,
        hasDeep: n[8] === 1,
      };
    case 'bench':
      return { kind: 'bench', ns: n[0]! };
    default:
      throw new Error(`framing said: ${line}`);
  }
}

/** What was reported, one list per connection of the script. */
export function run(program: string, script: Script): Report[][] {
  const result = spawnSync(program, {
    input: script.bytes(),
    encoding: 'latin1',
    maxBuffer: 1 << 30,
  });
  if (result.status !== 0)
    throw new Error(`framing ended with ${result.signal ?? result.status}: ${result.stderr}`);
  const connections: Report[][] = [];
  for (const line of result.stdout.split('\n')) {
    if (line === 'new') connections.push([]);
    else if (line !== '') connections.at(-1)!.push(parseLine(line));
  }
  return connections;
}
