/** The requests of the last minute: by route, and the slowest one by one, each with its parts. */
import type { RequestReport, RequestsReport, RouteReport } from '../../serve/types.js';
import { missingFlag } from '../model/flags.js';
import { grouped, quantity, timeOfDay, UNKNOWN, type Kind } from '../model/format.js';
import { largestPart, partShares, partWords } from '../model/parts.js';
import { missingRequests, ratePerSecond, windowText } from '../model/requests.js';
import { dataTable, type TableColumn } from './data-table.js';
import { element, setText } from './dom.js';
import { panel } from './panel.js';
import { requestPackets } from './request-packets.js';
import { drawStack, stackLegend } from './stack-bar.js';
import type { State, View } from './state.js';

const NOTHING = 'No request in the last minute.';

interface RouteRow extends RouteReport {
  readonly report: RequestsReport;
}

function text<T>(title: string, of: (row: T) => string, about = title): TableColumn<T> {
  return { title, about, cell: (row) => ({ text: of(row), value: of(row) }) };
}

function number<T>(title: string, kind: Kind, of: (row: T) => number | null): TableColumn<T> {
  return {
    title,
    isNumber: true,
    cell: (row) => ({ text: quantity(of(row), kind), value: of(row) }),
  };
}

function mostly({ side, parts }: Pick<RouteReport, 'side' | 'parts'>): string {
  const largest = largestPart(side, parts);
  if (largest === null) return UNKNOWN;
  return `${partWords(largest.part)} ${quantity(largest.share, 'ratio')}`;
}

const ROUTES: readonly TableColumn<RouteRow>[] = [
  text('route', ({ method, route }) => `${method} ${route ?? '(not known)'}`),
  text('seen at', ({ side }) => side),
  number('requests', 'count', ({ count }) => count),
  number('rate', 'rate', ({ count, report }) => ratePerSecond(count, report)),
  number('errors', 'count', ({ errors }) => errors),
  number('p50', 'seconds', ({ p50 }) => p50),
  number('p95', 'seconds', ({ p95 }) => p95),
  number('p99', 'seconds', ({ p99 }) => p99),
  number('slowest', 'seconds', ({ most }) => most),
  text('mostly', mostly, 'The part that takes most of the time, and its share'),
  {
    title: 'parts of the time',
    class: 'stacked',
    draw: (cell, { side, parts }) => drawStack(cell, side, parts),
  },
];

export function routes(): View {
  const frame = panel({
    title: 'By route',
    about:
      'Targets that differ only in what they name are one route. Those that took most time in all come first.',
    class: 'wide',
  });
  const keyOf = ({ side, method, route }: RouteRow): string => `${side} ${method} ${route ?? ''}`;
  const table = dataTable('Requests by route', ROUTES, keyOf, NOTHING);
  const caption = element('p', { class: 'caption below' });
  frame.body.append(table.root, caption);
  return {
    root: frame.root,
    render({ snapshot, requests }: State) {
      frame.note(missingFlag(snapshot, 'http') ?? missingRequests(requests));
      setText(caption, windowText(requests));
      table.update(requests?.routes.map((route) => ({ ...route, report: requests })) ?? []);
    },
  };
}

interface SlowRow extends RequestReport {
  /** Of the slowest one. */
  readonly wholeSeconds: number;
}

const MS_PER_SECOND = 1000;

const answerOf = ({ status, outcome }: RequestReport): string =>
  outcome === 'answered' ? status : outcome;
const titleOf = ({ method, path }: RequestReport): string => `${method} ${path ?? '(not known)'}`;

/** All that is known of one request, in a sentence. */
function requestText(request: RequestReport): string {
  const { side, process, src, dst, seconds, parts, inside, retransmits } = request;
  const time = (name: string, value: number): string =>
    `${partWords(name)} ${quantity(value, 'seconds')}`;
  const shares = partShares(side, parts).map(({ part, seconds }) => time(part, seconds));
  const within = Object.entries(inside).map(([name, value]) => time(name, value));
  const arrow = side === 'server' ? '←' : '→';
  return [
    `${titleOf(request)} ${answerOf(request)}: ${quantity(seconds, 'seconds')}`,
    shares.length === 0 ? 'parts not known' : shares.join(' + '),
    ...(within.length === 0 ? [] : [`of which ${within.join(', ')}`]),
    `${retransmits === 0 ? 'nothing' : grouped(retransmits)} retransmitted`,
    `${side}${process === null ? '' : ` ${process}`}, ${src} ${arrow} ${dst}`,
  ].join('; ');
}

function slowColumns(onPick: (request: RequestReport) => void): readonly TableColumn<SlowRow>[] {
  const picked = new WeakMap<Element, RequestReport>();
  const drawRequest = (cell: HTMLElement, row: SlowRow): void => {
    let button = cell.querySelector('button');
    if (button === null) {
      button = element('button', { type: 'button', class: 'pick' });
      const made = button;
      made.addEventListener('click', () => {
        const request = picked.get(made);
        if (request !== undefined) onPick(request);
      });
      cell.append(made);
    }
    picked.set(button, row);
    setText(button, titleOf(row));
    button.title = titleOf(row);
  };
  return [
    {
      title: 'request',
      about: 'Press one to see all of its parts, and its packets',
      draw: drawRequest,
    },
    {
      title: 'took',
      isNumber: true,
      cell: ({ seconds }) => ({ text: quantity(seconds, 'seconds'), value: seconds }),
    },
    { title: 'parts of the time', class: 'stacked', draw: drawBar },
    text('mostly', mostly, 'The part that takes most of the time, and its share'),
    text('answer', (row) => (row.isError ? `${answerOf(row)} error` : answerOf(row))),
    text('seen at', ({ side }) => side),
    text('process', ({ process }) => process ?? UNKNOWN),
    text('ended', ({ endMs }) => timeOfDay(endMs / MS_PER_SECOND, true)),
  ];
}

const drawBar = (cell: HTMLElement, { side, parts, wholeSeconds }: SlowRow): void =>
  drawStack(cell, side, parts, wholeSeconds);

export function slowestRequests(): View {
  const frame = panel({
    title: 'Slowest requests',
    about:
      'Of the last minute, each as a bar of its parts; press one to see them in numbers, and its packets.',
    class: 'wide',
  });
  const detail = element('p', { class: 'caption below detail', 'aria-live': 'polite' });
  const packets = requestPackets();
  const table = dataTable<SlowRow>(
    'Slowest requests',
    slowColumns((request) => {
      setText(detail, requestText(request));
      packets.pick(request);
    }),
    ({ id }) => id,
    NOTHING,
  );
  frame.body.append(stackLegend(), table.root, detail, packets.root);
  return {
    root: frame.root,
    render({ snapshot, requests }: State) {
      frame.note(missingFlag(snapshot, 'http') ?? missingRequests(requests));
      const slowest = requests?.slowest ?? [];
      const wholeSeconds = slowest[0]?.seconds ?? 0;
      table.update(slowest.map((request) => ({ ...request, wholeSeconds })));
    },
  };
}
