/** How long connections took to be made, until their first HTTP exchange asks for it. */
import { ROLE, type Connection } from '../generated/connection.js';
import { HTTP_EXCHANGE } from '../generated/packet.js';
import { readAddress, readU64 } from '../kernel/read.js';
import { sideOf } from './exchange.js';

const { at: FIELD } = HTTP_EXCHANGE;

/** Connections that are remembered; most are no HTTP and never asked for. */
const MOST = 16_384;

interface Known {
  readonly openNs: number;
  readonly handshakeNs: number;
  /** Of the connection that had this socket's address before. */
  readonly before: Known | null;
}

/** Whether the exchange whose record is at `at` is a client's first one on its connection. */
export const isFirst = (view: DataView, at: number): boolean =>
  view.getUint32(at + FIELD.number, true) === 0 &&
  sideOf(view.getUint8(at + FIELD.role)) === 'client';

export class Handshakes {
  /** By the socket's address. */
  readonly #known = new Map<number, Known>();
  readonly #most: number;

  constructor(most = MOST) {
    this.#most = most;
  }

  /** Only who connects waits for it. */
  opened({ sock, role, openNs, handshakeNs }: Connection): void {
    if (role !== ROLE.NW_ROLE_CLIENT || openNs === null || handshakeNs === null) return;
    const known = this.#known.get(sock);
    const before = known === undefined ? null : { ...known, before: null };
    this.#known.delete(sock);
    if (this.#known.size >= this.#most) {
      const oldest = this.#known.keys().next().value;
      if (oldest !== undefined) this.#known.delete(oldest);
    }
    this.#known.set(sock, { openNs, handshakeNs, before });
  }

  /**
   * Nanoseconds before the exchange whose record is at `at`; null: not known, or it did not wait for it, as
   * only a client's first one does.
   */
  before(view: DataView, at: number): number | null {
    if (!isFirst(view, at)) return null;
    const startNs = readU64(view, at) - readU64(view, at + FIELD.durationNs);
    return this.take(readAddress(view, at + FIELD.sock), startNs);
  }

  /** The same of the connection at this address of which a request began then. */
  take(sock: number, startNs: number): number | null {
    let known = this.#known.get(sock) ?? null;
    while (known !== null && known.openNs > startNs) known = known.before;
    if (known !== null && known === this.#known.get(sock)) this.#known.delete(sock);
    return known?.handshakeNs ?? null;
  }
}
