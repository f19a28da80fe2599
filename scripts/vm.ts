/**
 * The virtual-machine matrix: boots each kernel under qemu and runs test/vm in it, against the built
 * program. Prints one line per kernel and test and ends with `N passed, N failed, N skipped`.
 *
 *   scripts/vm.ts [--kernels 5.10,6.1] [--tests attach,http] [--quick] [--keep-going] [--jobs N]
 *   scripts/vm.ts --kernels 5.10 --tests e2e/insight-events    tests of another folder
 *   scripts/vm.ts --table     prints the table of the last run, and runs nothing
 *
 * A whole run that passes also writes the table into docs/kernels.md, between its markers. A kernel that
 * cannot be had is skipped, with the reason.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import {
  CACHE,
  fetchKernel,
  packageOf,
  prepareTree,
  runGuest,
  sweepRuns,
  testNames,
} from './vm/guest.js';
import { KERNELS, MUST_RUN, QUICK, type Kernel } from './vm/kernels.js';
import { renderTable, withTable, type DoctorReport, type Matrix } from './vm/matrix.js';
import type { TestResult } from './vm/tap.js';

const MATRIX = join(CACHE, 'matrix.json');
const DOCUMENT = resolve(import.meta.dirname, '../docs/kernels.md');
const WORDS = { passed: 'ok', failed: 'FAIL', skipped: 'skip' } as const;

const { values: options } = parseArgs({
  options: {
    kernels: { type: 'string' },
    tests: { type: 'string' },
    quick: { type: 'boolean', default: false },
    'keep-going': { type: 'boolean', default: false },
    jobs: { type: 'string', default: '2' },
    table: { type: 'boolean', default: false },
  },
});

const total = { passed: 0, failed: 0, skipped: 0 };

function report(kernel: string, { name, verdict, reason, ms, output }: TestResult): void {
  total[verdict] += 1;
  const tail = verdict === 'skipped' ? `(${reason})` : ms > 0 ? `${(ms / 1000).toFixed(1)} s` : '';
  console.log(`${kernel.padEnd(5)} ${WORDS[verdict].padEnd(4)} ${name}  ${tail}`);
  for (const line of output) console.log(`      ${line}`);
}

function chosenKernels(): readonly Kernel[] {
  const list = options.kernels?.split(/[ ,]+/).filter(Boolean);
  const names: readonly string[] = list ?? (options.quick ? QUICK.kernels : usual());
  return names.map((name) => {
    const kernel = KERNELS.find((other) => other.name === name);
    if (kernel === undefined)
      throw new Error(`no kernel ${name}; there are ${KERNELS.map((k) => k.name).join(', ')}`);
    return kernel;
  });
}

const usual = (): string[] => KERNELS.map(({ name }) => name);

/** Those that can be had; the others are reported. */
function fetchAll(kernels: readonly Kernel[]): Kernel[] {
  return kernels.filter((kernel) => {
    const obstacle = fetchKernel(kernel);
    if (obstacle === null) {
      console.log(`${kernel.name.padEnd(5)} is ${packageOf(kernel)}`);
      return true;
    }
    const { reason } = obstacle;
    const verdict = kernel.name === MUST_RUN ? 'failed' : obstacle.verdict;
    const output = verdict === 'failed' ? [reason] : [];
    report(kernel.name, { name: 'THE WHOLE KERNEL', verdict, reason, ms: 0, output });
    return false;
  });
}

/** Runs the tests on one kernel; true if all is well. What doctor has found goes into `found`. */
async function runOne(
  kernel: Kernel,
  tree: string,
  tests: readonly string[],
  found: Map<string, DoctorReport>,
): Promise<boolean> {
  const { name } = kernel;
  const startMs = performance.now();
  const guest = await runGuest(kernel, tree, tests, (test) => report(name, test));
  const failed = guest.tests.filter((test) => test.verdict === 'failed').length;
  const seconds = Math.round((performance.now() - startMs) / 1000);
  console.log(`${name.padEnd(5)} ${failed} of ${guest.tests.length} failed, ${seconds} s`);
  if (guest.doctor !== null) found.set(name, guest.doctor);
  return failed === 0;
}

/** Runs the kernels, `jobs` at a time; what doctor found in each. */
async function runAll(kernels: readonly Kernel[], tests: readonly string[]): Promise<Matrix> {
  const architectures = new Set(kernels.map(({ architecture }) => architecture));
  const trees = new Map([...architectures].map((one) => [one, prepareTree(one, tests)]));
  const found = new Map<string, DoctorReport>();
  const waiting = [...kernels];
  let ended = false;
  process.on('SIGTERM', () => (ended = true));
  const worker = async (): Promise<void> => {
    while (!ended) {
      const kernel = waiting.shift();
      if (kernel === undefined) return;
      const well = await runOne(kernel, trees.get(kernel.architecture) ?? '', tests, found);
      ended ||= !well && !options['keep-going'];
    }
  };
  await Promise.all(Array.from({ length: Number(options.jobs) }, worker));
  const left = waiting.map(({ name }) => name);
  if (left.length > 0) console.log(`not run: ${left.join(', ')} (--keep-going runs all)`);
  const inOrder = kernels.map(({ name }) => [name, found.get(name)] as const);
  return Object.fromEntries(inOrder.flatMap(([name, doctor]) => (doctor ? [[name, doctor]] : [])));
}

/** Puts the table into docs/kernels.md, if that has a place for it. */
function writeTable(matrix: Matrix): void {
  const text = readFileSync(DOCUMENT, 'utf8');
  const changed = withTable(text, renderTable(matrix));
  if (changed === null || changed === text) return;
  writeFileSync(DOCUMENT, changed);
  console.log('docs/kernels.md has a new table of kernels');
}

async function main(): Promise<void> {
  if (options.table) {
    process.stdout.write(renderTable(JSON.parse(readFileSync(MATRIX, 'utf8')) as Matrix));
    return;
  }
  const kernels = chosenKernels();
  const tests = options.tests?.split(/[ ,]+/) ?? (options.quick ? QUICK.tests : testNames());
  sweepRuns();
  const matrix = await runAll(fetchAll(kernels), tests);
  writeFileSync(MATRIX, `${JSON.stringify(matrix, null, 2)}\n`);
  const whole = options.tests === undefined && usual().every((name) => name in matrix);
  if (whole && total.failed === 0) writeTable(matrix);
  console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
  process.exitCode = total.failed > 0 || total.passed + total.skipped === 0 ? 1 : 0;
}

await main();
