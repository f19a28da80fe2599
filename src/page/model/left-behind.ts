/** Sockets left behind: connections that the other end has closed and their process has not, by process. */
import type { PageSnapshot } from '../../serve/types.js';
import { placeOf } from './flows.js';
import { key, scalars } from './series.js';

export interface LeftBehindRow {
  /** The same for the same process. */
  readonly key: string;
  readonly process: string;
  readonly pid: string;
  readonly unit: string | null;
  readonly sockets: number;
  /** Seconds; null where no beginning was seen. */
  readonly oldest: number | null;
}

/** Most sockets first. */
export function leftBehindRows(snapshot: PageSnapshot | null): LeftBehindRow[] {
  if (snapshot === null) return [];
  const oldest = new Map(
    scalars(snapshot, 'netwatch_tcp_close_wait_oldest_seconds').map(({ labels, value }) => [
      key(labels),
      value,
    ]),
  );
  return scalars(snapshot, 'netwatch_tcp_close_wait_sockets')
    .map(({ labels, value }) => ({
      key: key(labels),
      process: labels['process'] ?? '',
      pid: labels['pid'] ?? '',
      unit: placeOf(labels),
      sockets: value ?? 0,
      oldest: oldest.get(key(labels)) ?? null,
    }))
    .sort((a, b) => b.sockets - a.sockets || (a.key < b.key ? -1 : 1));
}
