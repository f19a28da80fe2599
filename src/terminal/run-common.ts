/** What running a tool has in common: how it starts and ends, what it says, where its output goes. */
import { performance } from 'node:perf_hooks';
import { NetwatchError } from '../failure.js';
import { findCgroup, resolveNamespace } from '../kernel/host.js';
import { releaseKernelBtf } from '../kernel/kernel-btf.js';
import { setVerbose } from '../kernel/object.js';
import { recursionMisses } from '../kernel/program-info.js';
import { SocketMemoryWarning } from '../kernel/socket-memory.js';
import type { Attached } from '../kernel/source.js';
import { checkEnvironment } from '../kernel/system.js';
import type { Snapshot } from '../metrics/snapshot.js';
import { announce } from '../process/announce.js';
import { End } from '../process/end.js';
import { Output } from '../process/output.js';
import { cannotWrite, messages, sayAs, type Say } from '../process/streams.js';
import { namesWantedOf } from '../cli/named.js';
import { CgroupSource } from '../sources/cgroup.js';
import type { NamesOf } from '../sources/cgroup-names.js';
import type { CommonOptions, Scope } from './common.js';
import { PromFile } from './prom-file.js';

/** Throws NetwatchError for a namespace or cgroup that is not there. */
function scopeOf(options: CommonOptions): Scope {
  const { netns, cgroup } = options;
  const { units, containers } = namesWantedOf(options);
  return {
    namespaces: (netns ?? []).map((name) => resolveNamespace(name).inode),
    cgroup: cgroup === undefined ? null : findCgroup(cgroup),
    isNamed: units.length + containers.length > 0,
  };
}

/** Between two looks at what cgroups were made. */
const CGROUPS_EVERY_MS = 1000;

/** The names of cgroups, if they are shown or chosen by; null: nobody wants to know. */
function openCgroups(options: CommonOptions, { isNamed = false }: Scope): CgroupSource | null {
  const { output, showUnit = false } = options;
  if (!isNamed && !showUnit && output !== 'json') return null;
  return new CgroupSource(namesWantedOf(options));
}

/** What a tool has counted, in the `.prom` file of `--data` if it is asked for. */
class Counters {
  readonly #file: PromFile | null;
  readonly #tool: string;
  readonly #source: Attached;
  readonly #say: Say;
  readonly #memoryWarning: SocketMemoryWarning;
  #missed = 0;

  constructor(file: PromFile | null, tool: string, source: Attached, say: Say) {
    this.#file = file;
    this.#tool = tool;
    this.#source = source;
    this.#say = say;
    this.#memoryWarning = new SocketMemoryWarning(say);
  }

  /** Writes what `fill` adds, and how many were `lost` at which place. */
  async keep(
    stage: 'ringbuf' | 'map_full',
    lost: number,
    fill: (snapshot: Snapshot) => void,
  ): Promise<void> {
    const source = this.#tool;
    const failures = this.#source.storageFailures();
    const refused = this.#source.tableFailures();
    this.#memoryWarning.check([this.#source]);
    const missed = this.tellMissed();
    await this.#file?.write((snapshot) => {
      fill(snapshot);
      const counts = new Map<'ringbuf' | 'map_full', number>([[stage, lost]]);
      if (refused !== null) counts.set('map_full', refused + (counts.get('map_full') ?? 0));
      for (const [at, count] of counts)
        snapshot.add('netwatch_events_lost_total', { source, stage: at }, count);
      if (failures !== null)
        snapshot.add('netwatch_events_lost_total', { source, stage: 'socket_memory' }, failures);
      if (missed > 0)
        snapshot.add('netwatch_events_lost_total', { source, stage: 'recursion' }, missed);
    }, this.#say);
  }

  /** Tells of missed events as they grow; returns how many there are by now. */
  tellMissed(): number {
    const missed = recursionMisses(this.#source.programs);
    const more = missed - this.#missed;
    if (more > 0) this.#say(`${more} events missed: they came while the same program was at work`);
    this.#missed = missed;
    return missed;
  }
}

interface Opens<O, S> {
  readonly name: string;
  readonly open: (options: O, scope: Scope, namesOf: NamesOf) => Promise<S>;
  readonly notes?: (options: O, source: S) => readonly string[];
  /** False: it shows no rows of single processes. */
  readonly showsRecords?: (options: O) => boolean;
}

interface Opened {
  readonly source: Attached;
  readonly notes?: readonly string[];
}

/** What a run is given. */
export interface Surroundings {
  readonly counters: Counters;
  readonly output: Output;
  readonly end: End;
  readonly say: Say;
  readonly namesOf: NamesOf;
}

/** A tool at work. */
export interface Run {
  /** Shows what comes until the end has. */
  untilEnd(): Promise<void>;
  /** Shows what is left; returns how many rows were not even given to the output. */
  finish(): Promise<number>;
}

/** Throws NetwatchError: a count is of no single process. */
function checkUnit<O extends CommonOptions>(
  { name, showsRecords }: Pick<Opens<O, never>, 'name' | 'showsRecords'>,
  options: O,
): void {
  if (options.showUnit !== true || (showsRecords?.(options) ?? true)) return;
  throw new NetwatchError({
    code: 'usage',
    message: `with counts, netwatch ${name} has no rows that --show-unit could add to`,
    next: 'leave out one of the two; --unit and --container choose what is counted',
  });
}

/** From start to end. Throws NetwatchError if it cannot start; nothing is left attached then. */
export async function runTool<O extends CommonOptions, S extends Opened>(
  tool: Opens<O, S>,
  options: O,
  start: (source: S, surroundings: Surroundings) => Run,
): Promise<void> {
  const startMs = performance.now();
  const say = sayAs(`netwatch ${tool.name}`);
  checkUnit(tool, options);
  if (options.libbpfLog) setVerbose(messages.write);
  const end = new End();
  end.listen();
  checkEnvironment();
  const scope = scopeOf(options);
  const file = options.data === undefined ? null : await PromFile.open(options.data, tool.name);
  try {
    await runWith(tool, options, { scope, file, end, say, startMs }, start);
  } finally {
    await file?.close();
  }
}

interface Prepared {
  readonly scope: Scope;
  readonly file: PromFile | null;
  readonly end: End;
  readonly say: Say;
  readonly startMs: number;
}

async function runWith<O extends CommonOptions, S extends Opened>(
  tool: Opens<O, S>,
  options: O,
  { scope, file, end, say, startMs }: Prepared,
  start: (source: S, surroundings: Surroundings) => Run,
): Promise<void> {
  const cgroups = openCgroups(options, scope);
  const namesOf: NamesOf = (cgroup) => cgroups?.namesOf(cgroup) ?? null;
  const opened = await tool.open(options, scope, namesOf);
  releaseKernelBtf();
  const output = new Output(end.come);
  const counters = new Counters(file, tool.name, opened.source, say);
  const run = start(opened, { counters, output, end, say, namesOf });
  const looking = setInterval(() => cgroups?.drain(), CGROUPS_EVERY_MS);
  opened.notes?.forEach(say);
  tool.notes?.(options, opened).forEach(say);
  announce({ programs: opened.source.programs, startMs }, say);
  try {
    end.after(options.duration);
    await run.untilEnd();
    if (end.bug !== null) throw end.bug;
    await finish(run, output, say);
    counters.tellMissed();
  } finally {
    clearInterval(looking);
    opened.source.close();
    cgroups?.close();
  }
}

/** Throws NetwatchError if standard output could not be written: the rows were all there is. */
async function finish(run: Run, output: Output, say: Say): Promise<void> {
  const notShown = await output.close(await run.finish());
  const message = output.errno === null ? null : cannotWrite(output.errno);
  if (message !== null) throw new NetwatchError({ code: 'environment', message, next: '' });
  if (notShown > 0) say(`${notShown} rows not shown: the reader was too slow`);
}
