/** Where packets spend their time: the layers of the network stack on top of each other. */
import { LABEL_VALUES } from '../../../src/metrics/families.js';
import { heatMap, meanByPanel, quantileByPanel, type Panel } from '../panel.js';
import type { Row } from '../row.js';

const NAME = 'netwatch_packet_layer_duration_seconds';

const WAIT: Readonly<Record<string, string>> = {
  receive: 'TCP: until the application has read the last byte.',
  transmit: 'TCP: from the first byte written until TCP hands it over.',
};

/** Mean times add up, which quantiles do not. */
const stacked = (direction: string): Panel => ({
  ...meanByPanel(NAME, ['layer'], `network_io_direction="${direction}"`),
  title: `Mean time per packet, ${direction}`,
  description: `One layer on top of the other. ${WAIT[direction] ?? ''}`,
  stacked: true,
});

const heat = (direction: string): Panel[] =>
  LABEL_VALUES.layer.map((layer) =>
    heatMap(
      `${layer.toUpperCase()}, ${direction}`,
      NAME,
      `layer="${layer}"`,
      `network_io_direction="${direction}"`,
    ),
  );

export const LAYERS: Row = {
  title: 'Layer times (-t)',
  claims: /^netwatch_packet_layer/,
  collapsed: false,
  panels: [
    ...LABEL_VALUES.network_io_direction.map(stacked),
    quantileByPanel(NAME, ['network_io_direction', 'layer'], 0.5),
    quantileByPanel(NAME, ['network_io_direction', 'layer'], 0.99),
    ...LABEL_VALUES.network_io_direction.flatMap(heat),
  ],
};
