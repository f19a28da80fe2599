/** Columns of numbers for the charts, from the points of the timeline. */
import type { Point } from './timeline.js';
import type { Summary } from './summary.js';

/** As uPlot takes them: seconds since 1970, then one column for each series; null breaks the line. */
export interface ChartData {
  readonly seconds: readonly number[];
  readonly columns: readonly (readonly (number | null)[])[];
}

export type Reading = (summary: Summary) => number | null;

export function chartData(points: readonly Point[], readings: readonly Reading[]): ChartData {
  return {
    seconds: points.map(({ atMs }) => atMs / 1000),
    columns: readings.map((of) =>
      points.map(({ summary }) => (summary === null ? null : of(summary))),
    ),
  };
}

/**
 * Each column on top of those before it. Where all are unknown it stays unknown; where only some are,
 * they add nothing.
 */
export function stack(columns: ChartData['columns']): (number | null)[][] {
  const height = columns[0]?.map((): number => 0) ?? [];
  const known = height.map((_, i) => columns.some((column) => (column[i] ?? null) !== null));
  return columns.map((column) =>
    column.map((value, i) => {
      height[i] = (height[i] ?? 0) + (value ?? 0);
      return known[i] === true ? height[i] : null;
    }),
  );
}

const WINDOWS_SECONDS = [60, 120, 300, 900];

/** What the time axes show: the shortest window that holds all points, ending with the newest look. */
export function timeWindow(
  points: readonly Point[],
  nowMs: number,
): readonly [fromSeconds: number, toSeconds: number] {
  const span = (nowMs - (points[0]?.atMs ?? nowMs)) / 1000;
  const window = WINDOWS_SECONDS.find((seconds) => span <= seconds) ?? WINDOWS_SECONDS.at(-1) ?? 0;
  return [nowMs / 1000 - window, nowMs / 1000];
}

/** A cell of the heat map. */
export interface Cell {
  readonly fromSeconds: number;
  readonly toSeconds: number;
  readonly bucket: number;
  readonly count: number;
}

/** How dark a cell is, of so many levels: by the root, which lets few be seen beside many. */
export function heatLevel(count: number, most: number, levels: number): number {
  return Math.min(levels - 1, Math.floor(Math.sqrt(count / most) * levels));
}

export interface HeatRange {
  readonly level: number;
  readonly from: number;
  readonly to: number;
}

/** Which counts each level stands for; levels that no whole number has are left out. */
export function heatRanges(most: number, levels: number): HeatRange[] {
  const least = (level: number): number => Math.max(1, Math.ceil(most * (level / levels) ** 2));
  return Array.from({ length: levels }, (_, level) => ({
    level,
    from: least(level),
    to: level === levels - 1 ? most : least(level + 1) - 1,
  })).filter(({ from, to }) => from <= to);
}

/** What was counted in each step, by bucket; empty cells are left out. */
export function heatCells(
  points: readonly Point[],
  countsOf: (summary: Summary) => readonly number[] | null,
): Cell[] {
  return points.flatMap(({ atMs, summary }) => {
    if (summary === null) return [];
    const toSeconds = atMs / 1000;
    const fromSeconds = toSeconds - summary.seconds;
    return (countsOf(summary) ?? []).flatMap((count, bucket) =>
      count > 0 ? [{ fromSeconds, toSeconds, bucket, count }] : [],
    );
  });
}
