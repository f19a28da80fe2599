/** What every tool has in common: options, and what they mean. */
import { Option, type Command } from 'commander';
import * as parse from '../cli/parse.js';
import { FORMATS, type Format } from './format.js';

/** Options that every tool has, unless it declares one of the same name itself. */
export interface CommonOptions {
  readonly output: Format;
  readonly netns?: readonly string[];
  readonly cgroup?: string;
  readonly duration?: number;
  /** Show what libbpf and the kernel say. */
  readonly libbpfLog: boolean;
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
  /** Rows with their head; absent: the lines are said beside the output. */
  readonly csv?: readonly string[];
}

export interface Context {
  /** Wall-clock milliseconds of a record's time. */
  readonly wallMs: (tsNs: number) => number;
}

const VERBOSE = '--verbose';

/** Adds those whose names the tool has not taken for itself. */
export function addCommonOptions(command: Command, hasMetrics: boolean): void {
  const taken = new Set(command.options.flatMap(({ short, long }) => [short, long]));
  const add = (option: Option): void => {
    if (!taken.has(option.long)) command.addOption(option);
  };
  add(
    new Option('-o, --output <FORMAT>', 'json: one object per line')
      .choices(FORMATS)
      .default('table'),
  );
  add(
    new Option('--netns <NAMES>', 'network namespaces: name, path or inode number').argParser<
      string[]
    >(parse.names),
  );
  add(new Option('--cgroup <PATH>', 'a cgroup v2 directory and what is below it'));
  add(new Option('--duration <SECONDS>', 'stop after this time').argParser(parse.seconds));
  if (hasMetrics)
    add(new Option('--data <DIR>', 'also keep the counters in a .prom file in this directory'));
  const flags = taken.has('-v') ? VERBOSE : `-v, ${VERBOSE}`;
  add(new Option(flags, 'show what libbpf and the kernel say').default(false));
}

/**
 * The options of a run: what was typed, the arguments by their names, and whether libbpf's words are
 * wanted: `--verbose` where it is ours, or `--debug`.
 */
export function typedOptions(command: Command, isOurs: boolean): Record<string, unknown> {
  const options: Record<string, unknown> = command.opts();
  const args = command.registeredArguments.map(
    (argument, i) => [argument.name(), command.processedArgs[i] as unknown] as const,
  );
  const isVerbose = isOurs && options['verbose'] === true;
  // bcc's tcprtt calls it so
  const libbpfLog = isVerbose || options['debug'] === true;
  return { ...Object.fromEntries(args), ...options, libbpfLog };
}

/** Whether the tool has an option --verbose of its own. */
export function hasOwnVerbose(command: Command): boolean {
  return command.options.some(({ long }) => long === VERBOSE);
}
