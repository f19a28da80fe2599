/**
 * The man pages and the shell completions: made from the command line's own definitions, rendered by
 * man without a warning, and tried in the shells.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command, Option } from 'commander';
import t from 'tap';
import { bashCompletion } from '../scripts/docs/bash.js';
import { fishCompletion } from '../scripts/docs/fish.js';
import { manPages } from '../scripts/docs/man.js';
import { modelOfProgram, type CommandModel, type ProgramModel } from '../scripts/docs/model.js';
import { escape, verbatim } from '../scripts/docs/roff.js';
import { zshCompletion } from '../scripts/docs/zsh.js';
import { commandNames } from '../src/commands.js';
import { buildProgram } from '../src/program.js';
import { FAMILY_NAMES, familyOf } from '../src/metrics/families.js';
import { SYMPTOMS } from '../src/symptoms.js';
import { needsCommands } from './support/skip.js';

const program = modelOfProgram(await buildProgram(['help']));
const root = resolve(import.meta.dirname, '..');

/** A program with an option of every kind, to try what netwatch itself may not have. */
const SAMPLE: ProgramModel = modelOfProgram(
  new Command('netwatch')
    .description('A "sample"\nwith .dots and \\backslashes.')
    .addOption(new Option('-f, --format <NAME>', "it's [one]: of these").choices(['text', 'json']))
    .option('--data <DIR>', 'directory of the files')
    .option('-q, --quiet', 'no output')
    .version('1.2.3')
    .addCommand(
      new Command('export')
        .summary('export things')
        .description('Export things.')
        .argument('<LOG...>', 'logs to read')
        .option('-O, --out <FILE>', 'write here')
        .addHelpText('after', '\nSome notes.\n\nExamples:\n  netwatch export x\n'),
    ),
);

const models = (model: ProgramModel): readonly CommandModel[] => [model, ...model.tools];

t.test('the model holds every tool and every option that help shows', async (t) => {
  t.strictSame(program.tools.map(({ name }) => name).sort(), commandNames());
  const helped = await buildProgram(['help']);
  for (const [index, command] of [
    helped,
    ...helped.commands.filter((c) => c.name() !== 'help'),
  ].entries()) {
    const shown = command.options.filter(({ hidden }) => !hidden).map(({ long }) => long);
    const names = models(program)[index]?.options.map((option) => option.names.at(-1));
    t.strictSame([...(names ?? [])].sort(), [...shown, '--help'].sort(), command.name());
  }
  t.match(program.examples, /^ {2}sudo netwatch /m);
});

t.test('every command answers to what programs made with argp do', async (t) => {
  const answer = async (args: readonly string[]): Promise<string> => {
    const command = await buildProgram(['help']);
    let said = '';
    for (const one of [command, ...command.commands])
      one.configureOutput({
        writeOut: (text) => (said += text),
        writeErr: (text) => (said += text),
      });
    await t.rejects(
      command.parseAsync(args, { from: 'user' }),
      { name: 'CommanderError', exitCode: 0 },
      args.join(' '),
    );
    return said;
  };
  for (const name of [[], ...commandNames().map((command) => [command])]) {
    const help = await answer([...name, '--help']);
    t.equal(await answer([...name, '-?']), help, `${name.join()} -? is --help`);
    const usage = await answer([...name, '--usage']);
    t.match(usage, `Usage: ${['netwatch', ...name].join(' ')} [-`);
    t.equal(Math.max(...usage.split('\n').map((line) => line.length)) < 80, true, 'no long line');
    const longs = (text: string): string[] => text.match(/(?<![\w-])--\w[\w-]*/g) ?? [];
    const own = /^Options:|^ {2}-/m.exec(help)?.index ?? 0;
    const listed = longs(help.slice(own).replace(/^ {3,}(?!.* {2}--).*$/gm, ''));
    t.strictSame(
      listed.filter((long) => !longs(usage).includes(long)),
      [],
      'all options are in it',
    );
  }
  t.match(await answer(['tcpcong', '--usage']), /\[--ipv6\] .*\[interval\]\s+\[outputs\]\n$/s);
});

t.test('the model knows choices, paths, notes and examples', (t) => {
  const [format, data, quiet] = SAMPLE.options;
  t.match(format, {
    names: ['-f', '--format'],
    value: '<NAME>',
    completion: { values: ['text', 'json'] },
  });
  t.match(data, { names: ['--data'], completion: { kind: 'directory' } });
  t.match(quiet, { names: ['-q', '--quiet'], value: null, description: 'no output' });
  const [tool] = SAMPLE.tools;
  t.match(tool, {
    name: 'export',
    usage: 'netwatch export [options] <LOG...>',
    notes: 'Some notes.',
  });
  t.equal(tool?.examples, '  netwatch export x');
  t.match(tool?.arguments[0], { name: '<LOG...>', completion: { kind: 'file' } });
  t.end();
});

t.test('README has the way from every symptom to its command', (t) => {
  const rows = SYMPTOMS.map(({ symptom, command }) => `| ${symptom} | \`${command}\` |\n`);
  const table = `| what you see | command |\n|---|---|\n${rows.join('')}\n`;
  t.ok(readFileSync(join(root, 'README.md'), 'utf8').includes(table), table);
  t.end();
});

t.test('text cannot become a request of man', (t) => {
  t.equal(escape('.x -a \\n "q"'), '\\&.x \\-a \\en \\(dqq\\(dq');
  t.equal(verbatim('a\n\n.b'), '.PP\n.nf\na\n.sp\n\\&.b\n.fi');
  t.end();
});

const noMan = needsCommands('man');

/** A page as man shows it, in one column, without marks; and all that groff warns of. */
function render(page: string, folder: string): { text: string; warnings: string } {
  const path = join(folder, 'page.8');
  writeFileSync(path, page);
  const env = { ...process.env, LC_ALL: 'C.UTF-8', MANWIDTH: '100', MAN_KEEP_FORMATTING: '' };
  const shown = spawnSync('man', ['--warnings=w', '-l', path], { encoding: 'utf8', env });
  return { text: shown.stdout.replaceAll(/.[\b]/g, ''), warnings: shown.stderr };
}

const pages = manPages(program);
const overview = pages.get('netwatch.8') ?? '';

const sections = (text: string): string[] =>
  text.split('\n').filter((line) => /^[A-Z][A-Z ]+$/.test(line));

/** Without line ends and the spaces with which man fills its lines. */
const words = (text: string): string => text.replaceAll('‐\n', '').replaceAll(/\s+/g, ' ');

const optionsShown = ({ options }: CommandModel): string[] =>
  options.map(({ names, value }) => [names.join(', '), value].filter(Boolean).join(' '));

t.test('man renders the overview without a warning, with its sections', { skip: noMan }, (t) => {
  const { text, warnings } = render(overview, t.testdir());
  t.equal(warnings, '');
  t.strictSame(sections(text), [
    ...['NAME', 'SYNOPSIS', 'DESCRIPTION', 'WHICH COMMAND', 'OPTIONS', 'COMMANDS', 'FILES'],
    ...['METRICS', 'EXIT STATUS', 'EXAMPLES', 'SEE ALSO'],
  ]);
  t.match(text, `netwatch ${program.version}`);
  for (const shown of optionsShown(program)) t.ok(text.includes(shown), shown);
  for (const { name } of program.tools) t.match(text, `       netwatch-${name}(8)\n`);
  for (const { command } of SYMPTOMS) t.match(text, `  ${command}\n`);
  t.end();
});

t.test('every command has a page that man renders without a warning', { skip: noMan }, (t) => {
  const folder = t.testdir();
  t.equal(pages.size, commandNames().length + 1);
  for (const tool of program.tools) {
    const { text, warnings } = render(pages.get(`netwatch-${tool.name}.8`) ?? '', folder);
    t.equal(warnings, '', tool.name);
    t.strictSame(
      sections(text),
      ['NAME', 'SYNOPSIS', 'DESCRIPTION', 'OPTIONS', 'EXIT STATUS', 'EXAMPLES', 'SEE ALSO'],
      tool.name,
    );
    t.match(words(text), ` NAME netwatch-${tool.name} - ${tool.summary} SYNOPSIS ${tool.usage} `);
    for (const shown of [...optionsShown(tool), ...tool.arguments.map(({ name }) => name)])
      t.ok(text.includes(shown), `${tool.name}: ${shown}`);
  }
  t.end();
});

t.test('the synopsis of a page has the whole name of its command in bold', (t) => {
  for (const { name } of program.tools) {
    const line = /^\.SH SYNOPSIS\n(.*)$/m.exec(pages.get(`netwatch-${name}.8`) ?? '')?.[1];
    t.match(line, new RegExp(`^\\\\fBnetwatch ${name}\\\\fR[ |]`), name);
  }
  t.end();
});

t.test('the pages refer to each other, and to none that is missing', (t) => {
  for (const [file, text] of pages) {
    const found = [...text.matchAll(/^\.BR (netwatch\S*) \(8\)/gm)].map(([, page = '']) => page);
    for (const page of found) t.ok(pages.has(`${page.replaceAll('\\-', '-')}.8`), page);
    t.equal(found.includes('netwatch'), file !== 'netwatch.8', file);
  }
  t.end();
});

t.test('whatis finds every page by its name', { skip: needsCommands('lexgrog') }, (t) => {
  const folder = t.testdir(Object.fromEntries(pages));
  for (const file of pages.keys()) {
    const said = execFileSync('lexgrog', [join(folder, file)], { encoding: 'utf8' });
    t.match(said, `"${file.slice(0, -'.8'.length)} - `);
  }
  t.end();
});

t.test('the overview lists every family with its type and labels', { skip: noMan }, (t) => {
  const { text } = render(overview, t.testdir());
  for (const name of FAMILY_NAMES)
    t.ok(words(text).includes(`${name} (${familyOf(name).type})`), name);
  t.end();
});

t.test('pages of hostile text render without a warning', { skip: noMan }, (t) => {
  const [first, second] = [...manPages(SAMPLE).values()].map((page) => render(page, t.testdir()));
  t.strictSame([first?.warnings, second?.warnings], ['', '']);
  t.match(first?.text, /with \.dots and \\backslashes\./);
  t.match(first?.text, /it's \[one\]: of these/);
  t.match(second?.text, /Some notes\./);
  t.end();
});

/** What bash offers for a command line that is typed so far; the last word is being typed. */
function complete(model: ProgramModel, folder: string, ...words: readonly string[]): string[] {
  const script = join(folder, 'completion.bash');
  writeFileSync(script, bashCompletion(model));
  const ask = `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _netwatch; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const options = { cwd: folder, encoding: 'utf8' } as const;
  const offered = execFileSync('bash', ['-uc', ask, 'bash', script, 'netwatch', ...words], options);
  return offered.split('\n').filter((word) => word !== '');
}

t.test('bash completes tools, options and what belongs to them', (t) => {
  const folder = t.testdir({ 'a.log': '', logs: {} });
  const offered = (...words: string[]): string[] => complete(SAMPLE, folder, ...words);
  t.strictSame(offered(''), ['export', 'help']);
  t.strictSame(offered('ex'), ['export']);
  t.strictSame(offered('--'), ['--format', '--data', '--quiet', '--version', '--help']);
  t.strictSame(offered('-q', '--f'), ['--format']);
  t.strictSame(offered('help', ''), ['export']);
  t.strictSame(offered('export', '-'), ['-O', '--out', '-h', '--help']);
  t.strictSame(offered('export', '--o'), ['--out']);
  t.end();
});

t.test('bash completes values: choices, files and directories', (t) => {
  const folder = t.testdir({ 'a.log': '', logs: {} });
  const offered = (...words: string[]): string[] => complete(SAMPLE, folder, ...words);
  t.strictSame(offered('-f', ''), ['text', 'json']);
  t.strictSame(offered('--format', 'j'), ['json']);
  t.strictSame(offered('--format', '=', 'j'), ['json'], 'bash splits at the equals sign');
  t.strictSame(offered('--format', '='), ['text', 'json']);
  t.strictSame(offered('--data', ''), ['logs']);
  t.strictSame(offered('export', '--out', 'a'), ['a.log']);
  t.strictSame(offered('export', 'a'), ['a.log'], 'logs to read');
  t.end();
});

t.test('bash completes every option of netwatch itself', (t) => {
  const folder = t.testdir();
  for (const { name, options } of models(program)) {
    const words = name === '' ? ['-'] : [name, '-'];
    t.strictSame(
      complete(program, folder, ...words),
      options.flatMap(({ names }) => names),
      name,
    );
  }
  t.end();
});

const noZsh = needsCommands('zsh');

t.test('zsh takes its completion without complaint', { skip: noZsh }, (t) => {
  for (const model of [program, SAMPLE]) {
    const text = zshCompletion(model);
    const path = join(t.testdir(), '_netwatch');
    writeFileSync(path, text);
    const { status, stderr } = spawnSync('zsh', ['-n', path], { encoding: 'utf8' });
    t.strictSame([status, stderr], [0, '']);
    for (const { options } of models(model))
      for (const option of options.flatMap(({ names }) => names)) t.match(text, `)${option}`);
  }
  t.end();
});

/** What fish offers for a line typed so far, each with its description. */
function fishOffers(folder: string, model: ProgramModel, line: string): string[] {
  const path = join(folder, 'netwatch.fish');
  writeFileSync(path, fishCompletion(model));
  const home = join(folder, 'home');
  mkdirSync(home, { recursive: true });
  const env = { ...process.env, HOME: home, XDG_CONFIG_HOME: home, XDG_DATA_HOME: home };
  const command = `source ${path}; complete -C '${line}'`;
  const offered = execFileSync('fish', ['--no-config', '-c', command], {
    encoding: 'utf8',
    env,
    cwd: folder,
  });
  return offered.split('\n').filter((word) => word !== '');
}

const noFish = needsCommands('fish');

t.test('fish completes tools, options and their values', { skip: noFish }, (t) => {
  const folder = t.testdir({ 'a.log': '', logs: {} });
  const offered = (line: string): string[] => fishOffers(folder, SAMPLE, line);
  t.strictSame(offered('netwatch ex'), ['export\texport things']);
  t.strictSame(offered('netwatch --q'), ['--quiet\tno output']);
  t.strictSame(
    offered('netwatch --format j').map((line) => line.split('\t')[0]),
    ['json'],
  );
  t.match(offered('netwatch --data lo'), [/^logs\//]);
  t.strictSame(offered('netwatch export --ou'), ['--out\twrite here']);
  t.match(offered('netwatch export a.l'), [/^a\.log/]);
  t.end();
});

t.test('make docs writes all of them where a system looks, and no page of before', (t) => {
  const folder = t.testdir({
    man: { man8: { 'netwatch-gone.8': '', 'other.8': '' } },
  });
  const args = [...process.execArgv, join(root, 'scripts/docs.ts'), folder];
  execFileSync(process.execPath, args, { cwd: root });
  const read = (path: string): string => readFileSync(join(folder, path), 'utf8');
  const made = {
    'bash-completion/completions/netwatch': bashCompletion,
    'zsh/site-functions/_netwatch': zshCompletion,
    'fish/vendor_completions.d/netwatch.fish': fishCompletion,
  };
  for (const [path, text] of Object.entries(made)) t.equal(read(path), text(program), path);
  for (const [name, text] of pages) t.equal(read(`man/man8/${name}`), text, name);
  const names = readdirSync(join(folder, 'man/man8')).sort();
  t.strictSame(names, [...pages.keys(), 'other.8'].sort());
  t.end();
});
