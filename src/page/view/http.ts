/** HTTP: rate, errors and durations over time, and the requests by method, status and port. */
import { missingFlag } from '../model/flags.js';
import { atMost, quantity, type Kind } from '../model/format.js';
import { requestGroups, type RequestGroup } from '../model/http.js';
import { SIDES, type Side } from '../model/parts.js';
import type { HttpSummary } from '../model/summary.js';
import { Chart } from './chart.js';
import { choice } from './choice.js';
import { dataTable, type TableColumn, type TextColumn } from './data-table.js';
import { element } from './dom.js';
import { panel } from './panel.js';
import { updateChart } from './rates.js';
import type { State, View } from './state.js';

const MOST_GROUPS = 100;

export function httpCharts(): View {
  let side: Side = 'server';
  let last: State | null = null;
  const frame = panel({
    title: 'Requests and their durations',
    about: 'Per second; time from the first byte of a request to the last byte of its answer.',
    class: 'wide',
    tools: [
      choice('Seen at', 'http-side', SIDES, side, (chosen) => {
        side = chosen;
        if (last !== null) draw(last);
      }),
    ],
  });
  const rates = new Chart({
    title: 'HTTP requests per second',
    format: (value) => quantity(value, 'rate'),
    series: [
      { label: 'requests', colour: 'series-1' },
      { label: 'errors', colour: 'series-4' },
    ],
  });
  const times = new Chart({
    title: 'HTTP request durations',
    format: (value) => quantity(value, 'seconds'),
    series: [
      { label: 'p50', colour: 'series-3' },
      { label: 'p95', colour: 'series-2' },
      { label: 'p99', colour: 'series-5' },
    ],
  });
  frame.body.append(element('div', { class: 'pair' }, rates.root, times.root));
  const draw = (state: State): void => {
    last = state;
    const of =
      (name: keyof HttpSummary) =>
      (summary: Parameters<Parameters<typeof updateChart>[2][number]>[0]): number | null =>
        summary.http[side]?.[name] ?? null;
    updateChart(rates, state, [of('requests'), of('errors')]);
    updateChart(times, state, [of('p50'), of('p95'), of('p99')]);
  };
  return {
    root: frame.root,
    render(state) {
      frame.note(missingFlag(state.snapshot, 'http'));
      draw(state);
    },
  };
}

const text = (of: (group: RequestGroup) => string): TextColumn<RequestGroup>['cell'] => {
  return (group) => ({ text: of(group), value: of(group) });
};
const number = (title: string, kind: Kind, of: (group: RequestGroup) => number | null) => ({
  title,
  isNumber: true,
  cell: (group: RequestGroup) => ({ text: quantity(of(group), kind), value: of(group) }),
});

const COLUMNS: readonly TableColumn<RequestGroup>[] = [
  { title: 'seen at', cell: text(({ side }) => side) },
  { title: 'method', cell: text(({ method }) => method) },
  {
    title: 'status',
    cell: text(({ status, isError }) => (isError ? `${status} error` : status)),
  },
  { title: 'port', about: 'Port of the server', cell: text(({ port }) => port) },
  number('requests', 'count', ({ total }) => total),
  number('rate', 'rate', ({ rate }) => rate),
  quantile('p50'),
  quantile('p95'),
  quantile('p99'),
];

function quantile(title: 'p50' | 'p95' | 'p99'): TableColumn<RequestGroup> {
  const cell = ({ bounds, ...group }: RequestGroup) => {
    const value = group[title];
    const text = bounds === null ? quantity(value, 'seconds') : atMost(value, bounds);
    return { text, value };
  };
  return { title, isNumber: true, cell };
}

export function httpRequests(): View {
  const frame = panel({
    title: 'Requests by method, status and port',
    about: 'Total since netwatch started; rate and durations of the last minute.',
    class: 'wide',
  });
  const table = dataTable('HTTP requests', COLUMNS, ({ key }) => key, 'No HTTP request so far.');
  frame.body.append(table.root);
  return {
    root: frame.root,
    render({ snapshot, minute, requests }) {
      frame.note(missingFlag(snapshot, 'http'));
      table.update(
        snapshot === null
          ? []
          : requestGroups(snapshot, minute, requests ?? null).slice(0, MOST_GROUPS),
      );
    },
  };
}
