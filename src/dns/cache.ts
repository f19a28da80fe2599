/**
 * Which name an address was found by, as the QUERY column of `tcpconnect -d` shows it. After bcc's
 * tcpconnect: 10,240 addresses, each for a day. A namespace knows only its own answers.
 */
import { parseAnswer } from './message.js';

/** As bcc: addresses that are remembered; the oldest make room. */
const MAX_ADDRESSES = 10_240;
const MS_PER_DAY = 86_400_000;
/** An answer older than this has its age shown: something else took long, or it was not used at once. */
const SHOWN_AGE_MS = 100;
const NS_PER_MS = 1e6;
const LOCALHOST: ReadonlySet<string> = new Set(['127.0.0.1', '::1']);

/** Of struct nw_dns (bpf/include/dns.bpf.h), as decodeDns() gives it. */
export interface DnsRecord {
  readonly tsNs: number;
  readonly netns: number;
  /** Of the whole message in bytes. */
  readonly length: number;
  /** Its first bytes. */
  readonly message: Uint8Array;
}

/** What led to a connection. */
export interface Query {
  /** Null: no answer that was seen has this address. */
  readonly name: string | null;
  /** From the answer to the connection; null if there is no name. */
  readonly ageMs: number | null;
}

interface Entry {
  readonly name: string;
  readonly tsNs: number;
}

const keyOf = (netns: number, address: string): string => `${netns} ${address}`;

export class DnsCache {
  readonly #entries = new Map<string, Entry>();

  /** Takes over an answer's addresses; a record that is none is passed over. */
  take({ netns, tsNs, length, message }: DnsRecord): void {
    const answer = parseAnswer(message.subarray(0, length));
    if (answer === null) return;
    for (const address of answer.addresses) {
      const key = keyOf(netns, address);
      // at the end: the map is in order of age
      this.#entries.delete(key);
      this.#entries.set(key, { name: answer.name, tsNs });
    }
    this.#makeRoom();
  }

  #makeRoom(): void {
    for (const key of this.#entries.keys()) {
      if (this.#entries.size <= MAX_ADDRESSES) return;
      this.#entries.delete(key);
    }
  }

  get size(): number {
    return this.#entries.size;
  }

  /** `tsNs`: when the connection was opened, by the clock of the records. */
  find(netns: number, address: string, tsNs: number): Query {
    const entry = this.#entries.get(keyOf(netns, address));
    if (entry === undefined) return { name: null, ageMs: null };
    const ageMs = (tsNs - entry.tsNs) / NS_PER_MS;
    return ageMs > MS_PER_DAY ? { name: null, ageMs: null } : { name: entry.name, ageMs };
  }
}

/** The cell: `example.org`, `example.org (153.201ms)`, `localhost`, `No DNS Query`. */
export function queryText({ name, ageMs }: Query, address: string): string {
  if (name === null || ageMs === null) return LOCALHOST.has(address) ? 'localhost' : 'No DNS Query';
  return ageMs > SHOWN_AGE_MS ? `${name} (${ageMs.toFixed(3)}ms)` : name;
}
