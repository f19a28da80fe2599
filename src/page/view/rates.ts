/** Charts of plain rates: connections and bytes. */
import { chartData, timeWindow, type Reading } from '../model/charts.js';
import { quantity, words, type Kind } from '../model/format.js';
import { missingFlag, type Feature } from '../model/flags.js';
import { RETRANSMIT_CAUSES } from '../model/summary.js';
import { Chart, type SeriesSpec } from './chart.js';
import { panel } from './panel.js';
import type { State, View } from './state.js';
import type { Colour } from './theme.js';

export interface RateSeries extends SeriesSpec {
  readonly of: Reading;
}

export interface RateSpec {
  readonly title: string;
  readonly about: string;
  readonly kind: Kind;
  readonly series: readonly RateSeries[];
  readonly stacked?: boolean;
  readonly feature?: Feature;
}

const CONNECTIONS: RateSpec = {
  title: 'Opened and failed',
  about: 'Connections per second.',
  kind: 'rate',
  series: [
    { label: 'out (client)', colour: 'series-1', of: ({ opened }) => opened.client },
    { label: 'in (server)', colour: 'series-3', dash: [6, 3], of: ({ opened }) => opened.server },
    { label: 'failed', colour: 'series-4', of: ({ failed }) => failed },
  ],
};

const BYTES: RateSpec = {
  title: 'Throughput',
  about: 'Payload per second, without headers and retransmits.',
  kind: 'bytesRate',
  series: [
    { label: 'received', colour: 'series-1', of: ({ bytes }) => bytes.receive },
    { label: 'sent', colour: 'series-2', dash: [6, 3], of: ({ bytes }) => bytes.transmit },
  ],
};

const CAUSE_COLOURS: readonly Colour[] = [
  'series-1',
  'series-2',
  'series-3',
  'series-5',
  'series-4',
];

const RETRANSMITS: RateSpec = {
  title: 'Retransmits',
  about: 'Segments sent again per second, by what made the kernel do so.',
  kind: 'rate',
  stacked: true,
  feature: 'retransmits',
  series: RETRANSMIT_CAUSES.map((cause, i) => ({
    label: words(cause),
    colour: CAUSE_COLOURS[i % CAUSE_COLOURS.length] ?? 'series-1',
    ...(i < CAUSE_COLOURS.length ? {} : { dash: [6, 3] }),
    of: ({ retransmits }) => retransmits[cause],
  })),
};

export const connectionRates = (): View => ratePanel(CONNECTIONS);
export const throughput = (): View => ratePanel(BYTES);
export const retransmits = (): View => ratePanel(RETRANSMITS);

function ratePanel(spec: RateSpec): View {
  const frame = panel(spec);
  const chart = new Chart({
    ...spec,
    format: (value) => quantity(value, spec.kind),
  });
  frame.body.append(chart.root);
  return {
    root: frame.root,
    render(state) {
      frame.note(spec.feature === undefined ? null : missingFlag(state.snapshot, spec.feature));
      updateChart(
        chart,
        state,
        spec.series.map(({ of }) => of),
      );
    },
  };
}

/** Draws readings of the timeline up to now. */
export function updateChart(
  chart: Chart,
  { timeline, snapshot }: State,
  of: readonly Reading[],
): void {
  const nowMs = snapshot?.atMs ?? 0;
  chart.update(chartData(timeline.points, of), timeWindow(timeline.points, nowMs));
}
