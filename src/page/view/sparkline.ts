/** The last minutes of one number, without axes. */
import { element } from './dom.js';
import { colour, onThemeChange } from './theme.js';

export interface Sparkline {
  readonly root: HTMLCanvasElement;
  update(values: readonly (number | null)[]): void;
}

const MOST_VALUES = 120;

export function sparkline(): Sparkline {
  const canvas = element('canvas', { class: 'spark', 'aria-hidden': 'true' });
  let values: readonly (number | null)[] = [];
  const redraw = (): void => draw(canvas, values);
  new ResizeObserver(redraw).observe(canvas);
  onThemeChange(redraw);
  return {
    root: canvas,
    update(next) {
      values = next.slice(-MOST_VALUES);
      redraw();
    },
  };
}

/** Fits the canvas to its box and to the pixels of the screen; null while it is not shown. */
export function fitted(canvas: HTMLCanvasElement): CanvasRenderingContext2D | null {
  const { clientWidth, clientHeight } = canvas;
  const scale = devicePixelRatio;
  const width = Math.round(clientWidth * scale);
  const height = Math.round(clientHeight * scale);
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const context = width > 0 && height > 0 ? canvas.getContext('2d') : null;
  context?.setTransform(scale, 0, 0, scale, 0, 0);
  context?.clearRect(0, 0, clientWidth, clientHeight);
  return context;
}

function draw(canvas: HTMLCanvasElement, values: readonly (number | null)[]): void {
  const context = fitted(canvas);
  if (context === null) return;
  const { clientWidth: width, clientHeight: height } = canvas;
  const highest = Math.max(...values.map((value) => value ?? 0), Number.MIN_VALUE);
  const step = width / Math.max(values.length - 1, 1);
  context.strokeStyle = colour('series-1');
  context.lineWidth = 1.25;
  context.beginPath();
  let broken = true;
  for (const [i, value] of values.entries()) {
    if (value !== null) {
      const y = height - 1.5 - (value / highest) * (height - 3);
      if (broken) context.moveTo(i * step, y);
      else context.lineTo(i * step, y);
    }
    broken = value === null;
  }
  context.stroke();
}
