/** The command of a tool that watches: its own options, the common ones, its help; run when asked for. */
import { Command } from 'commander';
import type { Tool, ToolGroup } from './tool.js';
import { addCommonOptions, hasOwnVerbose, typedOptions, type CommonOptions } from './common.js';

/** What every tool that watches says of itself. */
export interface ToolDefinition<O extends CommonOptions> {
  readonly name: string;
  /** Sources that it opens, for `netwatch doctor`. */
  readonly sources: readonly string[];
  readonly group: ToolGroup;
  /** One line for the list of commands. */
  readonly summary: string;
  readonly description: string;
  /** After the options: what the words mean, then examples. */
  readonly help: string;
  /** Adds its own options and arguments; a common one that it declares itself is left to it. */
  readonly addOptions: (command: Command) => void;
  /** Throws NetwatchError where options contradict each other. */
  readonly check?: (options: O) => void;
}

export function watchingTool<O extends CommonOptions>(
  definition: ToolDefinition<O>,
  hasMetrics: boolean,
  run: (options: O) => Promise<void>,
): Tool {
  const { name, summary, sources, group, description, help, addOptions } = definition;
  return {
    name,
    summary,
    sources,
    group,
    command: () => {
      const command = new Command(name).description(description).allowExcessArguments(false);
      addOptions(command);
      const isOurs = !hasOwnVerbose(command);
      addCommonOptions(command, hasMetrics);
      return command.addHelpText('after', help).action(async () => {
        // commander knows no types: addOptions and O say the same of one tool
        const options = typedOptions(command, isOurs) as unknown as O;
        definition.check?.(options);
        await run(options);
      });
    },
  };
}
