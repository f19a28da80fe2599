/** Whose connections proxies pass on, as they say in front of the first request (PROXY protocol). */
import { HTTP_HEAD } from '../generated/packet.js';
import { readProxyHeader, type ProxiedClient } from '../http/proxy-header.js';
import { readAddress, readBytes, readU64 } from '../kernel/read.js';

const { at: FIELD } = HTTP_HEAD;

/** Connections that are remembered; the oldest make room. */
const MOST = 65_536;

interface Known {
  readonly client: ProxiedClient;
  readonly sinceNs: number;
  /** When another connection began at this address; infinite: none has. */
  untilNs: number;
}

export class ProxiedClients {
  /** By the socket's address. */
  readonly #known = new Map<number, Known>();

  /** Takes the record of a header. */
  add(view: DataView, at: number): void {
    const client = readProxyHeader(
      readBytes(view, at + FIELD.line, view.getUint16(at + FIELD.lineBytes, true)),
    );
    const sock = readAddress(view, at + FIELD.sock);
    this.#known.delete(sock);
    if (client === null) return;
    if (this.#known.size >= MOST) {
      const oldest = this.#known.keys().next().value;
      if (oldest !== undefined) this.#known.delete(oldest);
    }
    this.#known.set(sock, { client, sinceNs: readU64(view, at + FIELD.tsNs), untilNs: Infinity });
  }

  /** A connection begins at this address: what is known is of the one before. */
  opened(sock: number, tsNs: number): void {
    const known = this.#known.get(sock);
    if (known !== undefined && tsNs > known.sinceNs) known.untilNs = tsNs;
  }

  /** Whose packet it is at this time; null: nobody's that a proxy has named. */
  at(sock: number, tsNs: number): ProxiedClient | null {
    const known = this.#known.get(sock);
    return known !== undefined && tsNs >= known.sinceNs && tsNs < known.untilNs
      ? known.client
      : null;
  }
}
