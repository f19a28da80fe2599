/** Where packets spend their time: the layers of the network stack on top of each other. */
import { LABEL_VALUES } from '../../../src/metrics/families.js';
import { heatMap, quantileByPanel, type Panel } from '../panel.js';
import { DASHBOARD, legendOf, rate, sumBy } from '../promql.js';
import type { Row } from '../row.js';

const NAME = 'netwatch_packet_layer_duration_seconds';

const WAIT: Readonly<Record<string, string>> = {
  receive: 'TCP: until the application has read the last byte.',
  transmit: 'TCP: from the first byte written until TCP hands it over.',
};

/** Mean times add up, which quantiles do not. */
function stacked(direction: string): Panel {
  const of = (part: 'sum' | 'count'): string =>
    sumBy(['layer'], rate(`${NAME}_${part}`, DASHBOARD, `network_io_direction="${direction}"`));
  return {
    kind: 'timeseries',
    title: `Mean time per packet, ${direction}`,
    description: `One layer on top of the other. ${WAIT[direction] ?? ''}`,
    unit: 's',
    stacked: true,
    queries: [{ expr: `${of('sum')} / ${of('count')}`, legend: legendOf(['layer']) }],
  };
}

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
