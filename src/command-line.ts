/** Runs the command line and turns what was thrown into a message and an exit code. */
import { CommanderError } from 'commander';
import { NetwatchError } from './failure.js';
import { guardStandardStreams, leave, messages } from './process/streams.js';
import { buildProgram } from './program.js';

const EXIT_BUG = 1;
const EXIT_USAGE = 2;

/** What is wrong with the process that it was started in is no bug, wherever it shows. */
function expected(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { code: errno, syscall }: NodeJS.ErrnoException = error;
  if (syscall === 'uv_cwd')
    return new NetwatchError({
      code: 'environment',
      message: `the working directory cannot be used: ${errno ?? error.message}`,
      next: 'it has been removed: change to another one',
    });
  if (errno !== 'EMFILE' && errno !== 'ENFILE') return error;
  return new NetwatchError({
    code: 'environment',
    message: `not enough files may be open: ${errno}`,
    next: 'raise the limit: ulimit -n 1024, or LimitNOFILE= in the unit',
  });
}

function report(thrown: unknown): void {
  const error = expected(thrown);
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
