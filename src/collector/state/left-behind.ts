/** Sockets left behind: connections that the other end has closed and their process has not. */
import type { Part } from '../../metrics/snapshot.js';
import type { CgroupNames } from '../../sources/cgroup-names.js';
import type { Connection } from '../../sources/connection.js';
import { TCP_CLOSE_WAIT } from '../../sources/tcp-states.js';
import { nameLabels, ownerLabels } from './connection-labels.js';
import { stateAgeSeconds } from './connection-values.js';

/** What this file writes. */
type Writes = Part<'netwatch_tcp_close_wait_sockets' | 'netwatch_tcp_close_wait_oldest_seconds'>;

interface Waiting {
  readonly labels: ReturnType<typeof ownerLabels> & ReturnType<typeof nameLabels>;
  count: number;
  /** Seconds; null where no beginning was seen. */
  oldest: number | null;
}

export function addLeftBehind(
  snapshot: Writes,
  entries: Iterable<{ readonly last: Connection; readonly names: CgroupNames | null }>,
): void {
  const found = new Map<string, Waiting>();
  for (const { last, names } of entries) {
    if (last.state !== TCP_CLOSE_WAIT) continue;
    const labels = { ...ownerLabels(last), ...nameLabels(names) };
    const key = Object.values(labels).join(' ');
    const waiting = found.get(key) ?? { labels, count: 0, oldest: null };
    const age = stateAgeSeconds(last);
    waiting.count++;
    if (age !== null) waiting.oldest = Math.max(age, waiting.oldest ?? 0);
    found.set(key, waiting);
  }
  for (const { labels, count, oldest } of found.values()) {
    snapshot.add('netwatch_tcp_close_wait_sockets', labels, count);
    if (oldest !== null) snapshot.add('netwatch_tcp_close_wait_oldest_seconds', labels, oldest);
  }
}
