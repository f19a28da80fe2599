/**
 * The whole command line as commander sees it: plain `netwatch` is the collector, `netwatch NAME`
 * one of the other commands, loaded only when it is asked for. The man pages and the completions are
 * made from the same object, see scripts/docs.ts.
 */
import { Command } from 'commander';
import { addCollectorOptions, type CollectorOptions } from './collector/options.js';
import { commandNames, loadCommand } from './commands.js';
import { TOOL_GROUPS, type Tool } from './terminal/tool.js';
import { VERSION } from './version.js';

/** Which tools a command line needs: help shows them all, a run only the one that is named. */
function toolsFor(args: readonly string[]): string[] {
  const names = commandNames();
  const asked = names.find((name) => name === args[0] || (args[0] === 'help' && name === args[1]));
  if (asked !== undefined) return [asked];
  const wantsHelp = args.includes('-h') || args.includes('--help') || args[0] === 'help';
  return wantsHelp ? names : [];
}

/** In the order in which help shows them: by what a person wants to know. */
async function loadTools(names: readonly string[]): Promise<Tool[]> {
  const tools = await Promise.all(names.map(loadCommand));
  const place = ({ group }: Tool): number => TOOL_GROUPS.indexOf(group);
  return tools.sort((a, b) => place(a) - place(b));
}

/** The program with the tools that these arguments need; `['help']` needs them all. */
export async function buildProgram(args: readonly string[]): Promise<Command> {
  const program = addCollectorOptions(new Command('netwatch'))
    .description('Watches TCP from inside the kernel and writes Prometheus-format files.')
    .allowExcessArguments(false)
    // What stands after a tool's name belongs to the tool: both may have an option of the same name.
    .enablePositionalOptions()
    .showHelpAfterError('(netwatch -h shows all options, with examples)')
    .exitOverride();
  for (const tool of await loadTools(toolsFor(args))) {
    program.addCommand(tool.command().exitOverride().summary(tool.summary).helpGroup(tool.group));
  }
  // Without a tool beside it commander would leave the help command out.
  program.helpCommand('help [command]', 'show help for a command');
  program.version(VERSION, '-V, --version');
  program.action(async (options: CollectorOptions) => {
    const { runCollector } = await import('./collector/run.js');
    await runCollector(options);
  });
  return program;
}
