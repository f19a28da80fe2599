/**
 * Tells the service manager how things are (sd_notify(3)): datagrams to the Unix socket that
 * NOTIFY_SOCKET names. Node.js has no such sockets, so libc's are called.
 */
import { c } from './ffi.js';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
/** sizeof(sun_path): a longer name cannot be an address. */
const MAX_PATH_BYTES = 108;

/** `READY`, `STATUS`, `WATCHDOG` … and their values. */
export type Notification = Readonly<Record<string, string | number>>;

export type Notifier = (notification: Notification) => void;

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

/** One assignment per line; a value cannot begin another one. */
export function encodeNotification(notification: Notification): string {
  return Object.entries(notification)
    .map(([name, value]) => `${name}=${String(value).replaceAll(/\s+/g, ' ')}\n`)
    .join('');
}

/**
 * How to tell the manager; does nothing where there is none. A manager that does not listen is no
 * reason to end, so errors are ignored.
 */
export function createNotifier(socketName = process.env['NOTIFY_SOCKET'] ?? ''): Notifier {
  const address = unixAddress(socketName);
  if (address === null) return () => undefined;
  return (notification) => {
    const fd = c.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    const data = Buffer.from(encodeNotification(notification));
    c.sendto(fd, data, data.length, MSG_DONTWAIT | MSG_NOSIGNAL, address, address.length);
    c.close(fd);
  };
}
