/** What the kernel itself counts in each network namespace (nstat's TcpExt): for SYN cookies. */
import { readFileSync, statSync } from 'node:fs';
import { inNamespace } from '../kernel/iterator.js';

/** SYN cookies of a server whose queue of requests is full. */
export interface SynCookies {
  readonly sent: number;
  /** Came back with the last ACK of a handshake, and became a connection. */
  readonly received: number;
  /** ACKs that were no cookie of ours. */
  readonly failed: number;
}

const NONE: SynCookies = { sent: 0, received: 0, failed: 0 };

/** The counters of one group in the text of /proc/net/netstat: a line of names, a line of numbers. */
function readCounters(text: string, group: string): ReadonlyMap<string, number> {
  const [names = '', values = ''] = text.split('\n').filter((line) => line.startsWith(`${group}:`));
  const numbers = values.split(' ');
  return new Map(names.split(' ').map((name, i) => [name, Number(numbers[i])]));
}

/** Those of the namespace at this path, and the inode number by which it is known. */
function cookiesIn(path: string | null): { key: number; now: SynCookies } {
  return inNamespace(path, () => {
    const key = statSync('/proc/thread-self/ns/net').ino;
    const counters = readCounters(readFileSync('/proc/thread-self/net/netstat', 'utf8'), 'TcpExt');
    const of = (name: string): number => counters.get(name) ?? 0;
    const [sent, received] = [of('SyncookiesSent'), of('SyncookiesRecv')];
    return { key, now: { sent, received, failed: of('SyncookiesFailed') } };
  });
}

const plus = (a: SynCookies, b: SynCookies): SynCookies => ({
  sent: a.sent + b.sent,
  received: a.received + b.received,
  failed: a.failed + b.failed,
});

const minus = (a: SynCookies, b: SynCookies): SynCookies => ({
  sent: a.sent - b.sent,
  received: a.received - b.received,
  failed: a.failed - b.failed,
});

/** SYN cookies of all namespaces since the start, also of those that are gone. */
export class SynCookieCounts {
  readonly #first = new Map<number, SynCookies>();
  readonly #grown = new Map<number, SynCookies>();
  /** Of a namespace that comes later everything counts. */
  #isFirst = true;

  /**
   * Reads the namespaces at these paths (null: this one). One that goes away meanwhile, or may not be
   * entered, keeps what it had.
   */
  read(paths: readonly (string | null)[]): void {
    for (const path of paths) {
      try {
        const { key, now } = cookiesIn(path);
        const first = this.#first.get(key) ?? (this.#isFirst ? now : NONE);
        this.#first.set(key, first);
        this.#grown.set(key, minus(now, first));
      } catch {
        // gone, or without CAP_SYS_ADMIN
      }
    }
    this.#isFirst = false;
  }

  total(): SynCookies {
    return [...this.#grown.values()].reduce(plus, NONE);
  }
}
