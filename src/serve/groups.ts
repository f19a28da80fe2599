/** Which part of /metrics a family belongs to: what `?collect[]=` chooses by. */
import { FAMILIES } from '../metrics/families.js';
import type { Group } from './types.js';

/** The first prefix that fits decides. */
const PREFIXES: readonly (readonly [prefix: string, group: Group])[] = [
  ['http_', 'http'],
  ['netwatch_http_request', 'http'],
  ['netwatch_connection_', 'connections'],
  ['netwatch_packet_', 'packets'],
  ['netwatch_skb_', 'packets'],
  ['netwatch_tcp_', 'tcp'],
  ['', 'netwatch'],
];

/**
 * The group of a family. What netwatch does not declare is `other`, whatever its name: a file of
 * somebody else's `http_requests_total` says nothing about the HTTP that netwatch saw.
 */
export function groupOf(family: string): Group {
  if (!Object.hasOwn(FAMILIES, family)) return 'other';
  return PREFIXES.find(([prefix]) => family.startsWith(prefix))![1];
}
