/** Of a request, the time of its packets; and what a packet is in words. */
import type { PacketReport, PacketsReport, RequestReport } from '../../serve/types.js';
import { quantity } from './format.js';

const MS_PER_SECOND = 1000;
/** Times of the logs are whole milliseconds. */
const ROUNDING_MS = 2;

type Span = Pick<RequestReport, 'endMs' | 'seconds' | 'inside'>;

/** When it began. */
export const beginMs = ({ endMs, seconds }: Span): number => endMs - seconds * MS_PER_SECOND;

/** The query for its packets, of a server's response those that acknowledge it too. */
export function packetsQuery(request: Span & Pick<RequestReport, 'sock'>): string {
  const deliveryMs = (request.inside['delivery'] ?? 0) * MS_PER_SECOND;
  return new URLSearchParams({
    sock: request.sock,
    from: String(Math.floor(beginMs(request)) - ROUNDING_MS),
    to: String(Math.ceil(request.endMs + deliveryMs) + ROUNDING_MS),
  }).toString();
}

/** Where a packet spent its time, the longest first; empty: not known. */
export function layersText({ mac, ip, tcp, reorder }: PacketReport): string {
  const layers = [
    ['MAC', mac],
    ['IP', ip],
    ['TCP', tcp],
  ] as const;
  const shown = layers
    .flatMap(([name, seconds]) => (seconds === null ? [] : [{ name, seconds }]))
    .sort((a, b) => b.seconds - a.seconds)
    .map(({ name, seconds }) => `${name} ${quantity(seconds, 'seconds')}`);
  if (reorder !== null) shown.push(`waited for an earlier one ${quantity(reorder, 'seconds')}`);
  return shown.join(', ');
}

/** Why there are none, or not all; null: there are. `report`: null if it cannot be had. */
export function packetsNote(report: PacketsReport | null): string | null {
  if (report === null)
    return 'Its packets are not known: packets.log is not there, or cannot be read.';
  if (report.packets.length === 0) return 'packets.log has none of its packets.';
  return report.isCut ? 'Only the newest of its packets.' : null;
}
