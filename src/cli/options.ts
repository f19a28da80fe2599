/**
 * Options and arguments as data. What one is called, what it takes and what it means is said once;
 * commander's objects are made from it, and the types of what was typed are inferred from it, so
 * that the use of an option that is not defined does not compile. A group is a plain object, and
 * groups are put together by spreading: `{ ...PIDS, ...option('-w, --wide', 'wider columns') }`.
 */
import { Argument, Command, Option } from 'commander';
import { addArgpOptions } from './usage.js';

/** What an option or argument can have besides its flags and its text. */
export interface Settings {
  /** The value of what was typed, or a throw of commander's InvalidArgumentError. */
  readonly parse?: (text: string, before?: never) => unknown;
  /** The only values there are. */
  readonly choices?: readonly string[];
  /** The value where none is typed. Switches are off without it. */
  readonly default?: unknown;
  /** How help shows the default. */
  readonly shownDefault?: string;
  /** What stands for the value in brackets where it is left out. */
  readonly preset?: string;
  /** Names of options that exclude this one. */
  readonly conflicts?: string;
  /** Values of other options that this one sets. */
  readonly implies?: Readonly<Record<string, unknown>>;
  /** It must be typed; said where it is not. */
  readonly missing?: string;
  /** Help does not show it. */
  readonly hidden?: boolean;
  /** Help shows it below this. */
  readonly heading?: string;
}

interface Definition<F extends string = string, S extends Settings = Settings> {
  readonly kind: 'option' | 'argument';
  readonly flags: F;
  readonly text: string;
  readonly settings: S | undefined;
}

/** Options and arguments by the names of their values, in the order of help. */
export type Options = Readonly<Record<string, Definition>>;

type CamelCase<S extends string> = S extends `${infer Head}-${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : S;
type LongFlag<F extends string> = F extends `${string}--${infer Long}`
  ? Long extends `${infer Name} ${string}`
    ? Name
    : Long
  : never;
/** `maxBytes` of `--max-bytes <N>`, `load` of `--no-load`: as commander names the value. */
type OptionName<F extends string> = CamelCase<
  LongFlag<F> extends `no-${infer Name}` ? Name : LongFlag<F>
>;
/** `interval` of `[interval]`, `LOG` of `<LOG...>`. */
type ArgumentName<F extends string> = F extends `${'<' | '['}${infer Name}${'...' | ''}${'>' | ']'}`
  ? Name
  : never;

type TextOf<F extends string> = F extends `${string}...${string}` ? readonly string[] : string;
type ValueOf<D> =
  D extends Definition<infer F, infer S>
    ? S extends { parse: (text: string) => infer T }
      ? T
      : S extends { readonly choices: readonly (infer Choice)[] }
        ? Choice
        : F extends `${string}${'<' | '['}${string}`
          ? TextOf<F>
          : boolean
    : never;
/** K where the value is always there: a switch, a default, what must be typed. */
type IfGiven<D, K> =
  D extends Definition<infer F, infer S>
    ? S extends { readonly default: unknown } | { readonly missing: string }
      ? K
      : F extends `<${string}`
        ? K
        : F extends `${string}${'<' | '['}${string}`
          ? never
          : K
    : never;

/** What was typed for a group of options. */
export type ValuesOf<G extends Options> = {
  readonly [K in keyof G as IfGiven<G[K], K>]: ValueOf<G[K]>;
} & {
  readonly [K in keyof G as K extends IfGiven<G[K], K> ? never : K]?: ValueOf<G[K]>;
};

type One<Name extends string, F extends string, S extends Settings> = {
  readonly [K in Name]: Definition<F, S>;
};

/** What {@link option} makes of flags and settings. */
export type OptionOf<F extends string, S extends Settings = Settings> = One<OptionName<F>, F, S>;

/** A group of one option: `-p, --pid <PIDS>`; a switch if it takes no value. */
export function option<const F extends string, const S extends Settings = Settings>(
  flags: F,
  text: string,
  settings?: S,
): OptionOf<F, S> {
  const definition: Definition<F, S> = { kind: 'option', flags, text, settings };
  return { [new Option(flags).attributeName()]: definition } as OptionOf<F, S>;
}

/** The same group, which help shows below `heading`. */
export function under<G extends Options>(heading: string, group: G): G {
  const all = Object.entries(group).map(([name, definition]) => [
    name,
    { ...definition, settings: { ...definition.settings, heading } },
  ]);
  return Object.fromEntries(all) as G;
}

/** A group of one argument: `[interval]`, `<LOG...>`. */
export function argument<const F extends string, const S extends Settings = Settings>(
  flags: F,
  text: string,
  settings?: S,
): One<ArgumentName<F>, F, S> {
  const definition: Definition<F, S> = { kind: 'argument', flags, text, settings };
  return { [new Argument(flags).name()]: definition } as One<ArgumentName<F>, F, S>;
}

/** How commander calls it: with the value so far. */
type Parser = (text: string, before: unknown) => unknown;

function addArgument(command: Command, { flags, text, settings = {} }: Definition): void {
  const made = new Argument(flags, text);
  if (settings.parse !== undefined) made.argParser(settings.parse as Parser);
  if (settings.default !== undefined) made.default(settings.default, settings.shownDefault);
  command.addArgument(made);
}

function addOption(command: Command, definition: Definition, heading: string | undefined): void {
  const { flags, text, settings = {} } = definition;
  const made = new Option(flags, text);
  if (settings.parse !== undefined) made.argParser(settings.parse as Parser);
  if (settings.choices !== undefined) made.choices(settings.choices);
  if (settings.default !== undefined) made.default(settings.default, settings.shownDefault);
  if (settings.preset !== undefined) made.preset(settings.preset);
  if (settings.conflicts !== undefined) made.conflicts(settings.conflicts);
  if (settings.implies !== undefined) made.implies(settings.implies);
  if (settings.hidden !== undefined) made.hideHelp(settings.hidden);
  const below = heading ?? settings.heading;
  if (below !== undefined) made.helpGroup(below);
  command.addOption(made.makeOptionMandatory(settings.missing !== undefined));
  const isSwitch = made.isBoolean() && !made.negate && settings.default === undefined;
  // not as the option's own default, which help would show
  if (isSwitch) command.setOptionValueWithSource(made.attributeName(), false, 'default');
}

/** Adds a group to a command, below `heading` if there is one. */
export function addOptions(command: Command, group: Options, heading?: string): void {
  for (const definition of Object.values(group))
    if (definition.kind === 'argument') addArgument(command, definition);
    else addOption(command, definition, heading);
}

/** What was typed for a group, once the command has been parsed. */
export function valuesOf<G extends Options>(command: Command, group: G): ValuesOf<G> {
  const names = command.registeredArguments.map((one) => one.name());
  const typed = new Map<string, unknown>([
    ...Object.entries(command.opts()),
    ...names.map((name, i) => [name, command.processedArgs[i]] as const),
  ]);
  const values = [...typed].filter(([name, value]) => name in group && value !== undefined);
  return Object.fromEntries(values) as ValuesOf<G>;
}

/** Said after commander's own words where an option is missing that must be typed. */
function withReasons(text: string, group: Options): string {
  const reasons = Object.values(group).flatMap(({ flags, settings }) =>
    settings?.missing === undefined
      ? []
      : [[`'${flags}' not specified`, settings.missing] as const],
  );
  return reasons.reduce((all, [words, reason]) => all.replace(words, `${words}. ${reason}`), text);
}

/** Said below an error of the command line, where `words` are the command. */
export const helpHint = (words: string): string => `(${words} -h shows all options, with examples)`;

export interface CommandDefinition<G extends Options> {
  readonly name: string;
  readonly description: string;
  readonly options: G;
  /** After the options: what the words mean, then examples. */
  readonly help: string;
}

/** A command beside the collector: what it offers, and what it runs when it is asked for. */
export function newCommand<G extends Options>(
  { name, description, options, help }: CommandDefinition<G>,
  run: (values: ValuesOf<G>, command: Command) => Promise<void>,
): Command {
  const command = new Command(name)
    .description(description)
    .allowExcessArguments(false)
    .showHelpAfterError(helpHint(`netwatch ${name}`))
    .configureOutput({
      outputError: (text, write) => {
        write(withReasons(text, options));
      },
    })
    .addHelpText('after', help);
  addOptions(command, options);
  addArgpOptions(command);
  return command.action(() => run(valuesOf(command, options), command));
}
