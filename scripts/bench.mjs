// Measures what netwatch costs, beside other tools, and judges each row: `make bench`. Needs root, a
// C compiler and clang; takes about five minutes. All traffic is on loopback inside a network
// namespace of its own. Progress on stderr, the result on stdout as Markdown.
//
//   node scripts/bench.mjs [--only ROW,ROW] [--json]
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { BARS } from './bench/bar.mjs';
import { openLab } from './bench/lab.mjs';
import { describeMachine } from './bench/machine.mjs';
import { number, render, verdict } from './bench/table.mjs';

const EXIT_USAGE = 2;
const EXIT_ENVIRONMENT = 3;
const ROWS = join(import.meta.dirname, 'bench', 'rows');

const progress = (text) => void process.stderr.write(`bench: ${text}\n`);

/** Ends with two lines: what is wrong, what to do. */
function refuse(code, what, next) {
  process.stderr.write(`bench: ${what}\n  ${next}\n`);
  process.exit(code);
}

function options() {
  try {
    const { values } = parseArgs({
      options: { only: { type: 'string' }, json: { type: 'boolean', default: false } },
    });
    return values;
  } catch (error) {
    return refuse(EXIT_USAGE, error.message, 'usage: bench.mjs [--only ROW,ROW] [--json]');
  }
}

/** The rows asked for; all of them without --only. */
function wantedRows(only) {
  const known = Object.keys(BARS);
  const wanted = only === undefined ? known : only.split(',').map((id) => id.trim());
  const unknown = wanted.filter((id) => !known.includes(id));
  if (unknown.length > 0)
    refuse(EXIT_USAGE, `there is no row ${unknown.join(', ')}`, `there are ${known.join(', ')}`);
  return new Set(wanted);
}

/** What one module of bench/rows measures; a failure becomes rows that say so. */
async function run(module, lab, wanted) {
  const ids = module.ids.filter((id) => wanted.has(id));
  if (ids.length === 0) return [];
  const start = performance.now();
  progress(`${ids.join(', ')} …`);
  let rows;
  try {
    rows = (await module.measure(lab, wanted)).filter(({ id }) => wanted.has(id));
  } catch (error) {
    progress(error.stack);
    lab.killChildren();
    rows = ids.map((id) => ({ id, value: null, detail: error.message }));
  }
  const took = ((performance.now() - start) / 1000).toFixed(0);
  const short = rows.map((row) => `${row.id} ${number(row.value ?? NaN)} ${verdict(row)}`.trim());
  progress(`  ${short.join(' · ')} (${took} s)`);
  return rows;
}

const { only, json } = options();
const wanted = wantedRows(only);
if (process.getuid() !== 0)
  refuse(EXIT_ENVIRONMENT, 'loading BPF programs needs root', 'run: sudo make bench');
const start = performance.now();
const machine = await describeMachine();
const lab = openLab();
const rows = [];
for (const file of readdirSync(ROWS).sort())
  rows.push(...(await run(await import(join(ROWS, file)), lab, wanted)));
lab.close();
const order = Object.keys(BARS);
rows.sort((a, b) => order.indexOf(a.id) - order.indexOf(b.id));
progress(`${((performance.now() - start) / 1000).toFixed(0)} s in all`);
const result = json
  ? JSON.stringify(
      { machine, rows: rows.map((row) => ({ ...row, verdict: verdict(row) })) },
      null,
      2,
    )
  : render(machine, rows).trimEnd();
process.stdout.write(`${result}\n`, () => process.exit(0));
