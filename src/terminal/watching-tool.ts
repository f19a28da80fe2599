/** The command of a tool that watches: its own options, the common ones, its help; run when asked for. */
import { newCommand, valuesOf, type Options, type ValuesOf } from '../cli/options.js';
import { COMMON, withCommon, type Abilities, type CommonOptions } from './common.js';
import type { Tool } from './tool.js';

/** What was typed for a tool with the options G. */
export type ToolOptions<G extends Options> = ValuesOf<G> & CommonOptions;

/** What every tool that watches says of itself. */
export interface ToolDefinition<O extends CommonOptions> extends Required<Omit<Tool, 'command'>> {
  readonly description: string;
  /** After the options: what the words mean, then examples. */
  readonly help: string;
  /** Throws NetwatchError where options contradict each other. */
  readonly check?: (options: O) => void;
}

/** A tool and its own options and arguments; one with the name of a common one replaces that. */
export type OfOptions<G extends Options, T> = T & { readonly options: G };

/** `-v` shows what libbpf says, unless the tool has a `--verbose` of its own. */
export function watchingTool<G extends Options>(
  definition: OfOptions<G, ToolDefinition<ToolOptions<G>>>,
  abilities: Abilities,
  run: (options: ToolOptions<G>) => Promise<void>,
): Tool {
  const { name, summary, group, trial, description, help, options: own } = definition;
  const options = withCommon(own, abilities);
  return {
    name,
    summary,
    group,
    trial,
    command: () =>
      newCommand({ name, description, help, options }, async (_values, command) => {
        const { verbose, ...common } = valuesOf(command, COMMON);
        const libbpfLog = verbose && !('verbose' in own);
        const typed = { ...valuesOf(command, own), ...common, libbpfLog };
        definition.check?.(typed);
        await run(typed);
      }),
  };
}
