/** Traffic and witnesses for the tools that show the life of connections. */
import { spawn } from 'node:child_process';
import type { Namespace, Teardown } from './netns.js';
import type { Json } from './ndjson.js';
import { startTool, type RunningTool } from './tool.js';
import { until } from './wait.js';

export { provoke } from './insight.js';

/** Runs a tool over some traffic, to its end; throws if it did not end well. */
export async function watched(
  t: Teardown,
  namespace: Namespace,
  name: string,
  args: readonly string[],
  traffic: () => Promise<unknown>,
): Promise<RunningTool> {
  const tool = await startTool(t, namespace, name, args);
  await traffic();
  const { code } = await tool.stop();
  if (code !== 0) throw new Error(`${name} ended with ${code}: ${tool.stderr()}`);
  return tool;
}

/** The objects of a tool that runs beside others, by its arguments. */
export interface Variant {
  readonly args: readonly string[];
  /** What is left of the objects of a run without arguments. */
  readonly keeps: (object: Json) => boolean;
}

/** Runs a tool once without arguments and once with those of each variant, on the same traffic. */
export async function withVariants(
  t: Teardown,
  namespace: Namespace,
  name: string,
  variants: readonly Variant[],
  traffic: () => Promise<unknown>,
): Promise<{ readonly all: Json[]; readonly found: readonly Json[][] }> {
  const lines = [[], ...variants.map(({ args }) => args)];
  const start = (args: readonly string[]): Promise<RunningTool> =>
    startTool(t, namespace, name, ['-o', 'json', ...args]);
  const tools = await Promise.all(lines.map(start));
  await traffic();
  await Promise.all(tools.map((tool) => tool.stop()));
  const [all = [], ...found] = tools.map((tool) => tool.objects());
  return { all, found };
}

export interface BlockingConnect {
  readonly pid: number;
  readonly exited: Promise<unknown>;
}

/** A process that connects and waits for the answer (bash, whose sockets block), then ends. */
export function connectAndWait(
  t: Teardown,
  namespace: Namespace,
  host: string,
  port: number,
  uid = 0,
): BlockingConnect {
  const user = ['--reuid', String(uid), '--clear-groups'];
  const line = `exec 3<>/dev/tcp/${host}/${port}`;
  const child = namespace.spawn('setpriv', [...user, 'bash', '-c', line], { stdio: 'ignore' });
  const exited = new Promise((resolve) => child.once('close', resolve));
  t.teardown(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  return { pid: child.pid ?? 0, exited };
}

/** A tool of Debian's libbpf-tools, which sees all namespaces: its arguments must narrow that down. */
export async function startWitness(
  t: Teardown,
  name: string,
  args: readonly string[],
): Promise<{ readonly rows: () => string[][]; readonly stop: () => Promise<void> }> {
  // to a pipe it would write when its buffer is full
  const child = spawn('stdbuf', ['-oL', `/usr/sbin/${name}`, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part));
  const exited = new Promise((resolve) => child.once('close', resolve));
  t.teardown(() => child.kill('SIGKILL'));
  await until(() => text.includes('\n') || child.exitCode !== null, { what: `${name} is ready` });
  return {
    rows: () => rowsOf(text),
    stop: async () => {
      child.kill('SIGINT');
      await exited;
    },
  };
}

/** The cells of a table's rows, without its head. */
export function rowsOf(text: string): string[][] {
  return text
    .split('\n')
    .slice(1, -1)
    .map((line) => line.trim().split(/ +/));
}
