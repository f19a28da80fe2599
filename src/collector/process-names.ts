/**
 * Whose packets are shown: the owners of connections by their two ends, as the records of
 * connections tell them. A packet brings no name of its own.
 */
import { OWNER_SOURCE } from '../generated/connection.js';
import { processName } from '../kernel/host.js';
import type { Connection } from '../sources/connection.js';

/** Connections remembered between two pulls: 10 MB. */
const MOST = 65_536;

interface Owner {
  readonly pid: number;
  readonly comm: string;
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
  #now = new Map<string, Owner>();
  #before = new Map<string, Owner>();
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
  note({ netns, ownerSource, pid, comm }: Connection, src: string, dst: string): void {
    if (ownerSource === OWNER_SOURCE.NW_OWNER_NONE) return;
    const key = endsKey(netns, src, dst);
    if (this.#now.size >= MOST && !this.#now.has(key)) {
      const oldest = this.#now.keys().next().value;
      if (oldest !== undefined) this.#now.delete(oldest);
    }
    this.#now.set(key, { pid, comm });
  }

  /** The process at this side of a packet; null if it is not known. */
  find(key: string): string | null {
    return (this.#now.get(key) ?? this.#before.get(key))?.comm ?? null;
  }

  /**
   * The same for a SYN, which says itself by whose socket it was sent or received. Who sends the
   * first one owns the connection; of one that is received that is the listener.
   */
  findOfSyn(key: string, pid: number, isClient: boolean): string | null {
    const known = this.#now.get(key) ?? this.#before.get(key) ?? null;
    if (pid === 0 || known?.pid === pid) return known?.comm ?? null;
    const comm = this.#lookUp(pid);
    if (comm === null) return isClient ? null : (known?.comm ?? null);
    // A flood of SYNs must not displace those that got further.
    const isNews = known === null || isClient;
    if (isNews && this.#now.size < MOST) this.#now.set(key, { pid, comm });
    return comm;
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
