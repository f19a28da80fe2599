/**
 * Records of connections that nobody has accepted yet, where the filter asks for a process: kept
 * until accept() shows whose they are. What nobody accepts counts as the listener's.
 */
import { MARK, type ConnectionOwner } from '../generated/connection.js';
import { readAddress, readIp } from '../kernel/read.js';

const TCP_SYN = 0x02;
const NS_PER_MS = 1_000_000;
/** So long a hook that runs while accept() returns may not know of it. */
const LATE_NS = 100 * NS_PER_MS;

/** Where a record has what decides about it, in bytes; a segment's flags where it is of one. */
export interface KeptLayout {
  readonly size: number;
  readonly at: {
    readonly sock: number;
    readonly netns: number;
    readonly localAddr: number;
    readonly peerAddr: number;
    readonly localPort: number;
    readonly peerPort: number;
    readonly marks: number;
    readonly tcpFlags?: number;
  };
}

/** Records that are kept at most; then the oldest connection's count as its listener's. */
const MAX_KEPT = 65_536;
/** Verdicts that are remembered for records which come after them. */
const MAX_JUDGED = 65_536;
/** A handshake that takes longer has been given up: 5 SYN-ACKs sent again take 63 s. */
const MAX_AGE_MS = 75_000;

/** `owner`: who has accepted it; null: nobody has, or it is not known. */
type TakeRecord = (view: DataView, at: number, owner: ConnectionOwner | null) => void;

interface Kept {
  /** When the first one came, by performance.now(). */
  readonly sinceMs: number;
  readonly records: DataView[];
}

/** Whether the filter asks for a process and it is not known yet whose this record is. */
export const isUnjudgedIn = ({ at: field }: KeptLayout, view: DataView, at: number): boolean =>
  (view.getUint8(at + field.marks) & MARK.NW_MARK_UNJUDGED) !== 0;

export class KeptRecords {
  readonly #layout: KeptLayout;
  readonly #release: TakeRecord;
  readonly #drop: TakeRecord;
  /** By the ends of the connection, in the order in which they began. */
  readonly #kept = new Map<string, Kept>();
  readonly #judged = new Map<string, ConnectionOwner>();
  #count = 0;

  /** `release` gets the records that count after all, `drop` the others. */
  constructor(layout: KeptLayout, release: TakeRecord, drop: TakeRecord) {
    this.#layout = layout;
    this.#release = release;
    this.#drop = drop;
  }

  /** Takes a record that is unjudged; it is copied. */
  keep(view: DataView, at: number): void {
    const key = this.#keyOf(view, at);
    const owner = this.#verdict(key, view, at);
    if (owner !== undefined) {
      (owner.allowed === 1 ? this.#release : this.#drop)(view, at, owner);
      return;
    }
    const begin = view.byteOffset + at;
    const copy = new DataView(view.buffer.slice(begin, begin + this.#layout.size));
    const kept = this.#kept.get(key);
    if (kept === undefined) this.#kept.set(key, { sinceMs: performance.now(), records: [copy] });
    else kept.records.push(copy);
    this.#count++;
    if (this.#count > MAX_KEPT) this.#giveUpOldest();
  }

  /** What is known already of its connection, if it is not of another one that has begun since. */
  #verdict(key: string, view: DataView, at: number): ConnectionOwner | undefined {
    const owner = this.#judged.get(key);
    if (owner === undefined || !this.#begins(view, at, owner)) return owner;
    this.#judged.delete(key);
    return undefined;
  }

  /** A later SYN begins another connection; so does what came later at another socket. */
  #begins(view: DataView, at: number, owner: ConnectionOwner): boolean {
    const { tcpFlags, sock } = this.#layout.at;
    const laterNs = timeOf(view, at) - owner.tsNs;
    if (laterNs <= 0) return false;
    if (tcpFlags !== undefined) return (view.getUint8(at + tcpFlags) & TCP_SYN) !== 0;
    return readAddress(view, at + sock) !== owner.sock || laterNs > LATE_NS;
  }

  /** The connection has been accepted, or has ended before. */
  judge(owner: ConnectionOwner): void {
    const key = keyOf(owner);
    this.#judged.delete(key);
    this.#judged.set(key, owner);
    if (this.#judged.size > MAX_JUDGED) {
      const oldest = this.#judged.keys().next().value;
      if (oldest !== undefined) this.#judged.delete(oldest);
    }
    this.#settle(key, owner);
  }

  /** Gives up waiting for what has been kept too long. */
  expire(nowMs = performance.now()): void {
    for (const [key, { sinceMs }] of this.#kept) {
      if (nowMs - sinceMs < MAX_AGE_MS) return;
      this.#settle(key, null);
    }
  }

  /** Nobody will accept any more. */
  finish(): void {
    for (const key of this.#kept.keys()) this.#settle(key, null);
  }

  #giveUpOldest(): void {
    const oldest = this.#kept.keys().next().value;
    if (oldest !== undefined) this.#settle(oldest, null);
  }

  /** Without an owner they are the listener's. */
  #settle(key: string, owner: ConnectionOwner | null): void {
    const kept = this.#kept.get(key);
    if (kept === undefined) return;
    this.#kept.delete(key);
    this.#count -= kept.records.length;
    for (const record of kept.records) {
      const isAllowed = owner === null ? this.#isListeners(record) : owner.allowed === 1;
      (isAllowed ? this.#release : this.#drop)(record, 0, owner);
    }
  }

  #isListeners(record: DataView): boolean {
    return (record.getUint8(this.#layout.at.marks) & MARK.NW_MARK_LISTENER_ALLOWED) !== 0;
  }

  #keyOf(view: DataView, at: number): string {
    const { at: field } = this.#layout;
    return keyOf({
      netns: view.getUint32(at + field.netns, true),
      localAddr: readIp(view, at + field.localAddr),
      localPort: view.getUint16(at + field.localPort, true),
      peerAddr: readIp(view, at + field.peerAddr),
      peerPort: view.getUint16(at + field.peerPort, true),
    });
  }
}

const WORD = 0x1_0000_0000;

function timeOf(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * WORD + view.getUint32(at, true);
}

type Ends = Pick<ConnectionOwner, 'netns' | 'localAddr' | 'localPort' | 'peerAddr' | 'peerPort'>;

const keyOf = ({ netns, localAddr, localPort, peerAddr, peerPort }: Ends): string =>
  `${netns} ${localAddr} ${localPort} ${peerAddr} ${peerPort}`;
