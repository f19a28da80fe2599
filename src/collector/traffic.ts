/** Who moved how many bytes while netwatch watched: by the name of the process, and by the other end. */
import { OWNER_SOURCE } from '../generated/connection.js';
import type { Connection } from '../sources/connection.js';
import { payloadReceived } from '../sources/payload.js';

/** Names kept apart; when there are more, the smaller half makes room. */
const MOST = 65_536;

/** Payload both ways, in bytes, since the connection opened. */
export const bytesOf = (connection: Connection): number =>
  connection.bytesSent - connection.bytesRetrans + payloadReceived(connection);

/** Adds up, and keeps what is large. */
class Sums {
  #sums = new Map<string, number>();

  add(name: string, bytes: number): void {
    this.#sums.set(name, (this.#sums.get(name) ?? 0) + bytes);
    if (this.#sums.size > MOST) this.#sums = new Map(this.largest(MOST / 2));
  }

  /** The largest first. */
  largest(count: number): [name: string, bytes: number][] {
    return [...this.#sums].sort(([, a], [, b]) => b - a).slice(0, count);
  }
}

export class Traffic {
  readonly processes = new Sums();
  readonly peers = new Sums();

  /** A connection has moved so many bytes that were not added yet. */
  add({ ownerSource, comm, peerAddr }: Connection, bytes: number): void {
    if (bytes <= 0) return;
    this.processes.add(ownerSource === OWNER_SOURCE.NW_OWNER_NONE ? '-' : comm, bytes);
    this.peers.add(peerAddr, bytes);
  }
}
