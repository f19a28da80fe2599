/** What every command of netwatch is: a file whose default export is a `Tool`. */
import type { Command } from 'commander';
import { newCommand, type CommandDefinition, type Options, type ValuesOf } from '../cli/options.js';
import type { SourceSpec } from '../kernel/source.js';
import type { Filter } from '../sources/filter.js';

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
  /**
   * What it would load of its source if it were asked for all it can, behind this filter: for
   * `netwatch doctor`. Absent: it reads files only.
   */
  readonly trial?: (filter: Filter) => Promise<SourceSpec>;
  /** A fresh command with options, help and action. */
  command(): Command;
}

/** A command that takes no options but its own. */
export function jobTool<G extends Options>(
  definition: Omit<Tool, 'command' | 'trial'> & CommandDefinition<G>,
  run: (values: ValuesOf<G>) => Promise<void>,
): Tool {
  const { name, summary, group } = definition;
  return { name, summary, group, command: () => newCommand(definition, run) };
}
