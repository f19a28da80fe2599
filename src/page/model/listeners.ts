/** Listening sockets of a snapshot: whose they are, how full their queues, what found no room. */
import type { PageSnapshot } from '../../serve/types.js';
import { placeOf } from './flows.js';
import { increases, key, scalars, type Step } from './series.js';

export interface ListenerRow {
  /** The same for the same socket. */
  readonly key: string;
  readonly process: string;
  readonly pid: string;
  readonly unit: string | null;
  /** `[::]:80` */
  readonly address: string;
  /** Connections that wait for accept(). */
  readonly length: number;
  /** Null where it is not known. */
  readonly limit: number | null;
  /** Since netwatch started; null without -e. */
  readonly overflows: number | null;
  /** Per second, over the last minute. */
  readonly overflowRate: number | null;
}

const LIMIT = 'netwatch_tcp_accept_queue_limit';
const OVERFLOWS = 'netwatch_tcp_accept_queue_overflows_total';

const byLabels = (snapshot: PageSnapshot, name: string): ReadonlyMap<string, number | null> =>
  new Map(scalars(snapshot, name).map(({ labels, value }) => [key(labels), value]));

/** How full a queue is, from 0 to 1 and more: the kernel takes one above the limit. */
export const fullness = ({ length, limit }: ListenerRow): number =>
  limit === null || limit === 0 ? Math.min(length, 1) : Math.min(length / limit, 1);

/** Trouble first: what overflowed, then the fullest. */
const byTrouble = (a: ListenerRow, b: ListenerRow): number =>
  (b.overflows ?? 0) - (a.overflows ?? 0) ||
  fullness(b) - fullness(a) ||
  (a.address < b.address ? -1 : 1);

/** `minute`: for the rates; null: none are known. */
export function listenerRows(snapshot: PageSnapshot | null, minute: Step | null): ListenerRow[] {
  if (snapshot === null) return [];
  const limits = byLabels(snapshot, LIMIT);
  const overflows = byLabels(snapshot, OVERFLOWS);
  const grown = new Map(
    minute === null
      ? []
      : increases(minute, OVERFLOWS).map(({ labels, increase }) => [
          key(labels),
          increase / minute.seconds,
        ]),
  );
  const rows = scalars(snapshot, 'netwatch_tcp_accept_queue_length').map(({ labels, value }) => {
    const { network_local_address: host = '', network_local_port: port = '' } = labels;
    return {
      key: key(labels),
      process: labels['process'] ?? '',
      pid: labels['pid'] ?? '',
      unit: placeOf(labels),
      address: `${host.includes(':') ? `[${host}]` : host}:${port}`,
      length: value ?? 0,
      limit: limits.get(key(labels)) ?? null,
      overflows: overflows.get(key(labels)) ?? null,
      overflowRate: grown.get(key(labels)) ?? null,
    };
  });
  return rows.sort(byTrouble);
}
