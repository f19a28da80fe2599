/** How long packets were in each layer. */
import type { LayerTotals } from '../../generated/packet.js';
import type { Part } from '../../metrics/snapshot.js';
import { SHORT_SLOTS } from '../../metrics/histogram.js';
import { foldedFine } from './kernel-histogram.js';

/** What this file writes. */
type Writes = Part<'netwatch_packet_layer_duration_seconds'>;

const DIRECTIONS = ['receive', 'transmit'] as const;
const LAYERS = ['mac', 'ip', 'tcp', 'reorder'] as const;
const NETWORK_TYPES = ['ipv4', 'ipv6'] as const;

export function addLayers(snapshot: Writes, totals: LayerTotals): void {
  const name = 'netwatch_packet_layer_duration_seconds';
  for (const [d, direction] of DIRECTIONS.entries())
    for (const [l, layer] of LAYERS.entries())
      for (const [t, type] of NETWORK_TYPES.entries()) {
        const histogram = totals.duration[d]?.[l]?.[t];
        // nothing that is sent waits for an earlier segment
        if (histogram === undefined || (layer === 'reorder' && direction === 'transmit')) continue;
        // 148 series each: none for what no packet has had yet
        if (!histogram.buckets.some((count) => count > 0)) continue;
        const labels = { layer, network_io_direction: direction, network_type: type };
        snapshot.histogram(name, labels, ...foldedFine(name, histogram, SHORT_SLOTS));
      }
}
