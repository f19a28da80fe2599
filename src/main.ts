#!/usr/bin/env node
/**
 * The command line: plain `netwatch` is the collector, `netwatch TOOL` one of
 * the files in src/tools, loaded only when it is asked for.
 */
import { readdirSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { addCollectorOptions, type CollectorOptions } from './collector/options.js';
import { exitCodeOf, NetwatchError } from './kernel/errors.js';
import { UserError, type Tool } from './tools/tool.js';
import { VERSION } from './version.js';

const EXIT_BUG = 1;
const EXIT_USAGE = 2;

const TOOLS = new URL('tools/', import.meta.url);

function toolNames(): string[] {
  return readdirSync(TOOLS)
    .filter((name) => name.endsWith('.js') && name !== 'tool.js')
    .map((name) => name.slice(0, -'.js'.length))
    .sort();
}

async function loadTool(name: string): Promise<Tool> {
  const module = (await import(new URL(`${name}.js`, TOOLS).href)) as { default: Tool };
  return module.default;
}

/** The program with its tools; help needs them all, a run only the one that is named. */
async function buildProgram(args: readonly string[]): Promise<Command> {
  const program = addCollectorOptions(new Command('netwatch'))
    .description('Watches TCP from inside the kernel and writes Prometheus-format files.')
    .allowExcessArguments(false)
    .showHelpAfterError('(netwatch -h shows all options, with examples)')
    .exitOverride();
  const names = toolNames();
  const asked = names.find((name) => name === args[0] || (args[0] === 'help' && name === args[1]));
  const wantsHelp = args.includes('-h') || args.includes('--help') || args[0] === 'help';
  for (const name of asked === undefined ? (wantsHelp ? names : []) : [asked]) {
    const tool = await loadTool(name);
    program.addCommand(tool.command().exitOverride().summary(tool.summary));
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

function report(error: unknown): void {
  if (error instanceof CommanderError) {
    // Commander has printed its message; help and version end well.
    process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
  } else if (error instanceof NetwatchError) {
    process.stderr.write(`netwatch: ${error.message}\n`);
    process.exitCode = exitCodeOf(error.failure);
  } else if (error instanceof UserError) {
    process.stderr.write(`netwatch: ${error.message}\n  ${error.next}\n`);
    process.exitCode = error.exitCode;
  } else {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.stderr.write(`netwatch: this is a bug, please report it:\n${text}\n`);
    process.exitCode = EXIT_BUG;
  }
}

// A reader that goes away (`netwatch -h | head -1`) is no error.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
const args = process.argv.slice(2);
try {
  const program = await buildProgram(args);
  await program.parseAsync(args, { from: 'user' });
} catch (error) {
  report(error);
}
