/**
 * A histogram per row on a common axis, four to a power of two: bars of different rows stand below each other
 * and can be compared, which stacked ones cannot.
 */
import { duration } from '../model/format.js';
import { observations, usedRange } from '../model/histogram.js';
import type { Buckets } from '../model/series.js';
import { element, setAttribute } from './dom.js';
import { fitted } from './sparkline.js';
import { colour, onThemeChange, type Colour } from './theme.js';

export interface BarRow {
  readonly label: string;
  readonly colour: Colour;
}

export interface BucketBars {
  readonly root: HTMLElement;
  update(rows: readonly (Buckets | null)[]): void;
}

const LABEL_PX = 62;
const AXIS_PX = 18;
const LEAST_BUCKETS = 8;
/** Room for a label of the axis. */
const LABEL_EVERY_PX = 64;

export function bucketBars(title: string, specs: readonly BarRow[]): BucketBars {
  const canvas = element('canvas', { class: 'bars', role: 'img', 'aria-label': title });
  let rows: readonly (Buckets | null)[] = [];
  const redraw = (): void => draw(canvas, specs, rows);
  new ResizeObserver(redraw).observe(canvas);
  onThemeChange(redraw);
  return {
    root: canvas,
    update(next) {
      rows = next;
      redraw();
      const said = specs.map(({ label }, i) => {
        const buckets = rows[i] ?? null;
        return `${label}: ${buckets === null ? 'unknown' : `${observations(buckets)} packets`}`;
      });
      setAttribute(canvas, 'aria-label', `${title}. ${said.join(', ')}.`);
    },
  };
}

function draw(
  canvas: HTMLCanvasElement,
  specs: readonly BarRow[],
  rows: readonly (Buckets | null)[],
): void {
  const context = fitted(canvas);
  const bounds = rows.find((row) => row !== null)?.bounds ?? [];
  const range = usedRange(
    rows.map((row) => row?.counts ?? []),
    LEAST_BUCKETS,
  );
  if (context === null || range === null) return;
  const [first, last] = range;
  const { clientWidth, clientHeight } = canvas;
  const width = (clientWidth - LABEL_PX - 8) / (last - first + 1);
  const height = (clientHeight - AXIS_PX) / specs.length;
  context.font = '11px system-ui, sans-serif';
  context.textBaseline = 'middle';
  for (const [i, { label, colour: name }] of specs.entries()) {
    const bottom = (i + 1) * height;
    context.fillStyle = colour('grid');
    context.fillRect(LABEL_PX, bottom - 1, clientWidth - LABEL_PX - 8, 1);
    context.fillStyle = colour('text-soft');
    context.textAlign = 'right';
    context.fillText(label, LABEL_PX - 8, bottom - height / 2);
    const counts = rows[i]?.counts ?? [];
    const most = Math.max(...counts, 1);
    context.fillStyle = colour(name);
    for (let bucket = first; bucket <= last; bucket++) {
      const tall = ((counts[bucket] ?? 0) / most) * (height - 6);
      const x = LABEL_PX + (bucket - first) * width;
      context.fillRect(x + 1, bottom - 1 - tall, Math.max(width - 2, 1), tall);
    }
  }
  drawBounds(context, bounds, range, width, clientHeight - AXIS_PX / 2);
}

/** Each bound below the edge between its bucket and the next. */
function drawBounds(
  context: CanvasRenderingContext2D,
  bounds: readonly number[],
  [first, last]: readonly [number, number],
  width: number,
  y: number,
): void {
  const every = Math.ceil(LABEL_EVERY_PX / width);
  context.fillStyle = colour('text-soft');
  context.textAlign = 'center';
  for (let bucket = first; bucket < last; bucket += every) {
    const bound = bounds[bucket];
    if (bound === undefined) break;
    context.fillText(duration(bound), LABEL_PX + (bucket - first + 1) * width, y);
  }
}
