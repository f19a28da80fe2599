/**
 * `netwatch --listen`: `netwatch serve` beside the collector, as a process of its own, so that no
 * scrape can ever delay the reading of the rings. It ends with the collector, however that ends; if
 * it dies, it is started again.
 */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { usualPriority } from '../kernel/priority.js';
import type { EndpointOptions } from './options.js';
import { Repeats } from './repeats.js';

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 60_000;
/** After this the child is not asked any more. */
const STOP_MS = 2500;
/** How `netwatch serve` says that it has begun; worth a line each time. */
const READY = /^netwatch: serving /;
/** A line that belongs to the one before it: what to do, or a stack. */
const CONTINUED = /^\s/;

/** Those of Node.js that the launcher gives this process. */
const HEAP_OPTIONS = process.execArgv.filter((option) =>
  option.startsWith('--max-semi-space-size'),
);
const MAIN = fileURLToPath(new URL('../main.js', import.meta.url));

/** The command line of the child; null without --listen. */
export function endpointCommand(options: EndpointOptions): readonly string[] | null {
  const { listen, webConfig, data } = options;
  if (listen === undefined) return null;
  const config = webConfig === undefined ? [] : ['--web-config', webConfig];
  return [
    process.execPath,
    ...HEAP_OPTIONS,
    MAIN,
    'serve',
    '--child',
    '--data',
    data,
    '--listen',
    listen,
    ...config,
  ];
}

export interface EndpointHooks {
  /** A line of the child. */
  readonly pass: (line: string) => void;
  /** One-sentence messages for the person at the terminal. */
  readonly say: (message: string) => void;
  /** How long to wait after so many failures in a row, milliseconds. */
  readonly waitMs?: (failures: number) => number;
  /** Milliseconds that only grow. */
  readonly now?: () => number;
}

function backoffMs(failures: number): number {
  return Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(failures - 1, 10));
}

export class Endpoint {
  readonly #command: readonly string[];
  readonly #hooks: EndpointHooks;
  readonly #now: () => number;
  readonly #repeats: Repeats;
  /** Whether the last line of the child was passed on. */
  #passing = false;
  /** In a row. */
  #failures = 0;
  #startMs = 0;
  #child: ChildProcessWithoutNullStreams | null = null;
  #timer: NodeJS.Timeout | null = null;
  #stopped = false;

  constructor(command: readonly string[], hooks: EndpointHooks) {
    this.#command = command;
    this.#hooks = hooks;
    this.#now = hooks.now ?? (() => performance.now());
    this.#repeats = new Repeats(this.#now);
    this.#start();
  }

  /** The process of now; null while it waits to be started again. */
  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  /** Ends it; resolves when it is gone. */
  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const child = this.#child;
    if (child === null) return;
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    await new Promise((resolve) => {
      child.once('close', resolve);
      child.stdin.end();
    });
    clearTimeout(late);
  }

  #start(): void {
    const [program = '', ...args] = this.#command;
    // A group of its own: Ctrl-C reaches only the collector, which then ends its child in order. Its
    // standard input is a pipe that nobody writes to; it ends when the collector does, even by SIGKILL.
    const child = spawn(program, args, { detached: true, stdio: 'pipe' });
    this.#child = child;
    if (child.pid !== undefined) usualPriority(child.pid);
    this.#startMs = this.#now();
    // A child that ends just now does not read what ends it.
    child.stdin.on('error', () => undefined);
    child.stdout.resume();
    createInterface({ input: child.stderr }).on('line', (line) => {
      this.#heard(line);
    });
    child.once('error', (error) => {
      this.#ended(error.message);
    });
    child.once('close', (code, signal) => {
      this.#ended(signal ?? `exit code ${code ?? 'unknown'}`);
    });
  }

  #heard(line: string): void {
    if (CONTINUED.test(line)) {
      if (this.#passing) this.#hooks.pass(line);
      return;
    }
    const shown = READY.test(line) ? line : this.#repeats.take(line);
    this.#passing = shown !== null;
    if (shown !== null) this.#hooks.pass(shown);
  }

  #ended(why: string): void {
    if (this.#child === null) return;
    this.#child = null;
    if (this.#stopped) return;
    if (this.#now() - this.#startMs > LONGEST_WAIT_MS) {
      this.#failures = 0;
      this.#repeats.forget();
    }
    this.#failures += 1;
    this.#timer = setTimeout(
      () => {
        const ended = `the endpoint ended (${why}); it is started again, the collector goes on`;
        const shown = this.#repeats.take(ended);
        if (shown !== null) this.#hooks.say(shown);
        this.#start();
      },
      (this.#hooks.waitMs ?? backoffMs)(this.#failures),
    );
  }
}
