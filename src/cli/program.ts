/**
 * The whole command line as commander sees it: plain `netwatch` is the collector, `netwatch TOOL`
 * one of the files in src/tools, loaded only when it is asked for. The man page and the completions
 * are made from the same object, see scripts/docs.ts.
 */
import { readdirSync } from 'node:fs';
import { Command } from 'commander';
import { addCollectorOptions, type CollectorOptions } from '../collector/options.js';
import { TOOL_GROUPS, type Tool } from '../tools/tool.js';
import { VERSION } from '../version.js';

const TOOLS = new URL('../tools/', import.meta.url);

/** Names of all tools: those of their files, built or not. */
export function toolNames(): string[] {
  return readdirSync(TOOLS)
    .filter((name) => /\.[jt]s$/.test(name))
    .map((name) => name.slice(0, -'.js'.length))
    .filter((name) => name !== 'tool')
    .sort();
}

/** The definition of a tool, from its file. */
export async function loadTool(name: string): Promise<Tool> {
  const module = (await import(new URL(`${name}.js`, TOOLS).href)) as { default: Tool };
  return module.default;
}

/** Which tools a command line needs: help shows them all, a run only the one that is named. */
function toolsFor(args: readonly string[]): string[] {
  const names = toolNames();
  const asked = names.find((name) => name === args[0] || (args[0] === 'help' && name === args[1]));
  if (asked !== undefined) return [asked];
  const wantsHelp = args.includes('-h') || args.includes('--help') || args[0] === 'help';
  return wantsHelp ? names : [];
}

/** In the order in which help shows them: by what a person wants to know. */
async function loadTools(names: readonly string[]): Promise<Tool[]> {
  const tools = await Promise.all(names.map(loadTool));
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
    const { runCollector } = await import('../collector/run.js');
    await runCollector(options);
  });
  return program;
}
