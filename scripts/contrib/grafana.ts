/** Panels as Grafana 10 and newer write them down: JSON, with places and numbers. */
import type { Column, Panel, Query } from './panel.js';
import type { FilledRow } from './row.js';

/** The variable that says which Prometheus; no numbers of one Grafana. */
export const DATA_SOURCE = { type: 'prometheus', uid: '${DS_PROMETHEUS}' } as const;

export interface GridPos {
  readonly h: number;
  readonly w: number;
  readonly x: number;
  readonly y: number;
}

export interface Target {
  readonly expr: string;
  readonly [option: string]: unknown;
}

export interface GrafanaPanel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: GridPos;
  readonly collapsed?: boolean;
  readonly panels?: readonly GrafanaPanel[];
  readonly targets?: readonly Target[];
  readonly [option: string]: unknown;
}

const GRID_WIDTH = 24;

const SIZES: Readonly<Record<Panel['kind'], { readonly w: number; readonly h: number }>> = {
  stat: { w: 4, h: 4 },
  timeseries: { w: 8, h: 8 },
  heatmap: { w: 8, h: 8 },
  table: { w: 24, h: 10 },
  text: { w: 24, h: 3 },
};

/** A, B … Z, AA … */
const refId = (index: number): string =>
  (index < 26 ? '' : refId(Math.floor(index / 26) - 1)) + String.fromCharCode(65 + (index % 26));

const target = ({ expr, legend }: Query, index: number): Target => ({
  refId: refId(index),
  datasource: DATA_SOURCE,
  editorMode: 'code',
  expr,
  legendFormat: legend,
  range: true,
});

const instant = (column: Column, index: number): Target => ({
  refId: refId(index),
  datasource: DATA_SOURCE,
  editorMode: 'code',
  expr: column.expr,
  format: 'table',
  instant: true,
  range: false,
});

const TOOLTIP = { mode: 'multi', sort: 'desc' };

function timeSeriesOptions(unit: string, stacked: boolean): object {
  const stacking = { mode: stacked ? 'normal' : 'none', group: 'A' };
  const fillOpacity = stacked ? 40 : 8;
  const custom = {
    drawStyle: 'line',
    lineWidth: 1,
    fillOpacity,
    showPoints: 'never',
    axisSoftMin: 0,
    stacking,
  };
  return {
    fieldConfig: { defaults: { unit, custom }, overrides: [] },
    options: {
      legend: { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] },
      tooltip: TOOLTIP,
    },
  };
}

function heatMapOptions(unit: string): object {
  return {
    fieldConfig: { defaults: {}, overrides: [] },
    options: {
      calculate: false,
      cellGap: 1,
      color: { mode: 'scheme', scheme: 'Oranges', scale: 'exponential', exponent: 0.5, steps: 64 },
      filterValues: { le: 1e-9 },
      legend: { show: true },
      rowsFrame: { layout: 'auto' },
      tooltip: { mode: 'single', yHistogram: true, showColorScale: true },
      yAxis: { unit, axisPlacement: 'left' },
    },
  };
}

function statOptions(unit: string, limit?: number): object {
  const good = { color: 'green', value: null };
  const steps = limit === undefined ? [good] : [good, { color: 'red', value: limit }];
  return {
    fieldConfig: {
      defaults: { unit, color: { mode: 'thresholds' }, thresholds: { mode: 'absolute', steps } },
      overrides: [],
    },
    options: {
      colorMode: 'value',
      graphMode: 'area',
      justifyMode: 'auto',
      orientation: 'auto',
      reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
      textMode: 'value',
    },
  };
}

/** The queries merged into one row for each label set, their values under their titles. */
function tableOptions(columns: readonly Column[], hidden: readonly string[]): object {
  const valueName = (index: number): string =>
    columns.length === 1 ? 'Value' : `Value #${refId(index)}`;
  const overrides = columns.map(({ title, unit }, index) => ({
    matcher: { id: 'byName', options: valueName(index) },
    properties: [
      { id: 'displayName', value: title },
      { id: 'unit', value: unit },
    ],
  }));
  const excludeByName = Object.fromEntries(hidden.map((name) => [name, true]));
  return {
    fieldConfig: { defaults: { custom: { filterable: true } }, overrides },
    options: { cellHeight: 'sm', showHeader: true },
    transformations: [
      { id: 'merge', options: {} },
      { id: 'organize', options: { excludeByName, indexByName: {}, renameByName: {} } },
    ],
  };
}

type Content = Pick<GrafanaPanel, 'type' | 'title'> & Record<string, unknown>;
type Drawn = Extract<Panel, { readonly queries: readonly Query[] }>;

function optionsOf(panel: Drawn): object {
  switch (panel.kind) {
    case 'stat':
      return statOptions(panel.unit, panel.limit);
    case 'heatmap':
      return heatMapOptions(panel.unit);
    case 'timeseries':
      return timeSeriesOptions(panel.unit, panel.stacked ?? false);
  }
}

/** What a panel is, without its number and place. */
function content(panel: Panel): Content {
  const { kind: type, title } = panel;
  if (panel.kind === 'text') {
    const options = { mode: 'markdown', content: panel.markdown };
    return { type, title, transparent: true, options };
  }
  const { description } = panel;
  const common = { type, title, description, datasource: DATA_SOURCE };
  if (panel.kind === 'table') {
    const targets = panel.columns.map(instant);
    return { ...common, targets, ...tableOptions(panel.columns, panel.hidden) };
  }
  const format = panel.kind === 'heatmap' ? { format: 'heatmap' } : {};
  const targets = panel.queries.map((query, index) => ({ ...target(query, index), ...format }));
  return { ...common, targets, ...optionsOf(panel) };
}

interface Place {
  readonly x: number;
  readonly y: number;
  /** Height of the present line. */
  readonly h: number;
}

/** Left to right, a new line where the width is used up or the height changes. */
function place(panels: readonly Panel[], top: number): { grid: GridPos[]; bottom: number } {
  const grid: GridPos[] = [];
  let at: Place = { x: 0, y: top, h: 0 };
  for (const { kind } of panels) {
    const { w, h } = SIZES[kind];
    if (at.x + w > GRID_WIDTH || (at.h !== h && at.h !== 0)) at = { x: 0, y: at.y + at.h, h: 0 };
    grid.push({ h, w, x: at.x, y: at.y });
    at = { x: at.x + w, y: at.y, h };
  }
  return { grid, bottom: at.y + at.h };
}

/** All rows below each other; a collapsed one holds its panels. */
export function renderRows(rows: readonly FilledRow[]): GrafanaPanel[] {
  const rendered: GrafanaPanel[] = [];
  let id = 0;
  let y = 0;
  for (const { title, collapsed, panels } of rows) {
    const header = {
      id: ++id,
      type: 'row',
      title,
      collapsed,
      gridPos: { h: 1, w: GRID_WIDTH, x: 0, y },
    };
    const { grid, bottom } = place(panels, y + 1);
    const inside = panels.map((panel, index) => ({
      id: ++id,
      gridPos: grid[index]!,
      ...content(panel),
    }));
    if (collapsed) rendered.push({ ...header, panels: inside });
    else rendered.push({ ...header, panels: [] }, ...inside);
    y = collapsed ? y + 1 : bottom;
  }
  return rendered;
}
