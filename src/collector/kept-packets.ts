/**
 * Packets of connections that nobody has accepted yet, where the filter asks for a process: kept
 * until accept() shows whose they are. What nobody accepts counts as the listener's.
 */
import { MARK, PACKET } from '../generated/packet.js';
import type { ConnectionOwner } from '../generated/connection.js';
import { readIp } from '../kernel/read.js';

const { at: FIELD } = PACKET;
const TCP_SYN = 0x02;

/** Records that are kept at most; then the oldest connection's count as its listener's. */
const MAX_KEPT = 65_536;
/** Verdicts that are remembered for records which come after them. */
const MAX_JUDGED = 65_536;
/** A handshake that takes longer has been given up: 5 SYN-ACKs sent again take 63 s. */
const MAX_AGE_MS = 75_000;

type TakeRecord = (view: DataView, at: number) => void;

interface Kept {
  /** When the first one came, by performance.now(). */
  readonly sinceMs: number;
  readonly records: DataView[];
}

interface Verdict {
  readonly tsNs: number;
  readonly allowed: boolean;
}

export class KeptPackets {
  readonly #release: TakeRecord;
  readonly #drop: TakeRecord;
  /** By the ends of the connection, in the order in which they began. */
  readonly #kept = new Map<string, Kept>();
  readonly #judged = new Map<string, Verdict>();
  #count = 0;

  /** `release` gets the records that count after all, `drop` the others. */
  constructor(release: TakeRecord, drop: TakeRecord) {
    this.#release = release;
    this.#drop = drop;
  }

  /** Takes a record that is unjudged; it is copied. */
  keep(view: DataView, at: number): void {
    const key = keyOfPacket(view, at);
    const verdict = this.#verdict(key, view, at);
    if (verdict !== undefined) {
      (verdict.allowed ? this.#release : this.#drop)(view, at);
      return;
    }
    const copy = new DataView(
      view.buffer.slice(view.byteOffset + at, view.byteOffset + at + PACKET.size),
    );
    const kept = this.#kept.get(key);
    if (kept === undefined) this.#kept.set(key, { sinceMs: performance.now(), records: [copy] });
    else kept.records.push(copy);
    this.#count++;
    if (this.#count > MAX_KEPT) this.#giveUpOldest();
  }

  /** What is known already of its connection; a SYN that came later begins another one. */
  #verdict(key: string, view: DataView, at: number): Verdict | undefined {
    const verdict = this.#judged.get(key);
    if (verdict === undefined) return undefined;
    const isSyn = (view.getUint8(at + FIELD.tcpFlags) & TCP_SYN) !== 0;
    if (!isSyn || timeOf(view, at) <= verdict.tsNs) return verdict;
    this.#judged.delete(key);
    return undefined;
  }

  /** The connection has been accepted, or has ended before. */
  judge(owner: ConnectionOwner): void {
    const key = keyOf(owner);
    const allowed = owner.allowed === 1;
    this.#judged.delete(key);
    this.#judged.set(key, { tsNs: owner.tsNs, allowed });
    if (this.#judged.size > MAX_JUDGED) {
      const oldest = this.#judged.keys().next().value;
      if (oldest !== undefined) this.#judged.delete(oldest);
    }
    this.#settle(key, () => allowed);
  }

  /** Gives up waiting for what has been kept too long. */
  expire(nowMs = performance.now()): void {
    for (const [key, { sinceMs }] of this.#kept) {
      if (nowMs - sinceMs < MAX_AGE_MS) return;
      this.#settle(key, isListeners);
    }
  }

  /** Nobody will accept any more. */
  finish(): void {
    for (const key of this.#kept.keys()) this.#settle(key, isListeners);
  }

  #giveUpOldest(): void {
    const oldest = this.#kept.keys().next().value;
    if (oldest !== undefined) this.#settle(oldest, isListeners);
  }

  #settle(key: string, allowed: (record: DataView) => boolean): void {
    const kept = this.#kept.get(key);
    if (kept === undefined) return;
    this.#kept.delete(key);
    this.#count -= kept.records.length;
    for (const record of kept.records) (allowed(record) ? this.#release : this.#drop)(record, 0);
  }
}

const isListeners = (record: DataView): boolean =>
  (record.getUint8(FIELD.marks) & MARK.NW_MARK_LISTENER_ALLOWED) !== 0;

const WORD = 0x1_0000_0000;

function timeOf(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * WORD + view.getUint32(at, true);
}

type Ends = Pick<ConnectionOwner, 'netns' | 'localAddr' | 'localPort' | 'peerAddr' | 'peerPort'>;

const keyOf = ({ netns, localAddr, localPort, peerAddr, peerPort }: Ends): string =>
  `${netns} ${localAddr} ${localPort} ${peerAddr} ${peerPort}`;

function keyOfPacket(view: DataView, at: number): string {
  return keyOf({
    netns: view.getUint32(at + FIELD.netns, true),
    localAddr: readIp(view, at + FIELD.localAddr),
    localPort: view.getUint16(at + FIELD.localPort, true),
    peerAddr: readIp(view, at + FIELD.peerAddr),
    peerPort: view.getUint16(at + FIELD.peerPort, true),
  });
}
