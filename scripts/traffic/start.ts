/** Starts a traffic program inside a namespace and talks to it: JSON lines over its stdin and stdout. */
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Namespace } from './namespace.js';
import type { Programs } from './programs.js';

export interface Program<K extends keyof Programs> {
  readonly pid: number;
  readonly ready: Programs[K]['ready'];
  /** Does the work; exact counts. */
  go(): Promise<Programs[K]['result']>;
  /** Orderly end; exact totals. */
  stop(): Promise<Programs[K]['stopped']>;
  /** SIGSTOP makes a listener that accepts nothing. */
  signal(signal: NodeJS.Signals): void;
}

export interface StartOptions {
  /** The name of the process, up to 15 arbitrary bytes. */
  readonly comm?: string | Uint8Array;
  /** For each answer; default two minutes. */
  readonly deadlineMs?: number;
}

type Event = 'ready' | 'result' | 'stopped';

interface Waiting {
  readonly event: Event;
  readonly resolve: (data: object) => void;
  readonly reject: (error: Error) => void;
}

export async function startProgram<K extends keyof Programs>(
  namespace: Namespace,
  name: K,
  options: Programs[K]['options'] = {},
  { comm, deadlineMs = 120_000 }: StartOptions = {},
): Promise<Program<K>> {
  const commBase64 = comm === undefined ? undefined : Buffer.from(comm).toString('base64');
  const script = join(import.meta.dirname, `${name}.mjs`);
  const child = namespace.spawnNode(script, [JSON.stringify({ ...options, commBase64 })], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const { stdin, stdout, stderr, pid } = child;
  if (!stdin || !stdout || !stderr || pid === undefined) throw new Error(`cannot start ${name}`);

  let errors = '';
  let ended: Error | undefined;
  let waiting: Waiting | undefined;
  stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  stdin.on('error', () => undefined); // its end is reported below
  createInterface({ input: stdout }).on('line', (line) => {
    const { event, ...data } = JSON.parse(line) as { event: string };
    if (event === waiting?.event) waiting.resolve(data);
  });
  child.on('close', (code, signal) => {
    ended = new Error(`${name} ended (${code ?? signal ?? '?'}) ${errors}`);
    waiting?.reject(ended);
  });

  const ask = async <T>(event: Event, command?: 'go' | 'stop'): Promise<T> => {
    if (ended) throw ended;
    let timer: NodeJS.Timeout | undefined;
    const answer = new Promise<object>((resolve, reject) => {
      waiting = { event, resolve, reject };
      const late = `${name}: no '${event}' in ${deadlineMs} ms ${errors}`;
      timer = setTimeout(() => reject(new Error(late)), deadlineMs);
    });
    if (command) stdin.write(`${command}\n`);
    return (await answer.finally(() => clearTimeout(timer))) as T;
  };

  return {
    pid,
    ready: await ask('ready'),
    go: () => ask('result', 'go'),
    stop: () => ask('stopped', 'stop'),
    signal: (signal) => void child.kill(signal),
  };
}
