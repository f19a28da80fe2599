/** The result as Markdown, ready for the README. Pure. */
import { BARS, grade } from './bar.mjs';

/**
 * @typedef {object} Hook one program beside the empty program at the same hook
 * @property {string} program
 * @property {number} runsPerPacket
 * @property {number} ours ns per run
 * @property {number} twin ns per run of the empty program
 *
 * @typedef {object} Row
 * @property {string} id a key of BARS
 * @property {number | null} value null = not measured; `detail` says why
 * @property {string} detail what stands beside it
 * @property {string} [refused] why it is not judged
 * @property {readonly Hook[]} [hooks]
 * @property {readonly ToolCost[]} [tools]
 *
 * @typedef {object} ToolCost what a tool takes in the kernel
 * @property {string} tool
 * @property {number} perConnection ns
 * @property {number} perRoundTrip ns
 *
 * @typedef {object} Machine
 * @property {string} date
 * @property {string} kernel
 * @property {string} cpu
 * @property {number} cpus
 * @property {string} node
 * @property {number} busy share of the CPUs that was busy before the start
 */

/** Programs that run less often per packet are left out of the Markdown. */
const RARE = 0.005;

/** More than this before the start, and the table says that it is noisy. */
const QUIET = 0.05;

/**
 * Three significant digits, thousands separated; counts exactly.
 * @param {number} value
 */
export function number(value) {
  if (!Number.isFinite(value)) return '-';
  if (Number.isInteger(value)) return value.toLocaleString('en-US');
  const size = Math.abs(value);
  if (size >= 100) return Math.round(value).toLocaleString('en-US');
  if (size >= 1) return value.toFixed(size >= 10 ? 1 : 2);
  return String(Number(value.toPrecision(size >= 0.5 ? 3 : 2)));
}

/** @param {Row} row */
function measured({ id, value }) {
  if (value === null) return '-';
  const { unit } = BARS[id];
  return unit === '' ? number(value) : `${number(value)} ${unit}`.replace(' /s', '/s');
}

/** @param {string} id */
function bar(id) {
  const { limits, more = false } = BARS[id];
  if (limits === undefined) return '';
  const [excellent, good, fails] = limits.map(number);
  return more
    ? `≥ ${excellent} · ≥ ${good} · < ${fails}`
    : `≤ ${excellent} · ≤ ${good} · > ${fails}`;
}

/** @param {Row} row */
export function verdict({ id, value, refused }) {
  if (value === null) return 'not measured';
  return refused === undefined ? grade(id, value) : 'not judged';
}

/**
 * @param {readonly (readonly string[])[]} lines the first is the header
 * @param {readonly boolean[]} right columns aligned to the right
 */
function markdown(lines, right) {
  const [header = [], ...body] = lines.map((cells) =>
    cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')),
  );
  const rule = right.map((isRight) => (isRight ? '---:' : '---'));
  return [header, rule, ...body].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** @param {readonly Row[]} rows */
function mainTable(rows) {
  const body = rows.map((row) => [
    BARS[row.id].title,
    measured(row),
    verdict(row),
    bar(row.id),
    [row.refused, row.detail].filter((text) => text !== undefined && text !== '').join('; '),
  ]);
  const header = ['what', 'measured', 'verdict', 'excellent · good · fails', 'beside it'];
  return markdown([header, ...body], [false, true, false, false, false]);
}

/** @param {Row} row */
function hookTable({ id, hooks = [] }) {
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

/** @param {readonly ToolCost[]} tools */
function toolTable(tools) {
  const header = ['tool', 'ns per short connection', 'ns per round trip'];
  const body = tools.map(({ tool, perConnection, perRoundTrip }) => [
    `\`${tool}\``,
    ...[perConnection, perRoundTrip].map((ns) => number(Math.max(0, Math.round(ns)))),
  ]);
  return markdown([header, ...body], [false, true, true]);
}

/**
 * Everything: a line about the machine, the table, and one table per kernel row.
 * @param {Machine} machine
 * @param {readonly Row[]} rows
 */
export function render(machine, rows) {
  const { date, kernel, cpu, cpus, node, busy } = machine;
  const about = `Measured ${date} with \`make bench\` on ${cpus} × ${cpu}, Linux ${kernel}, Node.js ${node}.`;
  const noise = `Noisy: ${Math.round(busy * 100)} % of the CPUs were busy with other things before the start.`;
  const hooks = rows.filter((row) => (row.hooks ?? []).length > 0).map(hookTable);
  const tools = rows.flatMap((row) => (row.tools === undefined ? [] : [toolTable(row.tools)]));
  return `${[busy > QUIET ? `${about} ${noise}` : about, mainTable(rows), ...hooks, ...tools].join('\n\n')}\n`;
}
