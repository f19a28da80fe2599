/** Runs `netwatch insight` as a child on a namespace and reads its events as JSON. */
import { spawn } from 'node:child_process';
import type { EventName } from '../../src/insight/events.js';
import { PROGRAM, type Exit } from './collector.js';
import type { Namespace, Teardown } from './netns.js';
import { until } from './wait.js';

/** One line of `-o json`. */
export interface InsightEvent {
  readonly time: string;
  readonly process: string | null;
  readonly pid: number | null;
  readonly tid: number | null;
  readonly event: EventName;
  readonly network_local_address: string;
  readonly network_local_port: number;
  readonly network_peer_address: string;
  readonly network_peer_port: number;
  readonly state: string | null;
  readonly state_before?: string;
  readonly cwnd: number | null;
  readonly rtt_us: number | null;
  readonly bytes: number | null;
  readonly sock: string | null;
  readonly age_ms: number | null;
  readonly details: Readonly<Record<string, string | number | boolean | null>>;
}

export interface Insight {
  readonly pid: number;
  stdout(): string;
  stderr(): string;
  /** Those that are on standard output by now. */
  events(): InsightEvent[];
  /** Of one kind. */
  of(event: EventName): InsightEvent[];
  /** What -T says in JSON, after the end. */
  statistics(): Readonly<Record<string, unknown>>;
  readonly exited: Promise<Exit>;
  stop(signal?: NodeJS.Signals): Promise<Exit>;
}

/** Starts it and returns when everything is attached. */
export async function startInsight(
  t: Teardown,
  namespace: Namespace,
  args: readonly string[] = [],
  format: 'json' | 'table' | 'csv' = 'json',
): Promise<Insight> {
  const line = [PROGRAM, 'insight', '--netns', namespace.name, '-o', format, ...args];
  const child = spawn(process.execPath, line, { stdio: ['ignore', 'pipe', 'pipe'] });
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
  const objects = (): Readonly<Record<string, unknown>>[] =>
    stdout
      .slice(0, stdout.lastIndexOf('\n') + 1)
      .split('\n')
      .filter((text) => text !== '')
      .map((text) => JSON.parse(text) as Readonly<Record<string, unknown>>);
  const events = (): InsightEvent[] =>
    objects().filter((object) => 'event' in object) as unknown as InsightEvent[];
  const insight: Insight = {
    pid: child.pid ?? 0,
    stdout: () => stdout,
    stderr: () => stderr,
    events,
    of: (event) => events().filter((found) => found.event === event),
    statistics: () => {
      const last = objects().find((object) => 'statistics' in object);
      return (last?.['statistics'] ?? {}) as Readonly<Record<string, unknown>>;
    },
    exited,
    stop: async (signal = 'SIGINT') => {
      child.kill(signal);
      let exit: Exit | undefined;
      void exited.then((found) => (exit = found));
      return until(() => exit, { what: `end after ${signal}`, everyMs: 5 });
    },
  };
  await until(() => / ready after /.test(stderr) || child.exitCode !== null, {
    what: 'insight is ready',
    deadlineMs: 30_000,
  });
  if (child.exitCode !== null) throw new Error(`insight ended (${child.exitCode}): ${stderr}`);
  return insight;
}

/** How often each kind was seen. */
export function countsOf(events: readonly InsightEvent[]): Partial<Record<EventName, number>> {
  const counts: Partial<Record<EventName, number>> = {};
  for (const { event } of events) counts[event] = (counts[event] ?? 0) + 1;
  return counts;
}

/** Sum of the bytes of events of one kind. */
export function bytesOf(events: readonly InsightEvent[]): number {
  return events.reduce((sum, { bytes }) => sum + (bytes ?? 0), 0);
}

const TRIES = 4;

/**
 * Some hosts leave tracing programs out now and then, and count nothing (README, Limits): traffic whose
 * events did not all come is made again, a few times at most. Gives the last try.
 */
export async function provoke<T>(
  make: () => Promise<T>,
  isWhole: (found: T) => boolean,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    const found = await make();
    if (isWhole(found) || tries === TRIES) return found;
  }
}
