/**
 * What a tool shows each interval: blocks of rows, histograms and text, each of which knows how a
 * table, JSON and CSV show it. Pure.
 */
import type { Column } from './column.js';
import { formatter, jsonFields, type Format } from './format.js';
import { histogramBuckets, histogramLines } from './histogram.js';

export interface Block {
  /** Lines for a person. */
  readonly table: () => readonly string[];
  /** Objects for a program; they get the report's time. */
  readonly json: () => readonly Readonly<Record<string, unknown>>[];
  /** Lines with a head of their own. */
  readonly csv: () => { readonly head: string; readonly lines: readonly string[] } | null;
}

const withoutNewline = (line: string): string => line.replace(/\n$/, '');

/** Lines that only a person reads: the time, a title, an empty line. */
export function textBlock(...lines: readonly string[]): Block {
  return { table: () => lines, json: () => [], csv: () => null };
}

/** `extra`: JSON fields that all rows of the block share. */
export function rowsBlock<R>(
  columns: readonly Column<R>[],
  rows: readonly R[],
  extra: Readonly<Record<string, unknown>> = {},
): Block {
  const text = (format: Format): { head: string; lines: string[] } => {
    const { head, line } = formatter(format, columns);
    return { head: withoutNewline(head), lines: rows.map((row) => withoutNewline(line(row))) };
  };
  return {
    table: () => {
      const { head, lines } = text('table');
      return [head, ...lines];
    },
    json: () => rows.map((row) => ({ ...extra, ...jsonFields(columns, row) })),
    csv: () => text('csv'),
  };
}

export interface Histogram {
  /** Says whose it is, above the bars: `All Addresses = *******`; null: nothing. */
  readonly title: string | null;
  /** The same for a program. */
  readonly labels: Readonly<Record<string, string | number>>;
  /** What the ranges are: `usecs`. */
  readonly unit: string;
  /** By bucket, see histogram.ts. */
  readonly counts: readonly number[];
}

export function histogramBlock({ title, labels, unit, counts }: Histogram): Block {
  const buckets = histogramBuckets(counts);
  const names = Object.keys(labels);
  return {
    table: () => [...(title === null ? [] : [title]), ...histogramLines(counts, unit)],
    json: () => [{ ...labels, unit, buckets }],
    csv: () => ({
      head: [...names, 'FROM', 'TO', 'COUNT'].join(','),
      lines: buckets.map(({ from, to, count }) =>
        [...names.map((name) => labels[name]), from, to, count].join(','),
      ),
    }),
  };
}

/** A block that only a person sees: what it shows, a program reads elsewhere. */
export function onlyTable({ table }: Block): Block {
  return { table, json: () => [], csv: () => null };
}

/** A block that only a program sees. */
export function onlyData({ json, csv }: Block): Block {
  return { table: () => [], json, csv };
}

/** All blocks of one interval as text. CSV heads are not repeated: `told` holds those already shown. */
export function reportText(
  blocks: readonly Block[],
  format: Format,
  time: string,
  told: Set<string>,
): string {
  switch (format) {
    case 'table':
      return blocks.flatMap((block) => block.table().map((line) => `${line}\n`)).join('');
    case 'json':
      return blocks
        .flatMap((block) => block.json())
        .map((object) => `${JSON.stringify({ time, ...object })}\n`)
        .join('');
    case 'csv':
      return blocks.map((block) => csvText(block, time, told)).join('');
    default:
      return format satisfies never;
  }
}

function csvText(block: Block, time: string, told: Set<string>): string {
  const csv = block.csv();
  if (csv === null) return '';
  const isNew = !told.has(csv.head);
  told.add(csv.head);
  const lines = [
    ...(isNew ? [`TIME,${csv.head}`] : []),
    ...csv.lines.map((line) => `${time},${line}`),
  ];
  return lines.map((line) => `${line}\n`).join('');
}
