/**
 * Listening sockets that have closed and what their accept queues had no room for: a scrape that comes later
 * finds their last counts. Each keeps its series for five minutes, as long as Prometheus looks back.
 */
import type { Connection } from '../sources/connection.js';
import { Overflows } from './overflows.js';
import type { Closed, Listener } from './state/listeners.js';

const KEPT_MS = 300_000;
/** The oldest makes room for the next. */
const MOST = 1024;

interface Entry extends Listener {
  readonly overflows: number;
  /** When it closed, or its series was last that of a socket which listens. */
  readonly sinceMs: number;
}

/** The labels of its series, but for those of its cgroup. */
const keyOf = ({ netns, sock, localAddr, localPort, pid, comm }: Connection): string =>
  [netns, sock, localAddr, localPort, pid, comm].join(' ');

export class ClosedListeners implements Closed {
  /** Of all that have closed, however long ago. */
  readonly overflows = new Overflows();
  readonly #now: () => number;
  /** In the order of `sinceMs`. */
  readonly #entries = new Map<string, Entry>();
  readonly #asked = new Set<string>();

  /** `now`: of a clock, in ms. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Its last count; one that has had none needs no series. */
  add({ last, names }: Listener): void {
    this.overflows.add(last);
    const key = keyOf(last);
    const overflows = last.overflows + (this.#entries.get(key)?.overflows ?? 0);
    if (overflows === 0) return;
    this.#keep(key, { last, names, overflows, sinceMs: this.#now() });
    const oldest = this.#entries.keys().next().value;
    if (this.#entries.size > MOST && oldest !== undefined) this.#entries.delete(oldest);
  }

  before(listener: Connection): number {
    const key = keyOf(listener);
    const entry = this.#entries.get(key);
    if (entry === undefined) return 0;
    this.#asked.add(key);
    return entry.overflows;
  }

  *rest(): IterableIterator<Entry> {
    const now = this.#now();
    for (const [key, entry] of [...this.#entries])
      if (this.#asked.has(key)) this.#keep(key, { ...entry, sinceMs: now });
      else if (now - entry.sinceMs > KEPT_MS) this.#entries.delete(key);
      else yield entry;
    this.#asked.clear();
  }

  #keep(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#entries.set(key, entry);
  }
}
