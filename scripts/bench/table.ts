/** The result as Markdown, ready for the README. Pure. */
import { BARS, grade, type Grade, type RowId } from './bar.js';

/** One program beside the empty program at the same hook. */
export interface Hook {
  readonly program: string;
  readonly runsPerPacket: number;
  /** ns per run */
  readonly ours: number;
  /** ns per run of the empty program */
  readonly twin: number;
}

/** What a tool takes in the kernel. */
export interface ToolCost {
  readonly tool: string;
  /** ns */
  readonly perConnection: number;
  /** ns */
  readonly perRoundTrip: number;
}

export interface Row {
  readonly id: RowId;
  /** Null or no finite number: not measured; `detail` says why. */
  readonly value: number | null;
  /** What stands beside it. */
  readonly detail: string;
  /** Why it is not judged. */
  readonly refused?: string;
  /** The program of others that this row is about, where it does not run here. */
  readonly absent?: string;
  readonly hooks?: readonly Hook[];
  readonly tools?: readonly ToolCost[];
}

export interface Machine {
  readonly date: string;
  readonly kernel: string;
  readonly cpu: string;
  readonly cpus: number;
  readonly node: string;
  /** Share of the CPUs that was busy before the start. */
  readonly busy: number;
}

/** Programs that run less often per packet are left out of the Markdown. */
const RARE = 0.005;

/** More than this before the start, and the table says that it is noisy. */
const QUIET = 0.05;

/** Three significant digits, thousands separated; counts exactly. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return '-';
  if (Number.isInteger(value)) return value.toLocaleString('en-US');
  const size = Math.abs(value);
  if (size >= 100) return Math.round(value).toLocaleString('en-US');
  if (size >= 1) return value.toFixed(size >= 10 ? 1 : 2);
  return String(Number(value.toPrecision(size >= 0.5 ? 3 : 2)));
}

/** Whether a row has a value. */
export const isMeasured = ({ value }: Row): boolean => Number.isFinite(value ?? NaN);

function measured({ id, value }: Row): string {
  if (value === null) return '-';
  const { unit } = BARS[id];
  return unit === '' ? number(value) : `${number(value)} ${unit}`.replace(' /s', '/s');
}

function bar(id: RowId): string {
  const { limits, more = false } = BARS[id];
  if (limits === undefined) return '';
  const [excellent, good, fails] = limits.map(number);
  return more
    ? `≥ ${excellent} · ≥ ${good} · < ${fails}`
    : `≤ ${excellent} · ≤ ${good} · > ${fails}`;
}

export type Verdict = Grade | 'not measured' | 'not judged' | 'measured';

/** What the table says of a row; a smoke run judges nothing. */
export function verdict(row: Row, isSmoke = false): Verdict {
  if (!isMeasured(row)) return 'not measured';
  if (isSmoke) return 'measured';
  return row.refused === undefined ? grade(row.id, row.value) : 'not judged';
}

/**
 * @param lines the first is the header
 * @param right columns aligned to the right
 */
function markdown(lines: readonly (readonly string[])[], right: readonly boolean[]): string {
  const [header = [], ...body] = lines.map((cells) =>
    cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')),
  );
  const rule = right.map((isRight) => (isRight ? '---:' : '---'));
  return [header, rule, ...body].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function mainTable(rows: readonly Row[], isSmoke: boolean): string {
  const body = rows.map((row) => [
    BARS[row.id].title,
    measured(row),
    verdict(row, isSmoke),
    bar(row.id),
    [row.refused, row.detail].filter((text) => text !== undefined && text !== '').join('; '),
  ]);
  const header = ['what', 'measured', 'verdict', 'excellent · good · fails', 'beside it'];
  return markdown([header, ...body], [false, true, false, false, false]);
}

function hookTable({ id, hooks = [] }: Row): string {
  const header = ['program', 'runs per packet', 'ns per run', 'empty program', 'difference'];
  const often = hooks.filter(({ runsPerPacket }) => runsPerPacket >= RARE);
  const body = often.map(({ program, runsPerPacket, ours, twin }) => [
    `\`${program}\``,
    number(runsPerPacket),
    number(ours),
    number(twin),
    number(ours - twin),
  ]);
  const table = markdown([header, ...body], [false, true, true, true, true]);
  return `${BARS[id].title}:\n\n${table}`;
}

function toolTable(tools: readonly ToolCost[]): string {
  const header = ['tool', 'ns per short connection', 'ns per round trip'];
  const body = tools.map(({ tool, perConnection, perRoundTrip }) => [
    `\`${tool}\``,
    ...[perConnection, perRoundTrip].map((ns) => number(Math.max(0, Math.round(ns)))),
  ]);
  return markdown([header, ...body], [false, true, true]);
}

/**
 * Everything: a line about the machine, the table, and one table per kernel row.
 * @param isSmoke the sizes were the smallest: the numbers say that a row works, not what it costs
 */
export function render(machine: Machine, rows: readonly Row[], isSmoke = false): string {
  const { date, kernel, cpu, cpus, node, busy } = machine;
  const about = [
    `Measured ${date} with \`make bench\` on ${cpus} × ${cpu}, Linux ${kernel}, Node.js ${node}.`,
    ...(busy > QUIET
      ? [
          `Noisy: ${Math.round(busy * 100)} % of the CPUs were busy with other things before the start.`,
        ]
      : []),
    ...(isSmoke ? ['Smoke run: the smallest sizes; no number below is the cost of anything.'] : []),
  ].join(' ');
  const hooks = rows.filter((row) => (row.hooks ?? []).length > 0).map(hookTable);
  const tools = rows.flatMap((row) => (row.tools === undefined ? [] : [toolTable(row.tools)]));
  return `${[about, mainTable(rows, isSmoke), ...hooks, ...tools].join('\n\n')}\n`;
}
