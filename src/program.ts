/**
 * The whole command line as commander sees it: plain `netwatch` is the collector, `netwatch NAME`
 * one of the other commands, loaded only when it is asked for. The man pages and the completions are
 * made from the same object, see scripts/docs.ts.
 */
import { Command, CommanderError, Help } from 'commander';
import { addCollectorOptions, collectorOptionsOf } from './collector/options.js';
import { helpHint } from './cli/options.js';
import { addArgpOptions } from './cli/usage.js';
import { commandNamed, commandNames, loadCommand, secondNamesOf } from './commands.js';
import { symptomTable } from './symptoms.js';
import { TOOL_GROUPS, type Tool } from './terminal/tool.js';
import { VERSION } from './version.js';

const HELP_FLAGS: readonly string[] = ['-h', '--help', '-?'];

/** Which tools a command line needs: help shows them all, a run only the one that is named. */
function toolsFor(args: readonly string[]): string[] {
  const names = commandNames();
  const [first = '', second = ''] = args;
  const word = commandNamed(first === 'help' ? second : first);
  const asked = names.find((name) => name === word);
  if (asked !== undefined) return [asked];
  const wantsHelp = args.some((arg) => HELP_FLAGS.includes(arg)) || args[0] === 'help';
  return wantsHelp ? names : [];
}

/** In the order in which help shows them: by what a person wants to know. */
async function loadTools(names: readonly string[]): Promise<Tool[]> {
  const tools = await Promise.all(names.map(loadCommand));
  const place = ({ group }: Tool): number => TOOL_GROUPS.indexOf(group);
  return tools.sort((a, b) => place(a) - place(b));
}

/** Help in which the way from a symptom to a command comes before everything that can be asked for. */
function helpWithSymptoms(command: Command, helper: Help): string {
  const text = Help.prototype.formatHelp.call(helper, command, helper);
  const [usage = '', description = '', ...rest] = text.split('\n\n');
  const table = `What you see, and what shows why:\n${symptomTable().trimEnd()}`;
  return [usage, description, table, ...rest].join('\n\n');
}

/** The word where a command should be and that is none; null if all is well. */
function strangerIn([first, second]: readonly string[]): string | null {
  const word = first === 'help' ? second : first;
  const isCommand = (name: string): boolean =>
    name === 'help' || commandNames().includes(commandNamed(name));
  return word === undefined || word.startsWith('-') || isCommand(word) ? null : word;
}

/** Ends with a message that names the nearest commands: commander's guess, among all of them. */
function refuse(program: Command, word: string): never {
  const guesser = new Command().exitOverride().configureOutput({ writeErr: () => undefined });
  for (const name of commandNames()) guesser.command(name);
  try {
    guesser.parse([word], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    program.error(error.message.replace(/\n\(Did you mean (.*)\)$/, '; did you mean $1'));
  }
  return program.error(`error: '${word}' has to come first: netwatch ${word} [options]`);
}

/** The program with the tools that these arguments need; `['help']` needs them all. */
export async function buildProgram(args: readonly string[]): Promise<Command> {
  const program = addArgpOptions(addCollectorOptions(new Command('netwatch')))
    .description('Watches TCP from inside the kernel and writes Prometheus-format files.')
    .allowExcessArguments()
    .configureHelp({ formatHelp: helpWithSymptoms })
    // What stands after a tool's name belongs to the tool: both may have an option of the same name.
    .enablePositionalOptions()
    .showHelpAfterError(helpHint('netwatch'))
    .exitOverride();
  const stranger = strangerIn(args);
  if (stranger !== null) refuse(program, stranger);
  for (const tool of await loadTools(toolsFor(args))) {
    const command = tool.command().aliases(secondNamesOf(tool.name));
    program.addCommand(command.exitOverride().summary(tool.summary).helpGroup(tool.group));
  }
  // Without a tool beside it commander would leave the help command out.
  program.helpCommand('help [command]', 'show help for a command');
  program.version(VERSION, '-V, --version');
  program.action(async () => {
    // A command after options of the collector, or a word that is none.
    if (program.args[0] !== undefined) refuse(program, program.args[0]);
    const { runCollector } = await import('./collector/run.js');
    await runCollector(collectorOptionsOf(program));
  });
  return program;
}
