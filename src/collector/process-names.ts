/**
 * Whose packets are shown: the owners of connections by their two ends, as the records of
 * connections tell them. A packet brings no name of its own.
 */
import { OWNER_SOURCE } from '../generated/connection.js';
import { PACKET } from '../generated/packet.js';
import { processName } from '../kernel/host.js';
import type { Connection } from '../sources/connection.js';

const { at: FIELD } = PACKET;
const SYN = 0x02;
const SYN_ACK = 0x12;

/** Connections remembered between two pulls: 10 MB. */
const MOST = 65_536;

export interface Owner {
  readonly pid: number;
  readonly comm: string;
  /** Its id; 0: not known. */
  readonly cgroup: number;
}

/** With its key: a pull that finds the same again makes nothing that stays. */
interface Named extends Owner {
  readonly key: string;
}

/** Names a connection among all of this machine; `src` and `dst` as in the logs. */
export function endsKey(netns: number, src: string, dst: string): string {
  return `${netns} ${src} ${dst}`;
}

/**
 * Every pull names all connections that are open, so what two pulls in a row have not named is
 * forgotten: nothing has to be removed, and the last packets of a closed connection find its owner.
 */
export class ProcessNames {
  readonly #nameOf: (pid: number) => string | null;
  #now = new Map<string, Named>();
  #before = new Map<string, Named>();
  /** Names of processes that were looked up since the last pull; null: it was gone. */
  #looked = new Map<number, string | null>();

  constructor(nameOf: (pid: number) => string | null = processName) {
    this.#nameOf = nameOf;
  }

  /** A pull begins. */
  age(): void {
    this.#before = this.#now;
    this.#now = new Map();
    this.#looked = new Map();
  }

  /** What a record tells of a connection's owner. */
  note({ netns, ownerSource, pid, comm, cgroup }: Connection, src: string, dst: string): void {
    if (ownerSource === OWNER_SOURCE.NW_OWNER_NONE) return;
    const key = endsKey(netns, src, dst);
    const now = this.#now.get(key);
    if (now === undefined && this.#now.size >= MOST) {
      const oldest = this.#now.keys().next().value;
      if (oldest !== undefined) this.#now.delete(oldest);
    }
    const known = now ?? this.#before.get(key);
    const isSame = known?.pid === pid && known.comm === comm && known.cgroup === cgroup;
    if (!isSame) this.#now.set(key, { key, pid, comm, cgroup });
    else if (now === undefined) this.#now.set(known.key, known);
  }

  /** The process at this side of a connection; null if it is not known. */
  ownerOf(key: string): Owner | null {
    return this.#now.get(key) ?? this.#before.get(key) ?? null;
  }

  /** The same for the packet at `at`. */
  ownerOfPacket(view: DataView, at: number, key: string): Owner | null {
    const flags = view.getUint8(at + FIELD.tcpFlags);
    if ((flags & SYN) === 0) return this.ownerOf(key);
    const isClient = view.getUint8(at + FIELD.rx) !== 1 && (flags & SYN_ACK) === SYN;
    return this.#ownerOfSyn(key, view.getUint32(at + FIELD.pid, true), isClient);
  }

  /**
   * A SYN says itself by whose socket it was sent or received. Who sends the first one owns the
   * connection; of one that is received that is the listener.
   */
  #ownerOfSyn(key: string, pid: number, isClient: boolean): Owner | null {
    const known = this.ownerOf(key);
    if (pid === 0 || known?.pid === pid) return known;
    const comm = this.#lookUp(pid);
    if (comm === null) return isClient ? null : known;
    const owner = { key, pid, comm, cgroup: 0 };
    // A flood of SYNs must not displace those that got further.
    const isNews = known === null || isClient;
    if (isNews && this.#now.size < MOST) this.#now.set(key, owner);
    return owner;
  }

  #lookUp(pid: number): string | null {
    let name = this.#looked.get(pid);
    if (name === undefined) {
      name = this.#nameOf(pid);
      this.#looked.set(pid, name);
    }
    return name;
  }
}
