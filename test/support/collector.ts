/** Runs the built program as a child and reads what it writes. */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseExposition, total, type Sample } from './samples.js';
import type { Namespace, Teardown } from './netns.js';
import { until } from './wait.js';

export const PROGRAM = resolve(import.meta.dirname, '../../build/main.js');

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Collector {
  readonly pid: number;
  readonly dataFolder: string;
  stdout(): string;
  stderr(): string;
  /** Text of a file of the data folder; empty while it does not exist. */
  read(file: string): string;
  /** Its samples. A log that is being written may end in a torn line, which is left out. */
  samples(file: string): readonly Sample[];
  /** Polls until the samples of a file satisfy the predicate, and gives them. */
  waitFor(
    file: string,
    predicate: (samples: readonly Sample[]) => boolean,
    what: string,
  ): Promise<readonly Sample[]>;
  /** netwatch.prom of a pull that began after this call; give the collector a short --interval. */
  pulled(): Promise<readonly Sample[]>;
  readonly exited: Promise<Exit>;
  /** Sends the signal (default SIGINT) and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<Exit>;
}

export interface CollectorOptions {
  /** Default: a temporary folder, removed with the test. */
  readonly dataFolder?: string;
  /** Default: the built program. */
  readonly program?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** False: do not wait for the ready line. */
  readonly ready?: boolean;
  /** Values of --netns; default: the name of the namespace. */
  readonly netns?: readonly string[];
  /** A command that executes the rest of its line, as in ['unshare', '--time']. */
  readonly wrapper?: readonly string[];
}

/** Starts the collector on a namespace and returns at its ready line. */
export async function startCollector(
  t: Teardown,
  namespace: Namespace,
  args: readonly string[] = [],
  options: CollectorOptions = {},
): Promise<Collector> {
  const dataFolder = options.dataFolder ?? temporaryFolder(t);
  const program = options.program ?? PROGRAM;
  const { netns = [namespace.name] } = options;
  const where = ['--netns', netns.join(','), '--data', dataFolder];
  const line = [...(options.wrapper ?? []), process.execPath, program, ...where, ...args];
  const child = spawn(line[0] ?? '', line.slice(1), {
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const collector = observe(child, dataFolder);
  t.teardown(async () => {
    child.kill('SIGKILL');
    await collector.exited;
  });
  if (options.ready !== false) await becomesReady(collector, child);
  return collector;
}

async function becomesReady(collector: Collector, child: ChildProcess): Promise<void> {
  const over = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const ready = (): boolean => /^netwatch: ready/m.test(collector.stderr());
  const settled = (): boolean => ready() || over();
  await until(settled, { what: 'the collector is ready', everyMs: 5 }).catch((error: unknown) => {
    throw new Error(`${String(error)}; it said: ${collector.stderr()}`);
  });
  if (!ready()) throw new Error(`the collector ended (${child.exitCode}): ${collector.stderr()}`);
}

function observe(child: ChildProcess, dataFolder: string): Collector {
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const exited = new Promise<Exit>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal })); // after the last output
  });
  const read = (file: string): string => {
    const path = join(dataFolder, file);
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  };
  const samples = (file: string): readonly Sample[] => {
    const text = read(file);
    const log = file.endsWith('.log');
    return parseExposition(text.slice(0, text.lastIndexOf('\n') + 1), { log }).samples;
  };
  const waitFor: Collector['waitFor'] = async (file, predicate, what) => {
    const satisfied = (): readonly Sample[] | null => {
      const now = samples(file);
      return predicate(now) ? now : null;
    };
    const waiting = until(satisfied, { what: `${file}: ${what}`, everyMs: 20 });
    return (await waiting) ?? [];
  };
  /** Differs from pull to pull. */
  const cpuSeconds = (now: readonly Sample[]): number =>
    total(now, 'netwatch_process_cpu_seconds_total');
  return {
    pid: child.pid ?? 0,
    dataFolder,
    stdout: () => stdout,
    stderr: () => stderr,
    read,
    samples,
    waitFor,
    async pulled() {
      let state = samples('netwatch.prom');
      // the first one may have begun before
      for (let pulls = 0; pulls < 2; pulls++) {
        const before = cpuSeconds(state);
        const isNew = (now: readonly Sample[]): boolean => cpuSeconds(now) !== before;
        state = await waitFor('netwatch.prom', isNew, 'a pull');
      }
      return state;
    },
    exited,
    async stop(signal = 'SIGINT') {
      child.kill(signal);
      let exit: Exit | undefined;
      void exited.then((e) => (exit = e));
      return until(() => exit, { what: `end after ${signal}`, everyMs: 5 });
    },
  };
}

/** A folder that is removed with the test. */
export function temporaryFolder(t: Teardown): string {
  const folder = mkdtempSync(join(tmpdir(), 'nwtest-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
