/** Runs the command line and turns what was thrown into a message and an exit code. */
import { CommanderError } from 'commander';
import { NetwatchError } from './failure.js';
import { guardStandardStreams, leave, messages } from './process/streams.js';
import { buildProgram } from './program.js';

const EXIT_BUG = 1;
const EXIT_USAGE = 2;

function report(error: unknown): void {
  if (error instanceof CommanderError) {
    // Commander has printed its message; help and version end well.
    process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
  } else if (error instanceof NetwatchError) {
    messages.write(`netwatch: ${error.message}\n`);
    process.exitCode = error.exitCode;
  } else {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    messages.write(`netwatch: this is a bug, please report it:\n${text}\n`);
    process.exitCode = EXIT_BUG;
  }
}

/** From its arguments to its end; what happened is in the exit code of the process. */
export async function runCommandLine(args: readonly string[]): Promise<void> {
  guardStandardStreams();
  try {
    const program = await buildProgram(args);
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    report(error);
  }
  await leave();
}
