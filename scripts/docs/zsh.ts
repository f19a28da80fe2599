/** Completion for zsh, by _arguments. */
import type { CommandModel, Completion, ProgramModel } from './model.js';

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
/** Inside a specification `[`, `]` and `:` have a meaning. */
const plain = (text: string): string => text.replaceAll(/[[\]:\\]/g, '\\$&');

function action(completion: Completion): string {
  switch (completion.kind) {
    case 'file':
      return '_files';
    case 'directory':
      return '_files -/';
    case 'choices':
      return `(${completion.values.join(' ')})`;
    case 'none':
      return ' ';
  }
}

function specifications(model: CommandModel): string[] {
  const options = model.options.flatMap(({ names, value, completion, description }) =>
    names.map((name) => {
      const long = name.startsWith('--');
      const suffix = value === null ? '' : long ? '=' : '+';
      const message = value === null ? '' : `:${plain(value)}:${action(completion)}`;
      return quoted(`(${names.join(' ')})${name}${suffix}[${plain(description)}]${message}`);
    }),
  );
  const operands = model.arguments.map(({ name, completion }) =>
    quoted(`${name.includes('...') ? '*' : ''}:${plain(name)}:${action(completion)}`),
  );
  return [...options, ...operands];
}

const lines = (parts: readonly string[], indent: string): string => parts.join(` \\\n${indent}`);

/** The function that zsh finds as _netwatch in its site-functions. */
export function zshCompletion(program: ProgramModel): string {
  const { tools } = program;
  const described = tools.map(({ name, summary }) => quoted(`${name}:${plain(summary)}`));
  return `#compdef netwatch
# Generated from the options of netwatch: do not edit.
_netwatch() {
  local -a tools=(
    ${[...described, quoted('help:show help for a command')].join('\n    ')}
  )
  if (( CURRENT > 2 )); then
    case $words[2] in
${tools
  .map(
    (tool) => `      ${tool.name})
        shift words
        (( CURRENT-- ))
        _arguments -s \\
          ${lines(specifications(tool), '          ')}
        return
        ;;`,
  )
  .join('\n')}
    esac
  fi
  _arguments -s \\
    ${lines(specifications(program), '    ')} \\
    '1:tool:{ _describe tool tools }' \\
    '2:tool:{ [[ $words[2] == help ]] && _describe tool tools }'
}
_netwatch "$@"
`;
}
