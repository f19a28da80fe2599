/**
 * Measures what netwatch costs, beside other tools, and judges each row: `make bench`. Needs root, a
 * C compiler and clang; takes about five minutes. All traffic is on loopback inside a network
 * namespace of its own. Progress on stderr, the result on stdout as Markdown.
 *
 *   scripts/bench.ts [--only ROW,ROW] [--json] [--smoke]
 *
 * --smoke measures every row with the smallest sizes, to see that it can be measured at all, and ends
 * with one line `N passed, N failed[, N skipped]`. The exit code is 1 if a row was not measured, but
 * for those that compare with a program of others that does not run here.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { ROW_IDS, type RowId } from './bench/bar.js';
import { openLab } from './bench/lab.js';
import { describeMachine } from './bench/machine.js';
import { outcome, run, type RowModule } from './bench/row-module.js';
import { render, verdict, type Row } from './bench/table.js';
import { closingLine } from './tap-count.js';

const EXIT_NOT_MEASURED = 1;
const EXIT_USAGE = 2;
const EXIT_ENVIRONMENT = 3;
const ROWS = join(import.meta.dirname, 'bench', 'rows');
const USAGE = 'usage: bench.ts [--only ROW,ROW] [--json] [--smoke]';

const progress = (text: string): void => void process.stderr.write(`bench: ${text}\n`);

/** Ends with two lines: what is wrong, what to do. */
function refuse(code: number, what: string, next: string): never {
  process.stderr.write(`bench: ${what}\n  ${next}\n`);
  process.exit(code);
}

interface Options {
  readonly only?: string;
  readonly json: boolean;
  readonly smoke: boolean;
}

function readOptions(): Options {
  const isOff = { type: 'boolean', default: false } as const;
  try {
    return parseArgs({ options: { only: { type: 'string' }, json: isOff, smoke: isOff } }).values;
  } catch (error) {
    return refuse(EXIT_USAGE, error instanceof Error ? error.message : String(error), USAGE);
  }
}

/** The rows asked for; all of them without --only. */
function wantedRows(only: string | undefined): Set<RowId> {
  if (only === undefined) return new Set(ROW_IDS);
  const names = only.split(',').map((name) => name.trim());
  const isRow = (name: string): name is RowId => (ROW_IDS as readonly string[]).includes(name);
  const unknown = names.filter((name) => !isRow(name));
  if (unknown.length > 0)
    refuse(EXIT_USAGE, `there is no row ${unknown.join(', ')}`, `there are ${ROW_IDS.join(', ')}`);
  return new Set(names.filter(isRow));
}

async function loadRows(file: string): Promise<RowModule> {
  const { rows } = (await import(join(ROWS, file))) as { readonly rows: RowModule };
  return rows;
}

// ip, tcplife and tcpstates are there, which not everybody's PATH knows; nginx where the tests have it.
const tools = join(import.meta.dirname, '../.cache/tools/usr');
process.env['PATH'] = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin:${tools}/bin:${tools}/sbin`;
const { only, json, smoke } = readOptions();
const wanted = wantedRows(only);
if (process.getuid?.() !== 0)
  refuse(EXIT_ENVIRONMENT, 'loading BPF programs needs root', 'run: sudo make bench');
const start = performance.now();
const machine = await describeMachine();
const lab = openLab(smoke);
const rows: Row[] = [];
for (const file of readdirSync(ROWS).sort())
  rows.push(...(await run(await loadRows(file), lab, wanted, progress)));
lab.close();
rows.sort((a, b) => ROW_IDS.indexOf(a.id) - ROW_IDS.indexOf(b.id));
const { notes, ...counts } = outcome(wanted, rows);
notes.forEach(progress);
progress(`${((performance.now() - start) / 1000).toFixed(0)} s in all`);
const judged = rows.map((row) => ({ ...row, verdict: verdict(row, smoke) }));
const result = json
  ? `${JSON.stringify({ machine, rows: judged }, null, 2)}\n`
  : render(machine, rows, smoke);
process.stdout.write(smoke ? `${result}${closingLine(counts)}\n` : result, () =>
  process.exit(counts.failed > 0 ? EXIT_NOT_MEASURED : 0),
);
