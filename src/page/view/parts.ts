/** Where the time of requests goes: the mean of each part over time, on top of each other. */
import { missingFlag } from '../model/flags.js';
import { quantity } from '../model/format.js';
import {
  partMeans,
  PART_COLOURS,
  PARTS,
  partShares,
  partWords,
  SIDES,
  type PartName,
  type PartShare,
  type Side,
} from '../model/parts.js';
import { Chart } from './chart.js';
import { choice } from './choice.js';
import { dataTable, type TableColumn } from './data-table.js';
import { element } from './dom.js';
import { panel } from './panel.js';
import { updateChart } from './rates.js';
import type { State, View } from './state.js';

const TITLE = 'Where the time goes';
const ABOUT =
  'The time of a mean request by its parts, which add up to its duration, as seen at one end.';

const COLUMNS: readonly TableColumn<PartShare>[] = [
  { title: 'part', cell: ({ part }) => ({ text: partWords(part), value: part }) },
  {
    title: 'mean',
    isNumber: true,
    cell: ({ seconds }) => ({ text: quantity(seconds, 'seconds'), value: seconds }),
  },
  {
    title: 'share',
    isNumber: true,
    cell: ({ share }) => ({ text: quantity(share, 'ratio'), value: share }),
    share: ({ share }) => share,
  },
];

const chartOf = (side: Side): Chart =>
  new Chart({
    title: `${TITLE}, seen at the ${side}`,
    stacked: true,
    format: (value) => quantity(value, 'seconds'),
    series: PARTS[side].map((part) => ({ label: partWords(part), colour: PART_COLOURS[part] })),
  });

export function timeByPart(): View {
  let side: Side = 'server';
  let last: State | null = null;
  const charts: Readonly<Record<Side, Chart>> = {
    server: chartOf('server'),
    client: chartOf('client'),
  };
  const table = dataTable(
    `${TITLE}, last minute`,
    COLUMNS,
    ({ part }) => part,
    'No request in the last minute.',
  );
  const frame = panel({
    title: TITLE,
    about: ABOUT,
    class: 'wide',
    tools: [
      choice('Seen at', 'parts-side', SIDES, side, (chosen) => {
        side = chosen;
        if (last !== null) draw(last);
      }),
    ],
  });
  const left = element('div', {}, ...SIDES.map((one) => charts[one].root));
  frame.body.append(element('div', { class: 'pair parts' }, left, table.root));
  const draw = (state: State): void => {
    last = state;
    for (const one of SIDES) charts[one].root.hidden = one !== side;
    const parts: readonly PartName[] = PARTS[side];
    updateChart(
      charts[side],
      state,
      parts.map((part) => (summary) => summary.parts[side]?.[part] ?? null),
    );
    const means = state.minute === null ? null : partMeans(state.minute, side);
    table.update(means === null ? [] : partShares(side, means));
  };
  return {
    root: frame.root,
    render(state) {
      frame.note(missingFlag(state.snapshot, 'http'));
      draw(state);
    },
  };
}
