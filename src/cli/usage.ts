/**
 * `-?` and `--usage`: what programs made with argp understand, which lmp's are, and bcc's in
 * libbpf-tools. Help does not show them.
 */
import { CommanderError, Option, type Command } from 'commander';

const WIDTH = 79;
const INDENT = ' '.repeat(12);

const bracketed = (text: string): string => `[${text}]`;

/** `PORTS` of `--sport <PORTS>`; empty for a switch. */
const valueOf = ({ flags }: Option): string => /[<[](.*)[>\]]/.exec(flags)?.[1] ?? '';

/** What argp's usage consists of: letters of switches, then each letter and each word with its value. */
function words(command: Command): string[] {
  const options = command.createHelp().visibleOptions(command);
  const lettered = options.filter(({ short }) => short !== undefined);
  const letter = ({ short = '' }: Option): string => short.slice(1);
  const switches = lettered.filter((option) => valueOf(option) === '').map(letter);
  return [
    bracketed(`-${switches.join('')}`),
    ...lettered
      .filter((option) => valueOf(option) !== '')
      .map((option) => bracketed(`${option.short ?? ''} ${valueOf(option)}`)),
    ...options
      .filter(({ long }) => long !== undefined)
      .map((option) => {
        const value = valueOf(option);
        return bracketed(`${option.long ?? ''}${value === '' ? '' : `=${value}`}`);
      }),
    ...command.registeredArguments.map((argument) => {
      const name = argument.name() + (argument.variadic ? '...' : '');
      return argument.required ? name : bracketed(name);
    }),
  ];
}

/** All options in a few lines, as argp prints them. */
function usageText(command: Command): string {
  const names = [command.parent?.name(), command.name()].filter((name) => name !== undefined);
  const lines = [`Usage: ${names.join(' ')}`];
  for (const word of words(command)) {
    const line = lines.at(-1) ?? '';
    if (line.length + 1 + word.length > WIDTH) lines.push(INDENT + word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return `${lines.join('\n')}\n`;
}

/** Lets a command answer to both; what it needs besides is not asked for. */
export function addArgpOptions(command: Command): Command {
  command.addOption(new Option('-?', 'the same as --help').hideHelp());
  command.addOption(new Option('--usage', 'show a short usage message').hideHelp());
  command.on('option:?', () => command.help());
  command.on('option:usage', () => {
    command.configureOutput().writeOut?.(usageText(command));
    throw new CommanderError(0, 'commander.help', '(usage)');
  });
  return command;
}
