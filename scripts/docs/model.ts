/** What the command line offers, as data: read from the commander program, so it cannot drift. */
import type { Argument, Command, Option } from 'commander';

/** What the value of an option or argument is completed with. */
export type Completion =
  | { readonly kind: 'none' }
  | { readonly kind: 'file' }
  | { readonly kind: 'directory' }
  | { readonly kind: 'choices'; readonly values: readonly string[] };

export interface OptionModel {
  /** `-s` and `--sport`, those there are. */
  readonly names: readonly string[];
  /** `<PORTS>`; null if it takes no value. */
  readonly value: string | null;
  readonly completion: Completion;
  readonly description: string;
  readonly group: string;
}

export interface ArgumentModel {
  /** `<LOG...>`. */
  readonly name: string;
  readonly completion: Completion;
  readonly description: string;
}

export interface CommandModel {
  /** Empty for netwatch itself. */
  readonly name: string;
  readonly summary: string;
  /** The heading under which help lists it; empty for netwatch itself. */
  readonly group: string;
  readonly description: string;
  /** `netwatch export [options] <LOG...>`. */
  readonly usage: string;
  readonly options: readonly OptionModel[];
  readonly arguments: readonly ArgumentModel[];
  /** The text below the help, before its examples. */
  readonly notes: string;
  /** Indented lines. */
  readonly examples: string;
}

export interface ProgramModel extends CommandModel {
  readonly version: string;
  readonly tools: readonly CommandModel[];
}

/** Values that are paths, by what the help calls them. */
const PATHS: Readonly<Record<string, Completion>> = {
  DIR: { kind: 'directory' },
  PATH: { kind: 'directory' },
  FILE: { kind: 'file' },
  LOG: { kind: 'file' },
};

function completionOf(name: string, choices: readonly string[] | undefined): Completion {
  if (choices !== undefined) return { kind: 'choices', values: choices };
  return PATHS[name.replaceAll(/[^A-Z]/g, '')] ?? { kind: 'none' };
}

function optionOf(option: Option, description: string): OptionModel {
  const value = /[<[].*$/.exec(option.flags)?.[0] ?? null;
  return {
    names: [option.short, option.long].filter((name) => name !== undefined),
    value,
    completion: completionOf(value ?? '', option.argChoices),
    description,
    group: option.helpGroupHeading ?? 'Options:',
  };
}

/** What addHelpText put below the help. */
function textBelow(command: Command): string {
  const plain = command.helpInformation();
  let all = '';
  command.configureOutput({ writeOut: (text) => (all += text) }).outputHelp();
  return all.slice(plain.length);
}

function argumentName(argument: Argument): string {
  const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
  return argument.required ? `<${name}>` : `[${name}]`;
}

function modelOf(command: Command): CommandModel {
  const help = command.createHelp();
  const [notes = '', examples = ''] = textBelow(command).split(/^Examples:\n/m);
  return {
    name: command.parent === null ? '' : command.name(),
    summary: help.subcommandDescription(command),
    group: command.helpGroup(),
    description: command.description(),
    usage: help.commandUsage(command),
    options: help
      .visibleOptions(command)
      .map((option) => optionOf(option, help.optionDescription(option))),
    arguments: command.registeredArguments.map((argument) => ({
      name: argumentName(argument),
      completion: completionOf(argument.name(), argument.argChoices),
      description: help.argumentDescription(argument),
    })),
    notes: notes.trim(),
    examples: examples.trimEnd(),
  };
}

/** The model of a program with all its tools. */
export function modelOfProgram(program: Command): ProgramModel {
  return {
    ...modelOf(program),
    version: program.version() ?? '',
    tools: program.commands.filter((command) => command.name() !== 'help').map(modelOf),
  };
}
