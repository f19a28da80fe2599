/** `netwatch doctor`: what works on this machine, what does not and why, and how to fix it. */
import { option } from '../cli/options.js';
import { jobTool } from '../terminal/tool.js';

const HELP = `
Every BPF program is loaded and attached for a moment, behind a filter that
nothing passes: nothing is counted and no file is written. Tracefs is mounted if
it is not, as the collector does. With --no-load the kernel is only asked what
it has: that needs no rights, and rights and directories are not judged.

Exit code 0: all works, or as far as this kernel allows. 3: something cannot,
and that can be fixed here (a right, a mount, a package). 4: the kernel
lacks what no run can do without.

Examples:
  sudo netwatch doctor                what works here
  netwatch doctor --no-load           what this kernel could, as any user
  netwatch doctor -o json | jq -r '.flags[] | [.flag, .verdict] | @tsv'
`;

const OPTIONS = {
  ...option('-o, --output <FORMAT>', 'form of the report', {
    choices: ['text', 'json'],
    default: 'text',
  }),
  ...option('--no-load', 'only ask the kernel what it has; needs no rights'),
  ...option('--data <DIR>', 'directory that the collector would write', { default: 'data' }),
};

export default jobTool(
  {
    name: 'doctor',
    summary: 'show what works on this machine, and how to fix the rest',
    group: 'About netwatch itself:',
    description: 'Shows what works on this machine, and how to fix the rest.',
    options: OPTIONS,
    help: HELP,
  },
  async ({ output, load, data: directory }) => {
    const { runDoctor } = await import('./run.js');
    await runDoctor({ output, load, directory });
  },
);
