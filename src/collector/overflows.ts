/** Connections that came while an accept queue was full, by the listener, of all that have listened. */
import { OWNER_SOURCE } from '../generated/connection.js';
import { formatEndpoint } from '../metrics/address.js';
import { oneLine } from '../metrics/text.js';
import type { Connection } from '../sources/connection.js';

/** Listeners with a name. */
const MOST = 1024;
const OTHERS = 'at other listeners';

function nameOf({ localAddr, localPort, ownerSource, pid, comm }: Connection): string {
  const isKnown = ownerSource !== OWNER_SOURCE.NW_OWNER_NONE;
  const whose = isKnown ? `of ${oneLine(comm)} (pid ${pid})` : 'of nobody known';
  return `at ${formatEndpoint(localAddr, localPort)} ${whose}`;
}

export class Overflows {
  /** By what is said of a listener. */
  readonly counts = new Map<string, number>();

  /** The last count of one that has closed, or is open at the end; that of a connection is 0. */
  add(listener: Connection): void {
    if (listener.overflows === 0) return;
    const name = nameOf(listener);
    const key = this.counts.has(name) || this.counts.size < MOST ? name : OTHERS;
    this.counts.set(key, (this.counts.get(key) ?? 0) + listener.overflows);
  }
}
