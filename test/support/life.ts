/** Traffic and witnesses for the tools that show the life of connections. */
import { spawn } from 'node:child_process';
import type { Test } from 'tap';
import { provoke } from './provoke.js';
import type { Namespace, Teardown } from './netns.js';
import type { Json } from './ndjson.js';
import { startTool, type RunningTool } from './tool.js';
import { until } from './wait.js';

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

/** What arguments let through. */
export interface Variant {
  readonly args: readonly string[];
  /** Of the objects of a run without arguments. */
  readonly keeps: (object: Json) => boolean;
}

/** Two runs never agree on times; all else is the same. */
const comparable = (row: Json): string =>
  JSON.stringify({ ...row, time: 0, duration_ms: 0, handshake_ms: 0 });

const sorted = (rows: readonly Json[]): string[] => rows.map(comparable).sort();

interface VariantRun {
  /** Of a run without arguments. */
  readonly all: readonly Json[];
  readonly found: readonly (readonly Json[])[];
}

/** Runs a tool once without arguments and once with those of each variant, on the same traffic. */
async function runVariants(
  t: Teardown,
  namespace: Namespace,
  name: string,
  variants: readonly Variant[],
  traffic: () => Promise<unknown>,
): Promise<VariantRun> {
  const lines = [[], ...variants.map(({ args }) => args)];
  const start = (args: readonly string[]): Promise<RunningTool> =>
    startTool(t, namespace, name, ['-o', 'json', ...args]);
  const tools = await Promise.all(lines.map(start));
  await traffic();
  await Promise.all(tools.map((tool) => tool.stop()));
  const [all = [], ...found] = tools.map((tool) => tool.objects());
  return { all, found };
}

/**
 * Shows that each variant lets through exactly what it should, of `length` objects in all, and that
 * it is some of them and not all.
 */
export async function checkVariants(
  t: Test,
  namespace: Namespace,
  [name, length]: readonly [tool: string, length: number],
  variants: readonly Variant[],
  traffic: () => Promise<unknown>,
): Promise<void> {
  const { all, found } = await provoke(
    () => runVariants(t, namespace, name, variants, traffic),
    ({ all, found }) =>
      all.length === length &&
      variants.every(({ keeps }, i) => all.filter(keeps).length === found[i]?.length),
  );
  t.equal(all.length, length, name);
  for (const [i, { args, keeps }] of variants.entries()) {
    const wanted = sorted(all.filter(keeps));
    const label = `${name} ${args.join(' ')}: ${wanted.length} of ${all.length}`;
    t.strictSame(sorted(found[i] ?? []), wanted, label);
    t.ok(wanted.length > 0 && wanted.length < all.length, label);
  }
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
