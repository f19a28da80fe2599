/** Runs `netwatch doctor` of the built program, as anybody and in any surroundings. */
import { execFile } from 'node:child_process';
import type { Report } from '../../src/doctor/report.js';
import { PROGRAM } from './collector.js';

export interface DoctorRun {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface DoctorSurroundings {
  /** Default: the built program. */
  readonly program?: string;
  /** A command that executes the rest of its line. */
  readonly wrapper?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

/** Without processors of its own, a machine verifies hundreds of thousands of instructions slowly. */
const MOST_MS = 120_000;

export function runDoctor(
  args: readonly string[],
  { program = PROGRAM, wrapper = [], env = {}, cwd }: DoctorSurroundings = {},
): Promise<DoctorRun> {
  const [command = '', ...rest] = [...wrapper, process.execPath, program, 'doctor', ...args];
  const environment = { ...process.env, NODE_OPTIONS: '', ...env };
  const options = { env: environment, timeout: MOST_MS, maxBuffer: 8 << 20 };
  return new Promise((resolve) => {
    execFile(
      command,
      rest,
      cwd === undefined ? options : { ...options, cwd },
      (error, out, err) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
        resolve({ code, out, err });
      },
    );
  });
}

/** Its report as data; throws if it is no JSON, with what was said instead. */
export async function diagnosis(
  surroundings: DoctorSurroundings = {},
  args: readonly string[] = [],
): Promise<Report> {
  const { out, err } = await runDoctor(['-o', 'json', ...args], surroundings);
  try {
    return JSON.parse(out) as Report;
  } catch (cause) {
    throw new Error(`no report: ${out.slice(0, 500)} ${err}`, { cause });
  }
}

/** What it says of an option by the beginning of its flags: `-t`, `--cgroup`. */
export function flagOf(report: Report, name: string): Report['flags'][number] {
  const found = report.flags.find(
    ({ flag }) => flag === name || flag.startsWith(`${name},`) || flag.startsWith(`${name} `),
  );
  if (found === undefined) throw new Error(`no flag ${name}`);
  return found;
}

/** What it says of a command. */
export function toolOf(report: Report, name: string): Report['tools'][number] {
  const found = report.tools.find(({ tool }) => tool === name);
  if (found === undefined) throw new Error(`no tool ${name}`);
  return found;
}
