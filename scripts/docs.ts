/**
 * Writes the man pages and the shell completions into a folder, as they lie below share/ of a
 * system: made from the command line's own definitions. `make docs` puts them into build/share.
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { buildProgram } from '../src/program.js';
import { bashCompletion } from './docs/bash.js';
import { fishCompletion } from './docs/fish.js';
import { manPages } from './docs/man.js';
import { modelOfProgram, type ProgramModel } from './docs/model.js';
import { zshCompletion } from './docs/zsh.js';

const EXIT_USAGE = 2;

const MAN = 'man/man8';
const COMPLETIONS: Readonly<Record<string, (program: ProgramModel) => string>> = {
  'bash-completion/completions/netwatch': bashCompletion,
  'zsh/site-functions/_netwatch': zshCompletion,
  'fish/vendor_completions.d/netwatch.fish': fishCompletion,
};

/** Texts by the path below the folder. */
function filesOf(program: ProgramModel): ReadonlyMap<string, string> {
  return new Map([
    ...[...manPages(program)].map(([name, text]) => [`${MAN}/${name}`, text] as const),
    ...Object.entries(COMPLETIONS).map(([path, render]) => [path, render(program)] as const),
  ]);
}

/** A command that is gone leaves no page behind. */
function removeOldPages(folder: string, files: ReadonlyMap<string, string>): void {
  for (const name of readdirSync(join(folder, MAN)))
    if (/^netwatch.*\.8$/.test(name) && !files.has(`${MAN}/${name}`))
      rmSync(join(folder, MAN, name));
}

const folder = process.argv[2];
if (folder === undefined) {
  process.stderr.write('usage: docs.ts FOLDER\n');
  process.exitCode = EXIT_USAGE;
} else {
  const files = filesOf(modelOfProgram(await buildProgram(['help'])));
  for (const [path, text] of files) {
    const target = join(folder, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, text);
  }
  removeOldPages(folder, files);
}
