/**
 * Connections that came while an accept queue was full, by the listener, from the records of -e: also of
 * listeners that are gone, and their series with them. Of those that are there the kernel's own counts stand,
 * where records were lost.
 */
import { formatEndpoint } from '../metrics/address.js';
import type { ProcessOwner } from '../metrics/ndjson.js';
import type { Snapshot } from '../metrics/snapshot.js';
import { oneLine } from '../metrics/text.js';
import { OVERFLOW, type FaultRecord } from '../sources/fault.js';

/** Listeners with a name. */
const MOST = 1024;
const OTHERS = 'at other listeners';

const nameOf = (address: string, port: number, pid: string, process: string): string => {
  const whose = pid === '' ? 'of nobody known' : `of ${oneLine(process)} (pid ${pid})`;
  return `at ${formatEndpoint(address, port)} ${whose}`;
};

export class Overflows {
  readonly #counts = new Map<string, number>();

  /** Counts a record, if it is one. */
  note({ reason, localAddr, localPort }: FaultRecord, { pid, process }: ProcessOwner): void {
    if (reason !== OVERFLOW) return;
    const name = nameOf(localAddr, localPort, String(pid ?? ''), process ?? '');
    const key = this.#counts.has(name) || this.#counts.size < MOST ? name : OTHERS;
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  /** By what is said of a listener; `state`: with the series of those that are there. */
  counts(state: Snapshot): ReadonlyMap<string, number> {
    const present = new Map<string, number>();
    for (const { labels, value } of state.samplesOf('netwatch_tcp_accept_queue_overflows_total')) {
      const { network_local_address: address = '', network_local_port: port = '' } = labels;
      const name = nameOf(address, Number(port), labels['pid'] ?? '', labels['process'] ?? '');
      if (value > 0) present.set(name, (present.get(name) ?? 0) + value);
    }
    const counts = new Map(this.#counts);
    for (const [name, value] of present)
      counts.set(name, Math.max(value, this.#counts.get(name) ?? 0));
    return counts;
  }
}
