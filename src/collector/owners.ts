/** Whose a packet, a drop or a reset is: its process, and the unit, container and pod of that. */
import { formatEndpoint } from '../metrics/address.js';
import { NO_OWNER, type ProcessOwner } from '../metrics/ndjson.js';
import type { FaultRecord } from '../sources/fault.js';
import type { NamesOf } from '../sources/cgroup-names.js';
import { endsKey, type Owner, type ProcessNames } from './process-names.js';

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
   * was bound for, which the record has.
   */
  ofFault(fault: FaultRecord): ProcessOwner {
    if (fault.sock !== 0 && fault.pid !== 0) return this.#named(fault);
    const src = formatEndpoint(fault.localAddr, fault.localPort);
    const dst = formatEndpoint(fault.peerAddr, fault.peerPort);
    const owner = this.#processes.ownerOf(endsKey(fault.netns, src, dst));
    return this.#named(owner ?? (fault.pid === 0 ? null : fault));
  }

  #named(owner: Owner | null): ProcessOwner {
    if (owner === null) return NO_OWNER;
    const { pid, comm, cgroup } = owner;
    return { pid, process: comm, names: this.#namesOf(cgroup) };
  }
}
