/**
 * From what was found to what works: for every source, flag and tool, and the exit code. Pure. Part
 * two of three: facts -> rules -> words.
 */
import type { CollectorOptions } from '../collector/options.js';
import type { Demands, SeenSource } from './hooks.js';
import { problemOf, refusalOf } from './problems.js';
import type {
  Facts,
  FlagVerdict,
  Loss,
  Problem,
  ProgramFinding,
  Report,
  SourceFinding,
  ToolVerdict,
  Verdict,
} from './report.js';

/** Everything the rules go by. */
export interface Findings {
  readonly facts: Facts;
  /** What keeps the collector from starting at all, however good the kernel's hooks are. */
  readonly blockers: readonly Problem[];
  readonly sources: readonly SeenSource[];
  /** Options of the collector: the name in the program, and how help shows it. */
  readonly options: readonly { readonly name: string; readonly flag: string }[];
  readonly tools: readonly { readonly name: string; readonly opensSources: boolean }[];
  /** False: only the kernel is judged, not what this process may do on this machine. */
  readonly judgesHost: boolean;
}

interface Judged extends SourceFinding {
  readonly demands: Demands;
}

/** The name of "no option" in {@link Demands}. */
const NO_OPTION = '';

/** What a command is called among the options. */
export const toolKey = (tool: string): string => `netwatch ${tool}`;

const works: Verdict = { verdict: 'works', without: [], problem: null, fix: [] };

const unique = (fixes: readonly (string | null)[]): string[] => [
  ...new Set(fixes.filter((fix) => fix !== null)),
];

function cannot(problem: Problem, others: readonly Problem[] = []): Verdict {
  const fix = unique([problem, ...others].map((one) => one.fix));
  return { verdict: 'cannot', without: [], problem, fix };
}

function worksWithout(losses: readonly Loss[]): Verdict {
  if (losses.length === 0) return works;
  const byText = new Map(losses.map((loss) => [`${loss.what}: ${loss.problem.reason}`, loss]));
  const without = [...byText.values()];
  const fix = unique(without.map(({ problem }) => problem.fix));
  return { verdict: 'degraded', without, problem: null, fix };
}

function judgeSource(seen: SeenSource, facts: Facts): Judged {
  const { release } = facts.kernel;
  const { source, demands, refusal } = seen;
  const programs = seen.programs.map(({ obstacle, ...program }): ProgramFinding => {
    const { wanted, since } = program;
    const refused = refusal === null || !wanted ? null : refusalOf(refusal, facts);
    const problem = obstacle === null ? refused : problemOf(obstacle, since, release);
    const reason = problem?.reason ?? (wanted ? null : 'not needed here');
    return { ...program, reason, problem };
  });
  const features = seen.features.map(({ obstacle, ...feature }) => ({
    ...feature,
    problem: obstacle === null ? null : problemOf(obstacle, feature.since, release),
  }));
  return { source, programs, features, demands };
}

/** What an option loses by programs and features that are declared to matter for it. */
function declaredLosses({ programs, features }: Judged, option: string, isRun = false): Loss[] {
  const concerns = (options: readonly string[]): boolean => options.includes(option);
  const everyRun = (options: readonly string[]): boolean => isRun && options.length === 0;
  const losing = [
    ...programs.filter(({ wanted, options }) => wanted && concerns(options)),
    ...features.filter(({ options }) => concerns(options) || everyRun(options)),
  ];
  return losing.flatMap(({ gives: what, problem }) => (problem === null ? [] : { what, problem }));
}

/** How the programs of a source serve an option; null if the option asks nothing of it. */
function serve(judged: Judged, option: string): Verdict | null {
  const demand = judged.demands[option];
  if (demand === undefined) return null;
  const missing = (names: readonly string[]): Loss[] =>
    judged.programs
      .filter(({ program }) => names.includes(program))
      .flatMap(({ gives: what, problem }) => (problem === null ? [] : { what, problem }));
  const lost = missing(demand.programs);
  const isAll = lost.length > 0 && lost.length === demand.programs.length;
  const [blocking = isAll ? lost[0] : undefined] = missing(demand.essential);
  if (blocking !== undefined) return cannot(blocking.problem);
  return worksWithout(lost);
}

/** All sources together: what one cannot, the others still do. */
function together(verdicts: readonly Verdict[], losses: readonly Loss[]): Verdict {
  const [first] = verdicts;
  if (first !== undefined && verdicts.every(({ verdict }) => verdict === 'cannot')) return first;
  return worksWithout([...verdicts.flatMap(({ without }) => without), ...losses]);
}

/** What keeps everything from running; a kernel is worse than a missing right. */
function blocked(blockers: readonly Problem[]): Verdict | null {
  const first = blockers.find(({ fault }) => fault === 'kernel') ?? blockers[0];
  return first === undefined ? null : cannot(first, blockers);
}

/** Without options. A source that this machine could be given is left out, as the collector does. */
function judgeCollector(sources: readonly Judged[]): Verdict {
  const losses: Loss[] = [];
  for (const judged of sources) {
    const verdict = serve(judged, NO_OPTION);
    if (verdict === null) continue;
    const { problem, without } = verdict;
    if (problem?.fault === 'kernel') return verdict;
    if (problem !== null) losses.push({ what: `${judged.source} records`, problem });
    losses.push(...without, ...declaredLosses(judged, NO_OPTION, true));
  }
  return worksWithout(losses);
}

/** A command beside the collector, by what it asks of its sources, all at once. */
function judgeTool(tool: string, sources: readonly Judged[]): Verdict {
  const own = sources.filter(({ demands }) => toolKey(tool) in demands);
  return together(
    own.map((judged) => serve(judged, toolKey(tool)) ?? works),
    own.flatMap((judged) => declaredLosses(judged, toolKey(tool), true)),
  );
}

type Need = (facts: Facts) => Problem | null;

/** What options need of the host, not of a source. */
const HOST_NEEDS: Readonly<Record<string, Need>> = {
  cgroup: ({ cgroup2 }) =>
    cgroup2.path !== null
      ? null
      : {
          reason: 'no cgroup v2 hierarchy is mounted',
          fault: 'environment',
          fix: 'mount -t cgroup2 none /sys/fs/cgroup/unified',
        },
  data: ({ data: { reason } }) =>
    reason === null
      ? null
      : { reason, fault: 'environment', fix: 'choose another directory with --data DIR' },
} satisfies Partial<Record<keyof CollectorOptions, Need>>;

function judgeFlag(
  name: string,
  collector: Verdict,
  sources: readonly Judged[],
  { facts, judgesHost }: Findings,
): Verdict {
  if (collector.verdict === 'cannot') return collector;
  const lack = judgesHost ? (HOST_NEEDS[name]?.(facts) ?? null) : null;
  if (lack !== null) return cannot(lack);
  const served = sources.map((judged) => serve(judged, name)).filter((one) => one !== null);
  return together(
    served,
    sources.flatMap((judged) => declaredLosses(judged, name)),
  );
}

function exitCodeOf(collector: Verdict, all: readonly Verdict[]): Report['exitCode'] {
  if (collector.problem?.fault === 'kernel') return 4;
  return all.some(({ problem }) => problem?.fault === 'environment') ? 3 : 0;
}

/** The whole report. */
export function judge(findings: Findings): Report {
  const { facts, blockers, sources, options, tools } = findings;
  const judged = sources.map((seen) => judgeSource(seen, facts));
  const blocker = blocked(blockers);
  const collector = blocker ?? judgeCollector(judged);
  const flags = options.map(({ name, flag }): FlagVerdict => ({
    flag,
    ...judgeFlag(name, collector, judged, findings),
  }));
  const others = tools.map(({ name, opensSources }): ToolVerdict => ({
    tool: name,
    ...((opensSources ? blocker : null) ?? judgeTool(name, judged)),
  }));
  return {
    facts,
    sources: judged.map(({ source, programs, features }) => ({ source, programs, features })),
    flags,
    tools: [{ tool: 'netwatch', ...collector }, ...others],
    exitCode: exitCodeOf(collector, [collector, ...flags, ...others]),
  };
}
