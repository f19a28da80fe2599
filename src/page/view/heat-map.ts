/**
 * Round-trip times as a heat map: time from left to right, powers of two upwards. What the colours mean is
 * said in numbers, as more is darker on a light ground and brighter on a dark one.
 */
import { heatCells, heatLevel, heatRanges, timeWindow, type Cell } from '../model/charts.js';
import { atMost, count, duration, quantity, timeOfDay, UNKNOWN } from '../model/format.js';
import { observations, upperBound, usedRange } from '../model/histogram.js';
import type { Buckets } from '../model/series.js';
import type { Summary } from '../model/summary.js';
import { choice } from './choice.js';
import { element, keep, setAttribute, setText } from './dom.js';
import { panel } from './panel.js';
import { fitted } from './sparkline.js';
import type { State, View } from './state.js';
import { colour, onThemeChange, type Colour } from './theme.js';

const SOURCES = ['open', 'closed'] as const;
type Source = (typeof SOURCES)[number];
type Counts = Pick<Buckets, 'bounds' | 'counts'>;
const READ: Readonly<Record<Source, (summary: Summary) => Counts | null>> = {
  open: ({ srtt }) => srtt,
  closed: ({ rtt }) => rtt,
};
const RAMP: readonly Colour[] = ['heat-0', 'heat-1', 'heat-2', 'heat-3'];

interface Map {
  readonly cells: readonly Cell[];
  readonly bounds: readonly number[];
  readonly range: readonly [first: number, last: number];
  readonly window: readonly [fromSeconds: number, toSeconds: number];
  readonly most: number;
}

const LEFT_PX = 62;
/** Half a label. */
const TOP_PX = 8;
const BOTTOM_PX = 28;
const RIGHT_PX = 8;
const LEAST_BUCKETS = 8;
const ABOUT =
  'Connections by smoothed round-trip time: those open at each moment, or those that closed in each interval.';

export function rttHeatMap(): View {
  let source: Source = 'open';
  let map: Map | null = null;
  let last: State | null = null;
  const canvas = element('canvas', { class: 'heat', role: 'img' });
  const caption = element('p', { class: 'caption' });
  const nothing = element('p', { class: 'nothing' });
  const tools = choice('Connections', 'rtt-source', SOURCES, source, (chosen) => {
    source = chosen;
    if (last !== null) render(last);
  });
  const frame = panel({ title: 'Round-trip time', about: ABOUT, tools: [tools], class: 'wide' });
  const legend = element('ul', { class: 'heat-legend', 'aria-label': 'Connections by colour' });
  frame.body.append(
    element('div', { class: 'heat-box' }, canvas, nothing),
    element('div', { class: 'heat-foot' }, caption, legend),
  );
  const redraw = (): void => draw(canvas, map);
  new ResizeObserver(redraw).observe(canvas);
  onThemeChange(redraw);
  const render = (state: State): void => {
    last = state;
    map = mapOf(state, READ[source]);
    redraw();
    updateLegend(legend, map);
    nothing.hidden = map !== null;
    setText(nothing, NOTHING[source]);
    const said = newestText(state, source);
    setText(caption, said);
    setAttribute(canvas, 'aria-label', `Heat map of round-trip times. ${said}`);
  };
  canvas.addEventListener('pointermove', ({ offsetX, offsetY }) => {
    if (map !== null) setText(caption, cellText(canvas, map, offsetX, offsetY));
  });
  canvas.addEventListener('pointerleave', () => {
    if (last !== null) setText(caption, newestText(last, source));
  });
  return { root: frame.root, render };
}

const NOTHING: Readonly<Record<Source, string>> = {
  open: 'No open connection had a round-trip time in this time (needs -x).',
  closed: 'No connection has closed in this time.',
};

/** What each colour means, in numbers. */
function updateLegend(legend: HTMLElement, map: Map | null): void {
  keep(
    legend,
    map === null ? [] : heatRanges(map.most, RAMP.length),
    ({ level }) => String(level),
    ({ level }) =>
      element(
        'li',
        {},
        element('span', { class: `heat-swatch ${RAMP[level] ?? ''}`, 'aria-hidden': 'true' }),
        element('span', { class: 'legend-label' }),
      ),
    (node, { from, to }) =>
      setText(node.lastElementChild!, from === to ? count(from) : `${count(from)} to ${count(to)}`),
  );
}

function mapOf({ timeline, snapshot }: State, read: (one: Summary) => Counts | null): Map | null {
  const points = timeline.points.filter(
    ({ summary }) => summary !== null && read(summary) !== null,
  );
  const rows = points.flatMap(({ summary }) => (summary === null ? [] : (read(summary) ?? [])));
  const cells = heatCells(points, (summary) => read(summary)?.counts ?? null);
  const range = usedRange(
    rows.map(({ counts }) => counts),
    LEAST_BUCKETS,
  );
  if (range === null || snapshot === null) return null;
  return {
    cells,
    range,
    bounds: rows[0]?.bounds ?? [],
    window: timeWindow(points, snapshot.atMs),
    most: Math.max(...cells.map((cell) => cell.count)),
  };
}

/** Exact of open connections; of those that closed, the finest buckets that the kernel has counted. */
function newestText({ summary }: State, source: Source): string {
  const buckets = summary === null ? null : READ[source](summary);
  const all = buckets === null ? 0 : observations(buckets);
  if (summary === null || buckets === null || all === 0) return `Now: ${UNKNOWN}`;
  const { srtt, rttFine } = summary;
  const quantiles =
    source === 'open' && srtt !== null
      ? [srtt.p50, srtt.p95, srtt.p99].map((value) => quantity(value, 'seconds'))
      : [0.5, 0.95, 0.99].map((q) =>
          atMost(upperBound(q, rttFine ?? buckets), (rttFine ?? buckets).bounds),
        );
  const [p50 = '', p95 = '', p99 = ''] = quantiles;
  return `Now: ${count(all)} connections, p50 ${p50}, p95 ${p95}, p99 ${p99}`;
}

interface Area {
  readonly width: number;
  readonly height: number;
  readonly x: (seconds: number) => number;
  /** Top of a bucket. */
  readonly y: (bucket: number) => number;
  readonly rowPx: number;
}

function areaOf(canvas: HTMLCanvasElement, { range, window }: Map): Area {
  const width = canvas.clientWidth - LEFT_PX - RIGHT_PX;
  const height = canvas.clientHeight - BOTTOM_PX;
  const rowPx = (height - TOP_PX) / (range[1] - range[0] + 1);
  return {
    width,
    height,
    rowPx,
    x: (seconds) => LEFT_PX + ((seconds - window[0]) / (window[1] - window[0])) * width,
    y: (bucket) => height - (bucket - range[0] + 1) * rowPx,
  };
}

function draw(canvas: HTMLCanvasElement, map: Map | null): void {
  const context = fitted(canvas);
  if (context === null || map === null) return;
  const area = areaOf(canvas, map);
  const ramp = RAMP.map(colour);
  for (const { fromSeconds, toSeconds, bucket, count: many } of map.cells) {
    const left = Math.max(LEFT_PX, Math.floor(area.x(fromSeconds)));
    const right = Math.ceil(area.x(toSeconds));
    if (right <= left) continue;
    context.fillStyle = ramp[heatLevel(many, map.most, ramp.length)] ?? '';
    context.fillRect(left, area.y(bucket), right - left, Math.max(1, area.rowPx - 1));
  }
  drawAxes(context, map, area);
}

function drawAxes(context: CanvasRenderingContext2D, map: Map, area: Area): void {
  context.font = '11px system-ui, sans-serif';
  context.fillStyle = colour('text-soft');
  context.textBaseline = 'middle';
  context.textAlign = 'right';
  const every = Math.ceil(20 / area.rowPx);
  for (let bucket = map.range[0]; bucket <= map.range[1]; bucket += every) {
    const bound = map.bounds[bucket];
    if (bound !== undefined) context.fillText(duration(bound), LEFT_PX - 6, area.y(bucket) + 4);
  }
  context.textAlign = 'center';
  const [from, to] = map.window;
  const steps = Math.max(1, Math.floor(area.width / 120));
  const stride = (to - from) / steps;
  for (let i = 1; i < steps; i++) {
    const at = from + i * stride;
    context.fillText(timeOfDay(at, stride < 60), area.x(at), area.height + BOTTOM_PX / 2);
  }
}

/** What is under the pointer. */
function cellText(canvas: HTMLCanvasElement, map: Map, x: number, y: number): string {
  const area = areaOf(canvas, map);
  const [from, to] = map.window;
  const seconds = from + ((x - LEFT_PX) / area.width) * (to - from);
  const bucket = map.range[0] + Math.floor((area.height - y) / area.rowPx);
  const found = map.cells.find(
    (cell) => cell.bucket === bucket && cell.fromSeconds <= seconds && seconds < cell.toSeconds,
  );
  const low = duration(map.bounds[bucket - 1] ?? 0);
  const high = map.bounds[bucket];
  const span = high === undefined ? `over ${low}` : `${low} to ${duration(high)}`;
  return `${timeOfDay(seconds, true)}, ${span}: ${count(found?.count ?? 0)} connections`;
}
