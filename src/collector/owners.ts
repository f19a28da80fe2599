/** Whose a packet, a drop or a reset is: its process, and the unit, container and pod of that. */
import { formatEndpoint } from '../metrics/address.js';
import { NO_OWNER, type ProcessOwner } from '../metrics/ndjson.js';
import type { FaultRecord } from '../sources/fault.js';
import type { NamesOf } from './connection-table.js';
import { endsKey, type Owner, type ProcessNames } from './process-names.js';

/** Nobody did when it came, whoever may have shortly before. */
const NOBODY_LISTENS = 'NO_SOCKET';
const [ANY_IPV4, ANY_IPV6] = ['0.0.0.0', '::'];
/** A listener's own end and its other end, where it takes what comes to any address. */
const ANY = [
  [ANY_IPV4, ANY_IPV4],
  [ANY_IPV6, ANY_IPV6],
] as const;

export class Owners {
  readonly #processes: ProcessNames;
  readonly #namesOf: NamesOf;

  constructor(processes: ProcessNames, namesOf: NamesOf) {
    this.#processes = processes;
    this.#namesOf = namesOf;
  }

  /** Of the packet whose record is at `at`; `key` names its connection, see {@link endsKey}. */
  ofPacket(view: DataView, at: number, key: string): ProcessOwner {
    return this.#named(this.#processes.ownerOfPacket(view, at, key));
  }

  /**
   * By the socket; of what never got to one (a firewall dropped it) by its ends, or else who listens where it
   * was bound for, as the last pull has seen.
   */
  ofFault(fault: FaultRecord): ProcessOwner {
    if (fault.pid !== 0) return this.#named(fault);
    const src = formatEndpoint(fault.localAddr, fault.localPort);
    const dst = formatEndpoint(fault.peerAddr, fault.peerPort);
    const owner = this.#processes.ownerOf(endsKey(fault.netns, src, dst));
    return this.#named(owner ?? this.#listenerFor(fault));
  }

  #listenerFor({ kind, received, reason, netns, localAddr, localPort }: FaultRecord): Owner | null {
    if (kind !== 'drop' || !received || reason === NOBODY_LISTENS) return null;
    const places = [[localAddr, localAddr.includes(':') ? ANY_IPV6 : ANY_IPV4], ...ANY] as const;
    for (const [address, any] of places) {
      const src = formatEndpoint(address, localPort);
      const owner = this.#processes.ownerOf(endsKey(netns, src, formatEndpoint(any, 0)));
      if (owner !== null) return owner;
    }
    return null;
  }

  #named(owner: Owner | null): ProcessOwner {
    if (owner === null) return NO_OWNER;
    const { pid, comm, cgroup } = owner;
    return { pid, process: comm, names: this.#namesOf(cgroup) };
  }
}
