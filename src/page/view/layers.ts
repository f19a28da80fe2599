/**
 * Where packets spend their time: the mean of each layer over time, stacked, and the whole distribution
 * of the last minute.
 */
import { missingFlag } from '../model/flags.js';
import { atMost, quantity } from '../model/format.js';
import { mean, observations, upperBound } from '../model/histogram.js';
import { observed, type Buckets, type Step } from '../model/series.js';
import { LAYERS, meanLayer, type Direction, type Layer } from '../model/summary.js';
import { bucketBars } from './bucket-bars.js';
import { Chart } from './chart.js';
import { dataTable, type TableColumn } from './data-table.js';
import { element } from './dom.js';
import { panel } from './panel.js';
import { updateChart } from './rates.js';
import type { View } from './state.js';
import type { Colour } from './theme.js';

const COLOURS: Readonly<Record<Layer, Colour>> = {
  mac: 'series-3',
  ip: 'series-2',
  tcp: 'series-1',
};
const NAMES: Readonly<Record<Layer, string>> = { mac: 'MAC', ip: 'IP', tcp: 'TCP' };

const ABOUT: Readonly<Record<Direction, readonly [title: string, about: string]>> = {
  receive: [
    'Layer times, receive',
    'Mean time of a packet on its way up: driver to stack (MAC), to TCP (IP), until the application has read it (TCP). Stacked, logarithmic.',
  ],
  transmit: [
    'Layer times, transmit',
    'Mean time of a packet on its way down: written by the application (TCP), routed (IP), queued for the driver (MAC). Stacked, logarithmic.',
  ],
};

interface LayerRow {
  readonly layer: Layer;
  readonly buckets: Buckets | null;
  readonly seconds: number;
}

const COLUMNS: readonly TableColumn<LayerRow>[] = [
  { title: 'layer', cell: ({ layer }) => ({ text: NAMES[layer], value: layer }) },
  numbers('packets', 'rate', ({ buckets, seconds }) =>
    buckets === null ? null : observations(buckets) / seconds,
  ),
  numbers('mean', 'seconds', ({ buckets }) => (buckets === null ? null : mean(buckets))),
  bounds('p50', 0.5),
  bounds('p99', 0.99),
];

/** A quantile is known to be no more than a bound, and more than the one before, 9 % below. */
function bounds(title: string, q: number): TableColumn<LayerRow> {
  const cell = ({ buckets }: LayerRow) => {
    const value = buckets === null ? null : upperBound(q, buckets);
    return { text: atMost(value, buckets?.bounds ?? []), value };
  };
  return { title, isNumber: true, cell };
}

function numbers(
  title: string,
  kind: 'rate' | 'seconds',
  of: (row: LayerRow) => number | null,
): TableColumn<LayerRow> {
  const cell = (row: LayerRow) => ({ text: quantity(of(row), kind), value: of(row) });
  return { title, isNumber: true, cell };
}

export function layerTimes(way: Direction): View {
  const [title, about] = ABOUT[way];
  const frame = panel({ title, about });
  // The shortest at the bottom, or a logarithmic scale would hide the others above it.
  const chart = new Chart({
    title,
    stacked: true,
    log: true,
    format: (value) => quantity(value, 'seconds'),
    series: LAYERS.map((layer) => ({ label: NAMES[layer], colour: COLOURS[layer] })),
  });
  const bars = bucketBars(
    `${title}: packets of the last minute by time in the layer`,
    LAYERS.map((layer) => ({ label: NAMES[layer], colour: COLOURS[layer] })),
  );
  const table = dataTable(`${title}, last minute`, COLUMNS, ({ layer }) => layer, '');
  frame.body.append(
    chart.root,
    element('h4', {}, 'Last minute, by time in the layer'),
    bars.root,
    table.root,
  );
  return {
    root: frame.root,
    render(state) {
      frame.note(missingFlag(state.snapshot, 'layers'));
      updateChart(
        chart,
        state,
        LAYERS.map((layer) => (summary) => meanLayer(summary, way, layer)),
      );
      const rows = LAYERS.map((layer) => rowOf(state.minute, way, layer));
      table.update(rows);
      bars.update(rows.map(({ buckets }) => buckets));
    },
  };
}

function rowOf(step: Step | null, way: Direction, layer: Layer): LayerRow {
  const isIt = (labels: Readonly<Record<string, string>>): boolean =>
    labels['layer'] === layer && labels['network_io_direction'] === way;
  const name = 'netwatch_packet_layer_duration_seconds';
  return {
    layer,
    buckets: step === null ? null : observed(step, name, isIt),
    seconds: step?.seconds ?? 1,
  };
}
