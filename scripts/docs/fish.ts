/** Completion for fish: one `complete` line per option. */
import type { CommandModel, Completion, ProgramModel } from './model.js';

const quoted = (text: string): string =>
  `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

/** What follows an option that takes a value. */
function argument(completion: Completion): string {
  switch (completion.kind) {
    case 'file':
      return '-r -F';
    case 'directory':
      return "-x -a '(__fish_complete_directories)'";
    case 'choices':
      return `-x -a ${quoted(completion.values.join(' '))}`;
    case 'none':
      return '-x';
  }
}

function options(condition: string, model: CommandModel): string[] {
  return model.options.map(({ names, value, completion, description }) =>
    [
      `complete -c netwatch -n ${quoted(condition)}`,
      ...names.map((name) =>
        name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`,
      ),
      ...(value === null ? [] : [argument(completion)]),
      `-d ${quoted(description)}`,
    ].join(' '),
  );
}

/** The script that fish finds in its vendor_completions.d. */
export function fishCompletion(program: ProgramModel): string {
  const names = program.tools.map(({ name }) => name);
  const none = `not __fish_seen_subcommand_from ${[...names, 'help'].join(' ')}`;
  const seen = (name: string): string => `__fish_seen_subcommand_from ${name}`;
  const word = (condition: string, name: string, summary: string): string =>
    `complete -c netwatch -n ${quoted(condition)} -a ${name} -d ${quoted(summary)}`;
  return [
    '# Completion for netwatch. Generated from its options: do not edit.',
    'complete -c netwatch -f',
    ...program.tools.map((tool) => word(none, tool.name, tool.summary)),
    word(none, 'help', 'show help for a command'),
    ...program.tools.map((tool) => word(seen('help'), tool.name, tool.summary)),
    ...options(none, program),
    ...program.tools.flatMap((tool) => [
      ...options(seen(tool.name), tool),
      ...tool.arguments
        .filter(({ completion }) => completion.kind === 'file')
        .map(() => `complete -c netwatch -n ${quoted(seen(tool.name))} -F`),
    ]),
    '',
  ].join('\n');
}
