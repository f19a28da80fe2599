/**
 * What the kernel says to every program of every source: each is loaded and attached for a moment,
 * with all options on and a filter that nothing can pass, so that nothing is counted. Part one of
 * three: facts -> rules -> words. Needs libbpf: import it lazily.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { NetwatchError } from '../failure.js';
import type { Obstacle } from '../kernel/hooks.js';
import { enumNames, hasHelper } from '../kernel/kernel-btf.js';
import {
  askForSource,
  libbpfVersion,
  listPrograms,
  sourceNames,
  trySource,
  type ListedProgram,
  type ProgramState,
  type SourceSpec,
} from '../kernel/source.js';
import { whyNoTrampoline } from '../kernel/trampoline.js';
import { toolKey } from './verdicts.js';
import { FILTER_LIST_LIMIT, parsePrefix, type Filter } from '../sources/filter.js';
import {
  OLDEST_KERNEL,
  type Feature,
  type Gain,
  type SourcePlan,
  type WatchOptions,
} from '../sources/plan.js';
import type { Tool } from '../terminal/tool.js';
import type { Facts } from './report.js';

/** Inode number of no network namespace. */
const NOWHERE = 0xffff_ffff;
const times = <T>(value: T): T[] => Array<T>(FILTER_LIST_LIMIT).fill(value);
const prefix = parsePrefix('192.0.2.0/24');

/** Everything a filter can hold, for the kernel to verify; no connection passes it. */
const FULL_FILTER: Filter = {
  pids: times(1),
  comm: 'netwatch-doctor',
  isCommPart: true,
  localPorts: times(9),
  peerPorts: times(9),
  ports: times(9),
  localAddresses: prefix === null ? [] : times(prefix),
  peerAddresses: prefix === null ? [] : times(prefix),
  family: 6,
  namespaces: times(NOWHERE),
  cgroup: { id: 1n, level: 3 },
  isNamed: true,
};

const NOTHING: WatchOptions = {
  filter: FULL_FILTER,
  retrans: false,
  time: false,
  http: false,
  err: false,
};
const EVERYTHING: WatchOptions = { ...NOTHING, retrans: true, time: true, http: true, err: true };

/** What an option asks of a source. */
export interface Demand {
  /** Programs it adds to those without options; all, without options. */
  readonly programs: readonly string[];
  /** Those without which the source does not run. */
  readonly essential: readonly string[];
}

/** How a source and the options meet, by the option's name; '' is none; or by toolKey(). */
export type Demands = Readonly<Record<string, Demand>>;

/** A program, and how it got on. */
export interface SeenProgram extends Required<Gain> {
  readonly program: string;
  readonly attachType: string;
  readonly hook: string;
  /** False for one that stands in where something is missing which is not missing here. */
  readonly wanted: boolean;
  /** Null: not tried. */
  readonly attached: boolean | null;
  readonly obstacle: Obstacle | null;
}

export interface SeenFeature extends Required<Gain> {
  readonly needs: string;
  readonly obstacle: Obstacle | null;
}

export interface SeenSource {
  readonly source: string;
  readonly programs: readonly SeenProgram[];
  readonly features: readonly SeenFeature[];
  readonly demands: Demands;
  /** The kernel did not even look at the programs. */
  readonly refusal: NetwatchError | null;
}

const namesIn = (spec: SourceSpec | null, programs: readonly ListedProgram[]): string[] =>
  spec === null
    ? []
    : programs.map(({ name }) => name).filter((name) => spec.wants?.(name) ?? true);

/** Whether an option changes anything for a source: programs or settings. */
function differs(one: SourceSpec | null, other: SourceSpec | null): boolean {
  const settings = (spec: SourceSpec | null): string =>
    JSON.stringify(spec?.rodata.map(([, bytes]) => [...bytes]) ?? null);
  return settings(one) !== settings(other);
}

/** A command beside the collector, and what it would load if it were asked for all it can. */
type Trial = readonly [tool: string, spec: SourceSpec];

async function trialsOf(tools: readonly Tool[]): Promise<Trial[]> {
  const all = await Promise.all(
    tools.map(async ({ name, trial }) => [name, await trial?.(FULL_FILTER)] as const),
  );
  return all.flatMap(([name, spec]) => (spec === undefined ? [] : [[name, spec]]));
}

function demandsOf(
  plan: SourcePlan,
  trials: readonly Trial[],
  programs: readonly ListedProgram[],
): Demands {
  const base = plan.spec(NOTHING);
  const before = new Set(namesIn(base, programs));
  const demands: Record<string, Demand> = {};
  const add = (
    name: string,
    spec: SourceSpec | null,
    isNew: (program: string) => boolean,
  ): void => {
    if (spec === null) return;
    const names = namesIn(spec, programs);
    const added = names.filter(isNew);
    if (added.length === 0 && !differs(base, spec)) return;
    demands[name] = { programs: added, essential: names.filter(spec.essential) };
  };
  add('', base, () => true);
  const options = Object.keys(NOTHING).filter((key) => key !== 'filter');
  for (const option of options)
    add(option, plan.spec({ ...NOTHING, [option]: true }), (name) => !before.has(name));
  for (const [tool, spec] of trials) add(toolKey(tool), spec, () => true);
  return demands;
}

type Look = (spec: SourceSpec) => ProgramState[];

/** With everything on; then, without options and for tools, the programs not among those. */
function lookAt(plan: SourcePlan, trials: readonly Trial[], look: Look): Map<string, ProgramState> {
  const states = new Map<string, ProgramState>();
  const specs = [plan.spec(EVERYTHING), plan.spec(NOTHING), ...trials.map(([, spec]) => spec)];
  for (const spec of specs.filter((one) => one !== null)) {
    const wants = (name: string): boolean => (spec.wants?.(name) ?? true) && !states.has(name);
    for (const state of look({ ...spec, wants })) states.set(state.program, state);
  }
  return states;
}

/** What a permission or a mount would fix is no answer where the kernel is only asked what it has. */
const answer = (obstacle: Obstacle | null, load: boolean): Obstacle | null =>
  load || obstacle?.fix === null ? obstacle : null;

function seeProgram(
  { name, type, hook }: ListedProgram,
  gain: Gain | undefined,
  state: ProgramState | undefined,
  load: boolean,
): SeenProgram {
  const { since = OLDEST_KERNEL, gives = name, options = [] } = gain ?? {};
  const seen = { program: name, attachType: type, hook, gives, since, options };
  if (state === undefined) return { ...seen, wanted: false, attached: false, obstacle: null };
  const { attached, reason, fix } = state;
  const obstacle = answer(reason === null ? null : { reason, fix }, load);
  return { ...seen, wanted: true, attached: load || obstacle !== null ? attached : null, obstacle };
}

function seeFeature(feature: Feature, load: boolean): SeenFeature {
  const { needs, gives, since = OLDEST_KERNEL, options = [] } = feature;
  return { needs, gives, since, options, obstacle: answer(feature.obstacle(), load) };
}

const SOURCES = new URL('../sources/', import.meta.url);

/** Null if nothing reads the object of that name. */
export async function planOf(source: string): Promise<SourcePlan | null> {
  const readers = readdirSync(SOURCES).map((name) => name.replace(/\.[jt]s$/, ''));
  if (!readers.includes(source)) return null;
  const module = (await import(new URL(`${source}.js`, SOURCES).href)) as { PLAN?: SourcePlan };
  return module.PLAN ?? null;
}

function see(
  source: string,
  plan: SourcePlan,
  trials: readonly Trial[],
  load: boolean,
): SeenSource {
  let refusal: NetwatchError | null = null;
  const tryOrAsk: Look = (spec) => {
    try {
      return trySource(spec);
    } catch (error) {
      if (!(error instanceof NetwatchError)) throw error;
      refusal = error;
      return askForSource(spec);
    }
  };
  const states = lookAt(plan, trials, load ? tryOrAsk : askForSource);
  const programs = listPrograms(source);
  return {
    source,
    programs: programs.map((program) =>
      seeProgram(program, plan.programs[program.name], states.get(program.name), load),
    ),
    features: plan.features.map((feature) => seeFeature(feature, load)),
    demands: demandsOf(plan, trials, programs),
    refusal,
  };
}

/** Everything that is found by asking the kernel through libbpf. */
export interface KernelFindings {
  readonly ringBuffer: boolean;
  readonly fentry: Facts['fentry'];
  readonly memlockMatters: boolean;
  readonly sources: readonly SeenSource[];
}

/** The libbpf that is loaded: the file is what the dynamic linker has chosen. */
export function libbpfFacts(): Facts['libbpf'] {
  const path = /\S*\/libbpf\.so\S*/.exec(readFileSync('/proc/self/maps', 'utf8'))?.[0] ?? null;
  return { version: libbpfVersion(), path };
}

/**
 * Asks the kernel; with `load` it has to take every program, without it only tells what it has.
 * Throws NetwatchError where there is no BTF.
 */
export async function examineKernel(
  load: boolean,
  tools: readonly Tool[],
): Promise<KernelFindings> {
  const mapTypes = [...enumNames('bpf_map_type').values()];
  const reason = load ? whyNoTrampoline() : null;
  const sources: SeenSource[] = [];
  const trials = await trialsOf(tools);
  for (const source of sourceNames()) {
    const plan = await planOf(source);
    const own = trials.filter(([, { name }]) => name === source);
    if (plan !== null) sources.push(see(source, plan, own, load));
  }
  return {
    ringBuffer: mapTypes.includes('BPF_MAP_TYPE_RINGBUF'),
    fentry: { possible: load ? reason === null : null, reason },
    // The helper came with the kernel that stopped counting maps against the limit.
    memlockMatters: !hasHelper('ktime_get_coarse_ns'),
    sources,
  };
}
