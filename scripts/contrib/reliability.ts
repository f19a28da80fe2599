/** docs/reliability.md: the table of faults that the tests hold. */
import { FAULT_GROUPS, type Fault, type FaultGroup } from '../../test/faults/table.js';

const ABOUT = `# What netwatch survives

<!-- Made by scripts/contrib.ts (make contrib) from test/faults/table.ts: change it there. -->

Each fault is tried with the built program or with the part that has to bear it. *Exact* means: the IP counters of the network
namespace itself are the lines of \`packets.log\` and the losses that \`netwatch.prom\` counts, summed up.

\`sudo make test-faults\` runs the suite \`test/faults\`; \`sudo make test\` runs all tests that are named here.

A signal that would kill ends the run in order: SIGTERM, SIGINT and SIGQUIT (a second one at once), SIGUSR2, SIGALRM, SIGVTALRM,
SIGPROF, SIGIO, SIGPWR, SIGXCPU, SIGSTKFLT, SIGTRAP and SIGSYS. SIGHUP reopens the logs, or ends what runs on a terminal. SIGUSR1,
SIGPIPE and SIGXFSZ are ignored. SIGKILL, real-time signals and the signals of a fault of the program itself (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT) end it
at once: the kernel detaches everything, and the next start repairs the files.
`;

function row({ fault, witness, result, proofs }: Fault): string {
  const files = [...new Set(proofs.map(([file]) => `\`${file.replace('.test.ts', '')}\``))];
  return `| ${fault} | ${witness} | ${result} | ${files.join(', ')} |`;
}

function section({ title, faults }: FaultGroup): string {
  const head = '| fault | witness | result | proved in test/ |\n|---|---|---|---|';
  return `## ${title}\n\n${head}\n${faults.map(row).join('\n')}\n`;
}

export function reliabilityDocument(): string {
  return [ABOUT, ...FAULT_GROUPS.map(section)].join('\n');
}
