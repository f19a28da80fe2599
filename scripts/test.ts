/**
 * Runs the tests and ends with one line `N passed, N failed[, N skipped]`.
 *
 *   scripts/test.ts [--unit | --faults] [FILE…]
 *
 * Unit tests (test/, without the other folders), end-to-end tests (test/e2e, root) and faults
 * (test/faults, root) run two files at a time: each but the first owns its network namespaces,
 * cgroups and folders, and waits more than it computes. The TAP itself stays in .tap/.
 */
import { spawn } from 'node:child_process';
import {
  createWriteStream,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { closingLine, TapCounter, type Counts, type FileResult } from './tap-count.js';

interface Suite {
  readonly name: string;
  readonly files: readonly string[];
}

const root = resolve(import.meta.dirname, '..');
const verbose = process.env['VERBOSE'] === '1';

function testFiles(directory: string, without: readonly string[] = []): string[] {
  if (!existsSync(join(root, directory))) return [];
  return readdirSync(join(root, directory), { recursive: true, encoding: 'utf8' })
    .filter(
      (name) => name.endsWith('.test.ts') && !without.some((folder) => name.startsWith(folder)),
    )
    .map((name) => `${directory}/${name}`)
    .sort();
}

const SUITES: readonly Suite[] = [
  { name: 'unit', files: testFiles('test', ['e2e/', 'vm/', 'faults/']) },
  { name: 'e2e', files: testFiles('test/e2e') },
  { name: 'faults', files: testFiles('test/faults') },
];

/** `only`: the name of one suite; null: all of them. */
function suites(only: string | null, files: readonly string[]): Suite[] {
  const chosen = (file: string): boolean =>
    files.length === 0 || files.some((wanted) => resolve(wanted) === join(root, file));
  return SUITES.filter(({ name }) => only === null || name === only)
    .map(({ name, files: all }) => ({ name, files: all.filter(chosen) }))
    .filter((suite) => suite.files.length > 0);
}

function print({ file, ms, passed, failed, skipped, notes }: FileResult): void {
  const verdict = failed > 0 ? 'FAIL' : 'ok  ';
  const seconds = (ms / 1000).toFixed(1);
  console.log(`${verdict} ${file}  ${closingLine({ passed, failed, skipped })}  ${seconds} s`);
  for (const note of notes) console.log(`     ${note}`);
}

/**
 * What tests run with. Servers that scripts/setup unpacked for them are found last, after what the
 * system has.
 */
function environment(): NodeJS.ProcessEnv {
  const tools = [
    '/usr/sbin',
    '/sbin',
    ...['bin', 'sbin'].map((d) => join(root, '.cache/tools/usr', d)),
  ];
  // no test is a client with certificates of the system; to read them takes 30 ms a program
  const environment = { ...process.env };
  delete environment['NODE_EXTRA_CA_CERTS'];
  return { ...environment, PATH: [process.env['PATH'] ?? '', ...tools].join(':') };
}

async function run(suite: Suite): Promise<Counts> {
  const counter = new TapCounter(print);
  const tap = createWriteStream(join(root, '.tap', `${suite.name}.tap`));
  const args = [...process.execArgv, join(root, 'scripts/tap-run.ts'), ...suite.files];
  const child = spawn(process.execPath, args, {
    cwd: root,
    env: environment(),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<number | null>((done, fail) => {
    child.on('error', fail);
    child.on('close', done);
  });
  for await (const line of createInterface({ input: child.stdout })) {
    tap.write(`${line}\n`);
    if (verbose) console.log(line);
    counter.line(line);
  }
  counter.end(await ended);
  tap.end();
  return counter.total;
}

const args = process.argv.slice(2);
const files = args.filter((arg) => !arg.startsWith('--'));
const only = SUITES.find(({ name }) => args.includes(`--${name}`))?.name ?? null;
const chosen = suites(only, files);
const total: Counts = { passed: 0, failed: 0, skipped: 0 };
mkdirSync(join(root, '.tap'), { recursive: true });
rmSync(join(root, '.tap/closing-line'), { force: true });
for (const suite of chosen) {
  const counts = await run(suite);
  total.passed += counts.passed;
  total.failed += counts.failed;
  total.skipped += counts.skipped;
}
if (total.passed + total.failed === 0) {
  console.log(files.length > 0 ? `no test file among: ${files.join(' ')}` : 'no test ran');
  total.failed += 1;
}
writeFileSync(join(root, '.tap/closing-line'), `${closingLine(total)}\n`);
console.log(closingLine(total));
process.exitCode = total.failed > 0 ? 1 : 0;
