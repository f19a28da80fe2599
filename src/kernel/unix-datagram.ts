/**
 * Datagrams to Unix sockets, which Node.js has none of: libc's are called. For the service manager
 * (notify.ts) and the journal (src/sinks/journal.ts).
 */
import { errno } from './ffi.js';
import { c } from './libc.js';
import { describeErrno } from './system-error.js';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const SOL_SOCKET = 1;
const SO_SNDTIMEO = 21;
/** sizeof(sun_path): a longer name cannot be an address. */
const MAX_PATH_BYTES = 108;
const TIMEVAL_BYTES = 16;

/**
 * struct sockaddr_un of a path, or of an abstract name, which begins with `@`; null if it can be no
 * address.
 */
export function unixAddress(name: string): Uint8Array | null {
  const bytes = Buffer.from(name);
  const isAbstract = name.startsWith('@');
  if (!isAbstract && !name.startsWith('/')) return null;
  if (bytes.length < 2 || bytes.length >= MAX_PATH_BYTES) return null;
  if (isAbstract) bytes[0] = 0;
  const family = Buffer.alloc(2);
  family.writeUInt16LE(AF_UNIX);
  // A path ends in a zero byte; every byte of an abstract name counts.
  return Buffer.concat([family, bytes, Buffer.alloc(isAbstract ? 0 : 1)]);
}

/** struct timeval of some microseconds, fewer than a second. */
function timeval(us: number): Uint8Array {
  const bytes = Buffer.alloc(TIMEVAL_BYTES);
  bytes.writeBigInt64LE(BigInt(us), 8);
  return bytes;
}

/** A socket that sends to one name, also when another process has come to listen there meanwhile. */
export class DatagramSender {
  readonly #address: Uint8Array;
  #fd: number;

  private constructor(address: Uint8Array, fd: number) {
    this.#address = address;
    this.#fd = fd;
  }

  /**
   * Null if the name can be no address, or there are no descriptors left.
   * @param waitUs longest wait in microseconds for a listener whose queue is full; below a second
   */
  static open(name: string, waitUs = 0): DatagramSender | null {
    const address = unixAddress(name);
    const fd = address === null ? -1 : c.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (address === null || fd < 0) return null;
    if (waitUs > 0) c.setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, timeval(waitUs), TIMEVAL_BYTES);
    return new DatagramSender(address, fd);
  }

  /** Why nobody listens at the name; null: somebody does. Nothing is sent. */
  whyUnheard(): string | null {
    const probe = c.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const failed = c.connect(probe, this.#address, this.#address.length) !== 0;
    const reason = failed ? describeErrno(errno()) : null;
    c.close(probe);
    return reason;
  }

  /** False if the datagram did not get there: no listener, too large, its queue full. */
  send(data: Uint8Array, mayWait = false): boolean {
    if (this.#fd < 0) return false;
    const flags = MSG_NOSIGNAL | (mayWait ? 0 : MSG_DONTWAIT);
    const to = this.#address;
    return c.sendto(this.#fd, data, data.length, flags, to, to.length) === data.length;
  }

  close(): void {
    if (this.#fd >= 0) c.close(this.#fd);
    this.#fd = -1;
  }
}
