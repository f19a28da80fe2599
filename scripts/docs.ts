/**
 * Writes the man page and the shell completions into a folder, as they lie below share/ of a
 * system: made from the command line's own definitions. `make docs` puts them into build/share.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { buildProgram } from '../src/program.js';
import { bashCompletion } from './docs/bash.js';
import { fishCompletion } from './docs/fish.js';
import { manPage } from './docs/man.js';
import { modelOfProgram, type ProgramModel } from './docs/model.js';
import { zshCompletion } from './docs/zsh.js';

const EXIT_USAGE = 2;

const PAGES: Readonly<Record<string, (program: ProgramModel) => string>> = {
  'man/man8/netwatch.8': manPage,
  'bash-completion/completions/netwatch': bashCompletion,
  'zsh/site-functions/_netwatch': zshCompletion,
  'fish/vendor_completions.d/netwatch.fish': fishCompletion,
};

const folder = process.argv[2];
if (folder === undefined) {
  process.stderr.write('usage: docs.ts FOLDER\n');
  process.exitCode = EXIT_USAGE;
} else {
  const program = modelOfProgram(await buildProgram(['help']));
  for (const [path, render] of Object.entries(PAGES)) {
    const target = join(folder, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, render(program));
  }
}
