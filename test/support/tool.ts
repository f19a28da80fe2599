/** Runs a tool that watches as a child on a namespace and reads what it says. */
import { spawn } from 'node:child_process';
import { PROGRAM, type Exit } from './collector.js';
import type { Namespace, Teardown } from './netns.js';
import { parseNdjson, type Json } from './ndjson.js';
import { until } from './wait.js';

export interface RunningTool {
  readonly pid: number;
  stdout(): string;
  stderr(): string;
  /** The whole lines on standard output by now. */
  lines(): string[];
  /** The same as objects, of `-o json`. */
  objects(): Json[];
  readonly exited: Promise<Exit>;
  stop(signal?: NodeJS.Signals): Promise<Exit>;
}

/**
 * Starts `netwatch NAME ARGS` on a namespace and returns when everything is attached. `within`: the
 * command that runs it, with fewer rights for example, and stays the same process.
 */
export async function startTool(
  t: Teardown,
  namespace: Namespace,
  name: string,
  args: readonly string[] = [],
  within: readonly string[] = [],
): Promise<RunningTool> {
  const own = [process.execPath, PROGRAM, name, '--netns', namespace.name, ...args];
  const [command = '', ...line] = [...within, ...own];
  const child = spawn(command, line, { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const exited = new Promise<Exit>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  t.teardown(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  const whole = (): string => stdout.slice(0, stdout.lastIndexOf('\n') + 1);
  await until(() => / ready after /.test(stderr) || child.exitCode !== null, {
    what: `${name} is ready`,
    deadlineMs: 90_000,
  });
  if (child.exitCode !== null) throw new Error(`${name} ended (${child.exitCode}): ${stderr}`);
  return {
    pid: child.pid ?? 0,
    stdout: () => stdout,
    stderr: () => stderr,
    lines: () => whole().split('\n').slice(0, -1),
    objects: () => parseNdjson(whole()),
    exited,
    stop: async (signal = 'SIGINT') => {
      child.kill(signal);
      let exit: Exit | undefined;
      void exited.then((found) => (exit = found));
      return until(() => exit, { what: `end after ${signal}`, everyMs: 5 });
    },
  };
}
