/**
 * What runs inside the virtual machines and how: a tree with the tests, compiled on the host, and the
 * program as it is now, so that neither a `make` meanwhile nor another run changes anything.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Architecture, Kernel } from './kernels.js';
import type { DoctorReport } from './matrix.js';
import { TapReader, type TestResult } from './tap.js';

const ROOT = resolve(import.meta.dirname, '../..');
export const CACHE = join(ROOT, '.cache/vm');
/** Of this run, and gone with it. */
const RUN = join(CACHE, `run-${process.pid}`);
process.on('exit', () => rmSync(RUN, { recursive: true, force: true }));

/** Seconds that one machine may take, from its start to its end. */
const LIMIT_SECONDS = 1200;

/** What the exit codes of scripts/vm/boot say that are not those of the command. */
const ENDS: Readonly<Record<number, string>> = {
  124: `the machine was still at work after ${LIMIT_SECONDS} s`,
  125: 'the machine could not be started',
  126: 'the machine died',
};

/** The program's folders and files, and where they come from for an architecture. */
const PROGRAM = (
  architecture: Architecture,
): readonly (readonly [name: string, from: string])[] => [
  ['build', 'build'],
  ['package.json', 'package.json'],
  ['bpf', 'bpf'],
  ...(architecture === 'arm64' ? [['bpf', '.cache/arm64'] as const] : []),
];

/** Removes what runs have left behind that were killed. */
export function sweepRuns(): void {
  mkdirSync(CACHE, { recursive: true });
  for (const name of readdirSync(CACHE)) {
    const pid = /^run-(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`))
      rmSync(join(CACHE, name), { recursive: true });
  }
}

/** Compiles these tests and what they import into a folder. */
function compileTests(tree: string, tests: readonly string[]): void {
  const files = [...tests.map((test) => `${pathOf(test)}.ts`), 'test/support/vm-main.ts'];
  const settings = join(RUN, 'tsconfig.json');
  const project = {
    extends: join(ROOT, 'tsconfig.json'),
    compilerOptions: { rootDir: ROOT, outDir: tree, sourceMap: false, skipLibCheck: true },
    include: files.map((file) => join(ROOT, file)),
    exclude: [],
  };
  writeFileSync(settings, JSON.stringify(project));
  const tsc = join(ROOT, 'node_modules/.bin/tsc');
  execFileSync(tsc, ['-p', settings], { stdio: 'inherit' });
}

/** Compiles the tests and copies the program beside them; the folder's name. */
export function prepareTree(architecture: Architecture, tests: readonly string[]): string {
  const tree = join(RUN, `tree-${architecture}`);
  mkdirSync(tree, { recursive: true });
  compileTests(tree, tests);
  const traffic = join(ROOT, 'scripts/traffic');
  for (const name of readdirSync(traffic).filter((file) => file.endsWith('.mjs')))
    cpSync(join(traffic, name), join(tree, 'scripts/traffic', name));
  for (const [name, from] of PROGRAM(architecture))
    cpSync(join(ROOT, from), join(tree, name), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(tree, 'node_modules')); // for copies of the program
  return tree;
}

/** The file of a test by its name, without its suffix: attach, or e2e/packets for one of another folder. */
const pathOf = (test: string): string => `test/${test.includes('/') ? test : `vm/${test}`}.test`;

/** The names of the tests: attach, connections, … */
export function testNames(): string[] {
  return readdirSync(join(ROOT, 'test/vm'))
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => file.replace('.test.ts', ''))
    .sort();
}

const KERNELS = join(ROOT, '.cache/kernels');
/** The root of machines of another architecture. */
const ARM64_ROOT = join(KERNELS, 'arm64-root');
const folderOf = ({ name }: Kernel): string => join(KERNELS, name);

/** Why there is no kernel: it cannot be had, or something broke. */
export interface FetchObstacle {
  readonly verdict: 'skipped' | 'failed';
  readonly reason: string;
}

/** What scripts/vm/fetch ends with if something cannot be had. */
const CANNOT_BE_HAD = 3;

/** Fetches a kernel, and a root if it needs one, if they are not there; null if all went well. */
export function fetchKernel(kernel: Kernel): FetchObstacle | null {
  const { architecture, suites } = kernel;
  const where = [folderOf(kernel), suites.join(','), kernel.package];
  const scripts = [
    ['fetch', '--arch', architecture, ...where],
    ...(architecture === 'arm64' ? [['fetch-arm64', ARM64_ROOT]] : []),
  ];
  for (const [script = '', ...args] of scripts) {
    const { status, stderr } = spawnSync(join(ROOT, 'scripts/vm', script), args, {
      encoding: 'utf8',
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    if (status !== 0)
      return { verdict: status === CANNOT_BE_HAD ? 'skipped' : 'failed', reason: stderr.trim() };
  }
  return null;
}

/** The name of the package that a kernel was unpacked from. */
export function packageOf(kernel: Kernel): string {
  return readFileSync(join(folderOf(kernel), '.packages'), 'utf8').split('\n', 1)[0] ?? '';
}

export interface GuestResult {
  readonly tests: readonly TestResult[];
  /** What `netwatch doctor` has found there; null if its test has not run. */
  readonly doctor: DoctorReport | null;
}

/** How the machine ended, if that is a failure of its own; else null. */
function ending(status: number, tap: TapReader, tests: readonly TestResult[]): TestResult | null {
  const failed = tests.some(({ verdict }) => verdict === 'failed');
  let name = ENDS[status];
  if (!tap.complete) name ??= `the tests ended before the last one (status ${status})`;
  if (status !== 0 && !failed) name ??= `the machine ended with status ${status}`;
  if (name === undefined) return null;
  return { name, verdict: 'failed', reason: '', ms: 0, output: tap.rest() };
}

/** Runs the tests; that of the doctor leaves its report, which is the machine's only file. */
function commandOf(tree: string, names: readonly string[], report: string): string {
  const files = names.map((name) => `${tree}/${pathOf(name)}.js`);
  return `VM_REPORT=${report} node ${tree}/test/support/vm-main.js ${files.join(' ')}`;
}

/** Starts a machine; `lines` is what its command prints. */
function boot(
  kernel: Kernel,
  command: string,
  out: string,
): { readonly lines: AsyncIterable<string>; readonly status: Promise<number> } {
  const root = kernel.architecture === 'arm64' ? { VM_ROOT: ARM64_ROOT } : {};
  const child = spawn(join(ROOT, 'scripts/vm/boot'), [folderOf(kernel), command], {
    cwd: ROOT,
    env: { ...process.env, ...root, VM_OUT: out, VM_TIMEOUT: `${LIMIT_SECONDS}` },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const stop = (): void => void child.kill('SIGTERM');
  process.once('SIGTERM', stop);
  const status = new Promise<number>((done, fail) => {
    child.on('error', fail);
    child.on('close', (code) => {
      process.removeListener('SIGTERM', stop);
      done(code ?? NaN);
    });
  });
  return { lines: createInterface({ input: child.stdout }), status };
}

/** Boots a kernel and runs tests in it; each is handed over as it ends. */
export async function runGuest(
  kernel: Kernel,
  tree: string,
  names: readonly string[],
  onTest: (test: TestResult) => void,
): Promise<GuestResult> {
  const out = join(RUN, kernel.name);
  mkdirSync(out, { recursive: true });
  const report = join(out, 'doctor.json');
  const { lines, status } = boot(kernel, commandOf(tree, names, report), out);
  const tap = new TapReader();
  const tests: TestResult[] = [];
  const add = (test: TestResult | null): void => {
    if (test === null) return;
    tests.push(test);
    onTest(test);
  };
  for await (const line of lines) add(tap.line(line));
  add(ending(await status, tap, tests));
  return { tests, doctor: readReport(report) };
}

function readReport(path: string): DoctorReport | null {
  const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
  return text.startsWith('{') ? (JSON.parse(text) as DoctorReport) : null;
}
