/** The connections of test/owners/cast.c, step by step. */
import { symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { temporaryFolder } from './collector.js';
import { compile } from './compile.js';
import type { Namespace, Teardown } from './netns.js';
import { until } from './wait.js';

const SOURCE = join(import.meta.dirname, '..', 'owners', 'cast.c');
/** Exit code: this kernel has no such thing. */
const LACKING = 77;

/** How the server gets, or hands on, its connection. */
export type CastKind =
  'plain' | 'fork' | 'exec' | 'reset' | 'mptcp' | 'mptcp-fork' | 'ring' | 'multishot' | 'zerocopy';

export const REQUEST_BYTES = 3000;
export const ANSWER_BYTES = 5000;
export const PAGES_BYTES = 480 * 4096;

/** Names of the processes, as the kernel has them. */
export const CAST = 'cast';
export const WORKER = 'cast-worker';

export interface Pids {
  readonly acceptor: number;
  readonly worker: number;
  readonly client: number;
}

export interface Cast {
  /** Why this kernel cannot play it; null: it can. */
  readonly lacks: string | null;
  /** The client connects, the server accepts and hands on. */
  connect(): Promise<Pids>;
  /** A request and its answer. */
  exchange(): Promise<void>;
  close(): Promise<void>;
  /** The server stops listening: its process ends. */
  end(): Promise<void>;
  /** Bytes that were taken by mapping pages. */
  mapped(): number;
}

/** Compiles it; null without a C compiler. */
export function compileCast(t: Teardown): string | null {
  const program = compile(SOURCE, temporaryFolder(t));
  if (program !== null) symlinkSync(basename(program), join(dirname(program), WORKER));
  return program;
}

/** Starts it; it listens when this returns. */
export async function startCast(
  t: Teardown,
  namespace: Namespace,
  program: string,
  kind: CastKind,
  port: number,
): Promise<Cast> {
  const child = namespace.spawn(program, [kind, `${port}`]);
  let said = '';
  let errors = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (said += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (errors += text));
  t.teardown(() => child.kill('SIGKILL'));
  const says = async (word: string, times: number): Promise<void> => {
    await until(() => child.exitCode !== null || said.split(word).length > times, {
      what: `${word} from ${kind}: ${said}${errors}`,
    });
    if (child.exitCode !== null && child.exitCode !== LACKING)
      throw new Error(`${kind} ended (${child.exitCode}): ${errors}`);
  };
  let steps = 0;
  const step = async (line: string): Promise<void> => {
    child.stdin?.write(`${line}\n`);
    steps++;
    await says('done', steps);
  };
  await says('ready', 1);
  return {
    lacks: child.exitCode === LACKING ? errors.trim() : null,
    connect: async () => {
      child.stdin?.write('\n');
      await says('}', 1);
      const [, pids = ''] = /(\{.*\})/.exec(said) ?? [];
      return JSON.parse(pids) as Pids;
    },
    exchange: () => step('data'),
    close: () => step('close'),
    end: async () => {
      child.stdin?.end();
      await until(() => child.exitCode !== null, { what: `the end of ${kind}` });
    },
    mapped: () => Number(/mapped (\d+)/.exec(said)?.[1]),
  };
}
