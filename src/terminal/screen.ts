/**
 * The terminal's other screen: a picture that is replaced in place, and keys. Whatever ends the program,
 * the terminal is as it was before (but for SIGKILL, which nobody sees coming).
 */
import { closeSync, writeSync } from 'node:fs';
import { openUnblocked } from '../process/descriptor-stream.js';
import { isTerminal } from '../process/streams.js';
import type { StandardOutput } from '../sinks/standard-output.js';

const [STDIN, STDOUT] = [0, 1] as const;
const ESCAPE = '\u001b[';
/** The other screen, without a cursor; and back. */
const ENTER = `${ESCAPE}?1049h${ESCAPE}?25l`;
const LEAVE = `${ESCAPE}?25h${ESCAPE}?1049l`;
const HOME = `${ESCAPE}H`;
const CLEAR_TO_END_OF_LINE = `${ESCAPE}K`;
const CLEAR_BELOW = `${ESCAPE}J`;
const REVERSE = `${ESCAPE}7m`;
const PLAIN = `${ESCAPE}0m`;
const SIZE = { columns: 80, rows: 24 };

const KEYS: ReadonlyMap<string, Key> = new Map([
  [`${ESCAPE}C`, 'right'],
  [`${ESCAPE}D`, 'left'],
  ['\u001bOC', 'right'],
  ['\u001bOD', 'left'],
  ['\u0003', 'end'],
  ['q', 'end'],
  ['Q', 'end'],
  ['c', 'clear'],
]);

export type Key = 'left' | 'right' | 'end' | 'clear';

/** Text in another light. */
export const reversed = (text: string): string => `${REVERSE}${text}${PLAIN}`;

/** Keys in what a terminal has sent at once; what means nothing is left out. */
export function keysIn(input: string): Key[] {
  const found: Key[] = [];
  for (let at = 0; at < input.length;) {
    const [text, key] = [...KEYS].find(([text]) => input.startsWith(text, at)) ?? [
      input[at]!,
      null,
    ];
    if (key !== null) found.push(key);
    at += text.length;
  }
  return found;
}

export class Screen {
  readonly #output: StandardOutput;
  readonly #onKey: (key: Key) => void;
  readonly #ownFd = openUnblocked(STDOUT);
  #isEntered = false;

  /** True if standard output is a terminal. */
  static get isPossible(): boolean {
    return isTerminal(STDOUT);
  }

  constructor(output: StandardOutput, onKey: (key: Key) => void) {
    this.#output = output;
    this.#onKey = onKey;
  }

  /** Characters in a line, lines. */
  get size(): { readonly columns: number; readonly rows: number } {
    const { columns = SIZE.columns, rows = SIZE.rows } = process.stdout as Partial<typeof SIZE>;
    return columns > 0 && rows > 0 ? { columns, rows } : SIZE;
  }

  enter(): void {
    this.#isEntered = true;
    process.on('exit', this.leave);
    this.#output.write(ENTER, 1);
    this.#output.flush();
    if (!isTerminal(STDIN)) return;
    process.stdin.on('error', () => undefined);
    process.stdin.setRawMode(true);
    process.stdin.setEncoding('utf8').on('data', this.#heard).resume();
  }

  readonly #heard = (input: string): void => {
    for (const key of keysIn(input)) this.#onKey(key);
  };

  /** Shows these lines; left out while the terminal takes nothing. */
  show(lines: readonly string[]): void {
    if (!this.#isEntered || this.#output.stats().pending > 0) return;
    const picture = lines.map((line) => line + CLEAR_TO_END_OF_LINE).join('\r\n');
    this.#output.write(HOME + picture + CLEAR_BELOW, 1);
    this.#output.flush();
  }

  /** Gives the terminal back; the second call does nothing. Never waits. */
  readonly leave = (): void => {
    if (!this.#isEntered) return;
    this.#isEntered = false;
    process.off('exit', this.leave);
    try {
      if (isTerminal(STDIN)) process.stdin.off('data', this.#heard).setRawMode(false).pause();
      if (this.#ownFd !== null) writeSync(this.#ownFd, LEAVE);
    } catch {
      // it has gone, or takes nothing
    }
    if (this.#ownFd === null) {
      this.#output.write(LEAVE, 1);
      this.#output.flush();
    }
    if (this.#ownFd !== null) closeSync(this.#ownFd);
  };
}
