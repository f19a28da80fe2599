/** Completion for bash; works without the package bash-completion. */
import type { CommandModel, Completion, ProgramModel } from './model.js';

const words = (names: readonly string[]): string => names.join(' ');

/** Shell code that fills COMPREPLY with what completes a value. */
function reply(completion: Completion): string {
  // Tells bash to quote names and to put a slash behind directories.
  const names = 'compopt -o filenames 2>/dev/null';
  switch (completion.kind) {
    case 'file':
      return `${names}; mapfile -t COMPREPLY < <(compgen -f -- "$word")`;
    case 'directory':
      return `${names}; mapfile -t COMPREPLY < <(compgen -d -- "$word")`;
    case 'choices':
      return `mapfile -t COMPREPLY < <(compgen -W '${words(completion.values)}' -- "$word")`;
    case 'none':
      return ':';
  }
}

/** A branch for each option with a value. */
function values({ name, options }: CommandModel): string[] {
  return options
    .filter(({ value }) => value !== null)
    .map(({ names, completion }) => {
      const patterns = names.map((option) => `${name}:${option}`).join(' | ');
      return `    ${patterns}) ${reply(completion)}; return ;;`;
    });
}

function options(model: CommandModel): string {
  const names = model.options.flatMap((option) => option.names);
  return `    ${model.name || "''"}) list='${words(names)}' ;;`;
}

function operands({ name, arguments: [operand] }: CommandModel): string[] {
  return operand === undefined ? [] : [`    ${name}:*) ${reply(operand.completion)}; return ;;`];
}

/** The script for share/bash-completion/completions/netwatch. */
export function bashCompletion(program: ProgramModel): string {
  const { tools } = program;
  const commands: readonly CommandModel[] = [program, ...tools];
  const names = tools.map(({ name }) => name);
  // In --data=x the "=" is a word of its own to bash.
  return `# bash completion for netwatch. Generated from its options: do not edit.
_netwatch() {
  local word=\${COMP_WORDS[COMP_CWORD]} option=\${COMP_WORDS[COMP_CWORD - 1]} tool='' list=''
  COMPREPLY=()
  if [ "$word" = = ]; then
    word=''
  elif [ "$option" = = ]; then
    option=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  if [ "$COMP_CWORD" -gt 1 ]; then
    case \${COMP_WORDS[1]} in ${[...names, 'help'].join(' | ')}) tool=\${COMP_WORDS[1]} ;; esac
  fi
  case $tool:$option in
${commands.flatMap(values).join('\n')}
  esac
  case $tool:$word in
    *:-*) ;;
    :*) if [ "$COMP_CWORD" -eq 1 ]; then tool=help; fi ;;
${tools.flatMap(operands).join('\n')}
  esac
  case $tool in
    help) list='${words(names)}' ;;
${commands.map(options).join('\n')}
  esac
  if [ "$COMP_CWORD" -eq 1 ] && [ "$tool" = help ]; then list+=' help'; fi
  mapfile -t COMPREPLY < <(compgen -W "$list" -- "$word")
}
complete -F _netwatch netwatch
`;
}
