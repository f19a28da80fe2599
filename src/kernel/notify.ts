/** Tells the service manager how things are (sd_notify(3)), at the socket NOTIFY_SOCKET names. */
import { DatagramSender } from './unix-datagram.js';

/** `READY`, `STATUS`, `WATCHDOG` … and their values. */
export type Notification = Readonly<Record<string, string | number>>;

export type Notifier = (notification: Notification) => void;

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
  return (notification) => {
    const sender = DatagramSender.open(socketName);
    sender?.send(Buffer.from(encodeNotification(notification)));
    sender?.close();
  };
}
