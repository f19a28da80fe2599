/**
 * What a tool that shows events declares: options, columns, where the events come from, what to say
 * at the end. The rest (namespaces, signals, formats, losses, the `.prom` file) is the same for all
 * of them: run.ts, which is loaded when the tool runs.
 */
import { Command, Option } from 'commander';
import * as parse from '../cli/parse.js';
import type { Snapshot } from '../metrics/snapshot.js';
import type { LiveSource } from '../sources/live.js';
import type { Tool } from '../tools/tool.js';
import type { Column } from './column.js';
import { FORMATS, type Format } from './format.js';

/** Options that every tool has. */
export interface CommonOptions {
  readonly output: Format;
  readonly netns?: readonly string[];
  readonly cgroup?: string;
  readonly duration?: number;
  readonly verbose: boolean;
  /** Only of tools with `metrics`. */
  readonly data?: string;
}

/** What the common options ask for, as the kernel side wants it. */
export interface Scope {
  /** Inode numbers of network namespaces; empty: all. */
  readonly namespaces: readonly number[];
  readonly cgroup: bigint | null;
}

/** What is said at the end: lines for a person, an object for a program. */
export interface Summary {
  readonly lines: readonly string[];
  readonly json: Readonly<Record<string, unknown>>;
}

export interface Context {
  /** Wall-clock milliseconds of a record's time. */
  readonly wallMs: (tsNs: number) => number;
}

/** O: all its options. R: its records. S: its source. */
export interface EventTool<O extends CommonOptions, R, S extends LiveSource<R>> {
  readonly name: string;
  /** Sources that it opens, for `netwatch doctor`. */
  readonly sources: readonly string[];
  /** One line for the list of commands. */
  readonly summary: string;
  readonly description: string;
  /** After the options: what the words mean, then examples. */
  readonly help: string;
  /** Adds its own options to the common ones. */
  readonly addOptions: (command: Command) => void;
  /** Throws UserError where options contradict each other. */
  readonly check?: (options: O) => void;
  readonly columns: (options: O, context: Context, source: S) => readonly Column<R>[];
  readonly open: (options: O, scope: Scope) => Promise<S>;
  /** Said at the end; null: nothing. */
  readonly atEnd?: (options: O, source: S, lost: number) => Summary | null;
  /** What --data DIR keeps in DIR/NAME.prom. */
  readonly metrics?: (source: S, snapshot: Snapshot) => void;
}

function addCommonOptions(command: Command, hasMetrics: boolean): void {
  command
    .addOption(
      new Option('-o, --output <FORMAT>', 'json: one object per line')
        .choices(FORMATS)
        .default('table'),
    )
    .option('--netns <NAMES>', 'network namespaces: name, path or inode number', parse.names)
    .option('--cgroup <PATH>', 'a cgroup v2 directory and what is below it')
    .option('--duration <SECONDS>', 'stop after this time', parse.seconds);
  if (hasMetrics)
    command.option('--data <DIR>', 'also keep the counters in a .prom file in this directory');
  command.option('-v, --verbose', 'show what libbpf and the kernel say', false);
}

/** The command of a tool. */
export function eventTool<
  O extends CommonOptions,
  R extends { readonly tsNs: number },
  S extends LiveSource<R>,
>(tool: EventTool<O, R, S>): Tool {
  const { name, summary, sources, description, help, addOptions, metrics } = tool;
  return {
    name,
    summary,
    sources,
    command: () => {
      const command = new Command(name)
        .description(description)
        .allowExcessArguments(false)
        .showHelpAfterError(`(netwatch ${name} -h shows all options, with examples)`);
      addOptions(command);
      addCommonOptions(command, metrics !== undefined);
      return command.addHelpText('after', help).action(async (options: O) => {
        tool.check?.(options);
        const { runEventTool } = await import('./run.js');
        await runEventTool(tool, options);
      });
    },
  };
}
