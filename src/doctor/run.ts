/** `netwatch doctor`: gathers the facts, applies the rules, prints the words. */
import { endianness } from 'node:os';
import { Command } from 'commander';
import { loadCommand, commandNames } from '../commands.js';
import { addCollectorOptions } from '../collector/options.js';
import {
  describeCapability,
  missingCapabilities,
  ownCapabilities,
} from '../kernel/capabilities.js';
import { NetwatchError } from '../failure.js';
import { readHostFacts, type HostFacts } from './facts.js';
import type { KernelFindings } from './hooks.js';
import { problemOfError } from './problems.js';
import type { Facts, Problem, Report } from './report.js';
import type { Tool } from '../terminal/tool.js';
import { judge, type Findings } from './verdicts.js';
import { renderReport } from './words.js';

export interface DoctorOptions {
  readonly output: 'text' | 'json';
  /** False: only ask what the kernel has, which needs no rights. */
  readonly load: boolean;
  readonly directory: string;
}

/** What this process may not, on this machine; nothing of the kernel. */
function findBlockers(): NetwatchError[] {
  const missing = missingCapabilities(ownCapabilities().effective).map(describeCapability);
  const uid = process.getuid?.() ?? -1;
  return [
    ...(endianness() === 'LE' ? [] : [new NetwatchError({ code: 'big-endian' })]),
    ...(missing.length === 0 ? [] : [new NetwatchError({ code: 'privilege', uid, missing })]),
  ];
}

interface Asked {
  readonly libbpf: Facts['libbpf'];
  /** Null where there is no libbpf or no BTF to ask with. */
  readonly kernel: KernelFindings | null;
  readonly blocker: Problem | null;
}

/** Asks the kernel through libbpf, as far as both are there. */
async function askKernel(load: boolean, tools: readonly Tool[]): Promise<Asked> {
  let libbpf: Facts['libbpf'] = { version: null, path: null };
  try {
    const hooks = await import('./hooks.js');
    libbpf = hooks.libbpfFacts();
    return { libbpf, kernel: await hooks.examineKernel(load, tools), blocker: null };
  } catch (error) {
    if (!(error instanceof NetwatchError)) throw error;
    return { libbpf, kernel: null, blocker: problemOfError(error) };
  }
}

function allFacts(host: HostFacts, { libbpf, kernel }: Asked): Facts {
  return {
    ...host,
    libbpf,
    ringBuffer: kernel?.ringBuffer ?? null,
    fentry: kernel?.fentry ?? { possible: null, reason: null },
    memlock: { ...host.memlock, matters: kernel?.memlockMatters ?? null },
  };
}

function collectorOptions(): Findings['options'] {
  return addCollectorOptions(new Command('netwatch')).options.map((option) => ({
    name: option.attributeName(),
    flag: option.flags,
  }));
}

/** Looks at this machine and judges it. */
async function diagnose({ load, directory }: DoctorOptions): Promise<Report> {
  const host = await readHostFacts(directory);
  const rights = load ? findBlockers().map(problemOfError) : [];
  const tools = await Promise.all(commandNames().map(loadCommand));
  const asked = await askKernel(load && rights.length === 0, tools);
  return judge({
    facts: allFacts(host, asked),
    blockers: [...(asked.blocker === null ? [] : [asked.blocker]), ...rights],
    sources: asked.kernel?.sources ?? [],
    options: collectorOptions(),
    tools: tools.map(({ name, trial }) => ({ name, opensSources: trial !== undefined })),
    judgesHost: load,
  });
}

/** Prints the report on standard output and sets the exit code. */
export async function runDoctor(options: DoctorOptions): Promise<void> {
  const report = await diagnose(options);
  const { stdout } = process;
  const text =
    options.output === 'json'
      ? `${JSON.stringify(report, null, 2)}\n`
      : renderReport(report, { colors: stdout.isTTY && stdout.hasColors() });
  stdout.write(text);
  process.exitCode = report.exitCode;
}
