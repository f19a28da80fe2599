/** What every command of netwatch is: a file in this folder whose default export is a `Tool`. */
import type { Command } from 'commander';

/** What a person wants to know, as the headings of `netwatch --help`. */
export const TOOL_GROUPS = [
  'Who connects to whom:',
  'How long it takes:',
  'How much goes through:',
  'What gets lost:',
  'Sockets and their files:',
  'The machine:',
  'About the files:',
  'About netwatch itself:',
] as const;

export type ToolGroup = (typeof TOOL_GROUPS)[number];

export interface Tool {
  /** The word after `netwatch`; also the name of the file. */
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  readonly group: ToolGroup;
  /** Sources that it opens; absent: it reads files only. For `netwatch doctor`. */
  readonly sources?: readonly string[];
  /** A fresh command with options, help and action. */
  command(): Command;
}

/**
 * What the exit code says: 2 the command line was wrong, 3 the machine or its files are not as
 * needed.
 */
export type ExitCode = 2 | 3;

/**
 * An error that is not a bug: printed as one sentence saying what, one saying what next, without a
 * stack.
 */
export class UserError extends Error {
  readonly next: string;
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string, next: string) {
    super(message);
    this.name = 'UserError';
    this.next = next;
    this.exitCode = exitCode;
  }
}
