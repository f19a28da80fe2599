/** `netwatch requests --top` on a pseudo-terminal: what a person sees of it. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { PROGRAM, type Exit } from './collector.js';
import type { Namespace, Teardown } from './netns.js';
import { openTerminal, type Terminal } from './terminal.js';
import { until } from './wait.js';

export interface OnScreen {
  readonly terminal: Terminal;
  readonly child: ChildProcess;
  readonly exited: Promise<Exit>;
  /** What the picture shows now: the last one. */
  readonly picture: () => string;
  /** Its lines, as they look. */
  readonly lines: () => string[];
}

export interface ScreenOptions {
  /** Characters in a line; default: the terminal says nothing, which is taken for 80. */
  readonly columns?: number;
  /** Before the program. */
  readonly nodeArgs?: readonly string[];
}

const HOME = '\u001b[H';
// eslint-disable-next-line no-control-regex -- what a terminal does not show as letters
const CONTROLS = /\u001b\[[\d;?]*[a-zA-Z]/g;

/** Starts it on these namespaces and returns when it is ready. */
export async function startTop(
  t: Teardown,
  namespaces: readonly Namespace[],
  args: readonly string[],
  { columns, nodeArgs = [] }: ScreenOptions = {},
): Promise<OnScreen> {
  const terminal = openTerminal(t);
  const { fd } = terminal;
  if (columns !== undefined)
    execFileSync('stty', ['cols', String(columns), 'rows', '40'], {
      stdio: [fd, 'ignore', 'inherit'],
    });
  const scope = namespaces.flatMap(({ name }) => ['--netns', name]);
  const line = [...nodeArgs, PROGRAM, 'requests', ...scope, ...args];
  const child = spawn(process.execPath, line, { stdio: [fd, fd, 'pipe'] });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said += text));
  const exited = new Promise<Exit>((resolve) =>
    child.once('close', (code, signal) => {
      resolve({ code, signal });
    }),
  );
  t.teardown(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  await until(() => said.includes(' ready after '), { what: 'it is ready', deadlineMs: 90_000 });
  const picture = (): string => terminal.shown().split(HOME).at(-1) ?? '';
  const lines = (): string[] => picture().replaceAll(CONTROLS, '').split('\r\n');
  return { terminal, child, exited, picture, lines };
}
