/** What every tool has in common: options, and what they mean. */
import * as parse from '../cli/parse.js';
import { option, type Options, type ValuesOf } from '../cli/options.js';
import { NAMED } from '../cli/named.js';
import type { Cgroup } from '../kernel/host.js';
import { FORMATS } from './format.js';

const BEFORE_DATA = {
  ...option('-o, --output <FORMAT>', 'json: one object per line', {
    choices: FORMATS,
    default: 'table',
  }),
  ...option('--netns <NAMES>', 'network namespaces: name, path or inode number', {
    parse: parse.names,
  }),
  ...option('--cgroup <PATH>', 'a cgroup v2 directory and what is below it'),
  ...NAMED,
  ...option('--duration <SECONDS>', 'stop after this time', { parse: parse.seconds }),
};
const SHOW_UNIT = option('--show-unit', 'show the container of the process, or else its unit');
const DATA = option('--data <DIR>', 'also keep the counters in a .prom file in this directory');
const VERBOSE = option('-v, --verbose', 'show what libbpf and the kernel say');

/** Options that every tool has where they mean something, unless it has one of the same name itself. */
export const COMMON = { ...BEFORE_DATA, ...SHOW_UNIT, ...DATA, ...VERBOSE };

/** What was typed for them. */
export interface CommonOptions extends Omit<ValuesOf<typeof COMMON>, 'verbose' | 'showUnit'> {
  /** Absent: the tool has no such rows. */
  readonly showUnit?: boolean;
  /** Show what libbpf and the kernel say. */
  readonly libbpfLog: boolean;
}

/** What not every tool has. */
export interface Abilities {
  /** Counters, which `--data` keeps. */
  readonly hasMetrics: boolean;
  /** Rows that name a process, which `--show-unit` adds a column to. */
  readonly showsProcesses: boolean;
}

/** All options of a tool: its own, then the common ones that it has not taken for itself. */
export function withCommon(own: Options, { hasMetrics, showsProcesses }: Abilities): Options {
  const common = {
    ...BEFORE_DATA,
    ...(showsProcesses ? SHOW_UNIT : {}),
    ...(hasMetrics ? DATA : {}),
    ...VERBOSE,
  };
  return { ...own, ...common, ...own };
}

/** What the common options ask for, as the kernel side wants it. */
export interface Scope {
  /** Inode numbers of network namespaces; empty: all. */
  readonly namespaces: readonly number[];
  readonly cgroup: Cgroup | null;
  /** By the names of units or containers, which the run has told the kernel. */
  readonly isNamed?: boolean;
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
