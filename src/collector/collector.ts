/**
 * The collector: opens the sources that the options ask for, drains them on a
 * short adaptive timer, pulls state once per interval, and writes the files.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createClock } from '../kernel/clock.js';
import { dropCapabilities } from '../kernel/drop-capabilities.js';
import { NetwatchError, type Failure } from '../failure.js';
import { Priority } from '../kernel/priority.js';
import { listNamespaces, type NetworkNamespace } from '../kernel/host.js';
import { releaseKernelBtf } from '../kernel/kernel-btf.js';
import { giveBackMemory, keepMemorySmall, letGoOfFilePages } from '../kernel/own-memory.js';
import { SocketMemoryWarning } from '../kernel/socket-memory.js';
import { checkEnvironment } from '../kernel/system.js';
import type { ProgramState, Source, SourceMissing } from '../kernel/source.js';
import { ByteWriter } from '../metrics/bytes.js';
import { buildInSlices, type Snapshot } from '../metrics/snapshot.js';
import { keepHeapSmall } from '../process/heap.js';
import { writePromFile } from '../sinks/prom-file.js';
import type { Connection, ConnectionSource } from '../sources/connection.js';
import { Files, PROM_FILE } from './files.js';
import { Intake } from './intake.js';
import type { RowSink } from './packet-rows.js';
import { lossCause, LossWarning } from './loss-warning.js';
import { openSources, programsOf, sourcesOf, type OpenSources } from './open-sources.js';
import { filterOf, namespacesOf, type CollectorOptions } from './options.js';
import { asksForNamespacesOnly } from '../sources/filter.js';
import { SynCookieCounts } from '../sources/netstat.js';
import { PulledConnections } from '../sources/pulled-connections.js';
import { RingLoop, type Look } from '../sources/ring-loop.js';
import type { RequestSummary } from './requests.js';
import { takeSnapshot } from './state.js';
import { SelfWatch } from './state/self.js';
import { NeverFalling } from './state/totals.js';
import type { Overflows } from './overflows.js';
import type { Traffic } from './traffic.js';
import { Urgency } from './urgency.js';

/** Connections turned into lines at once: 3 ms and, with -x, 1 MB. */
const SLICE = 256;

export interface CollectorHooks {
  /** One-sentence messages for the person at the terminal. */
  readonly say: (message: string) => void;
  /** A bug: nothing after it can be trusted, so the run ends in order. */
  readonly fail: (error: unknown) => void;
  /** Rows for standard output; null with --quiet. */
  readonly rows: RowSink | null;
}

/** What the run amounted to. */
export interface Summary {
  readonly seconds: number;
  readonly connections: number;
  /** Null: not all of them are told. */
  readonly packets: number | null;
  readonly faults: number;
  /** In the rings. */
  readonly lost: number;
  readonly written: ReadonlyMap<string, number>;
  /** What netwatch.prom says in the end. */
  readonly state: Snapshot;
  /** Failed writes of netwatch.prom, the last one too, by the name of the error. */
  readonly stateErrors: ReadonlyMap<string, number>;
  readonly traffic: Traffic;
  readonly overflows: Overflows;
  readonly requests: RequestSummary;
  /** Connections that are still open. */
  readonly open: readonly Connection[];
}

export class Collector {
  readonly #options: CollectorOptions;
  readonly #hooks: CollectorHooks;
  readonly #namespaces: readonly NetworkNamespace[];
  readonly #open: OpenSources;
  readonly #connections: ConnectionSource;
  readonly #clock = createClock();
  readonly #self = new SelfWatch();
  readonly #intake: Intake;
  readonly #pulled = new PulledConnections();
  /** netwatch.prom: as long each time, so that each needs no buffer of its own. */
  readonly #stateBytes = new ByteWriter(0);
  readonly #files: Files;
  readonly #counters = new NeverFalling();
  /** Namespaces that were complained about. */
  readonly #unreadable = new Set<string>();
  readonly #dropped = new Map<string, number>();
  /** Null where the filter asks for some connections: the kernel counts all of them together. */
  readonly #cookies: SynCookieCounts | null;
  readonly #lossWarning: LossWarning;
  readonly #memoryWarning: SocketMemoryWarning;
  readonly #urgency = new Urgency(new Priority());
  readonly #startMs = performance.now();
  readonly #loop: RingLoop;
  #pullTimer: NodeJS.Timeout | null = null;
  /** The pull under way. */
  #pulling: Promise<void> | null = null;
  #stopped = false;
  #pulls = 0;

  /** Attaches everything. Throws NetwatchError if it cannot; nothing is left attached then. */
  static async start(options: CollectorOptions, hooks: CollectorHooks): Promise<Collector> {
    checkEnvironment();
    keepHeapSmall();
    keepMemorySmall();
    const namespaces = namespacesOf(options);
    const filter = filterOf(options, namespaces);
    const files = await Files.open(options, hooks.say);
    let sources: OpenSources | null = null;
    try {
      sources = openSources(options, filter);
      const collector = new Collector(options, hooks, namespaces, files, {
        ...sources,
        cookies: asksForNamespacesOnly(filter) ? new SynCookieCounts() : null,
      });
      releaseKernelBtf();
      collector.#checkStrict();
      dropCapabilities({ root: process.getuid?.() === 0, listens: options.listen !== undefined });
      collector.#begin();
      return collector;
    } catch (error) {
      if (sources !== null) for (const source of sourcesOf(sources)) source.close();
      await files.close();
      throw error;
    }
  }

  private constructor(
    options: CollectorOptions,
    hooks: CollectorHooks,
    namespaces: readonly NetworkNamespace[],
    files: Files,
    { cookies, ...sources }: OpenSources & { readonly cookies: SynCookieCounts | null },
  ) {
    this.#options = options;
    this.#hooks = hooks;
    this.#namespaces = namespaces;
    this.#files = files;
    this.#lossWarning = new LossWarning(hooks.say, lossCause(options.simulateDrops));
    this.#memoryWarning = new SocketMemoryWarning(hooks.say);
    this.#open = sources;
    this.#cookies = cookies;
    this.#connections = sources.connections;
    this.#intake = new Intake(options, {
      ...sources,
      files,
      clock: this.#clock,
      rows: hooks.rows,
      fail: hooks.fail,
    });
    this.#loop = new RingLoop({
      sources: this.#intake.sources,
      look: () => this.#look(),
      fail: hooks.fail,
      lag: this.#self,
    });
  }

  get #sources(): Source[] {
    return sourcesOf(this.#open);
  }

  /** Every program asked for, and whether it is attached. */
  get programs(): ProgramState[] {
    return programsOf(this.#open);
  }

  /** Sources that this machine does not let be. */
  get missing(): readonly SourceMissing[] {
    return this.#open.missing;
  }

  #checkStrict(): void {
    const missing = this.programs.find(({ attached }) => !attached);
    if (missing === undefined || !this.#options.strict) return;
    const failure: Failure = {
      code: 'attach',
      program: missing.program,
      reason: missing.reason ?? 'unknown',
    };
    throw new NetwatchError(failure);
  }

  #begin(): void {
    this.#connections.seedOwners();
    this.#pull();
    this.#loop.start();
    this.#pullTimer = setInterval(() => {
      this.#pull();
    }, this.#options.interval * 1000);
  }

  /** When all is quiet there is little to do but look: each pull drains anyway. */
  #look(): Look {
    const fill = this.#intake.isIdle ? 0 : this.#intake.fill;
    this.#urgency.look(fill, performance.now());
    if (fill > 0) this.#intake.drain();
    return { fill, rest: fill === 0 ? 0 : this.#intake.fill };
  }

  /** Pulls all connections and writes the state file; a slow disk must not pile up pulls. */
  #pull(): void {
    if (this.#pulling !== null) return;
    this.#pulling = this.#pullOnce()
      .catch((error: unknown) => {
        this.#hooks.fail(error);
      })
      .finally(() => {
        this.#pulling = null;
      });
  }

  async #pullOnce(): Promise<void> {
    this.#intake.drain();
    this.#lossWarning.check(this.counts.lost);
    this.#memoryWarning.check(this.#sources);
    await this.#pullConnections();
    await this.#writeState();
    giveBackMemory();
    if (this.#pulls++ === 0) letGoOfFilePages();
  }

  /** In slices: 10,000 connections with -x are 36 MB of lines at first. */
  async #pullConnections(): Promise<void> {
    const { table } = this.#intake;
    table.beginDump();
    const pulled = this.#pulled;
    try {
      const paths = this.#namespacePaths();
      for (const path of paths) this.#dump(path);
      this.#cookies?.read(paths);
      // what happened before and while the pull ran comes first
      this.#intake.drain();
      for (let at = 0; at < pulled.count; at += SLICE) {
        const end = Math.min(at + SLICE, pulled.count);
        for (let i = at; i < end; i++) table.sampled(pulled.read(i));
        this.#intake.flushConnections();
        if (this.#stopped || end === pulled.count) continue;
        await this.#files.flushConnects();
        await nextTurn();
      }
    } finally {
      pulled.clear();
    }
    table.endDump();
  }

  /** A namespace may go away at any time, and entering one needs CAP_SYS_ADMIN. */
  #dump(path: string | null): void {
    try {
      this.#connections.pull(path, this.#pulled);
    } catch (error) {
      if (path === null || !(isErrnoException(error) || error instanceof NetwatchError))
        throw error;
      if (isErrnoException(error) && error.code === 'ENOENT') return;
      if (this.#unreadable.has(path)) return;
      this.#unreadable.add(path);
      this.#hooks.say(`connections of the namespace ${path} cannot be pulled: ${error.message}`);
    }
  }

  #namespacePaths(): (string | null)[] {
    if (this.#namespaces.length > 0) return this.#namespaces.map(({ path }) => path);
    try {
      return [...listNamespaces().values()];
    } catch {
      return [null];
    }
  }

  async #writeState(isOver = false): Promise<Snapshot> {
    const totals = this.#connections.totals();
    this.#intake.drainAll();
    const snapshot = takeSnapshot({
      totals,
      flows: this.#intake.table.flows,
      isOver,
      options: this.#options,
      ...this.#open,
      sources: this.#sources,
      programs: this.programs,
      entries: this.#intake.table.entries,
      present: this.#intake.table.present(),
      units: this.#intake.table.units,
      closedListeners: this.#intake.table.closedListeners,
      exchanges: this.#intake.exchanges,
      requests: this.#intake.requests,
      files: this.#files,
      self: this.#self,
      cookies: this.#cookies?.total() ?? null,
      counters: this.#counters,
      dropped: this.#dropped,
      undecoded: this.#intake.undecoded,
      httpRecords: this.#intake.httpRecords,
      droppedRows: this.#hooks.rows?.dropped ?? null,
      lastEventMs: this.#intake.lastEventMs,
    });
    const bytes = await buildInSlices(snapshot, undefined, this.#stateBytes);
    const result = await writePromFile(this.#options.data, PROM_FILE, bytes);
    if (!result.ok) this.#files.stateFailed(result.error);
    return snapshot;
  }

  /** Names of the files that records go to. */
  get logNames(): string[] {
    return [...this.#files.stats().keys()];
  }

  /** How often the rings were drained: grows as long as the collector lives. */
  get drains(): number {
    return this.#loop.looks;
  }

  /** Records read so far, for the status line. */
  get counts(): { readonly records: number; readonly lost: number } {
    const counts = this.#sources.map((source) => source.ringCounts());
    const lost = counts.reduce((sum, ring) => sum + ring.lost + ring.lostHttp, 0);
    const { packets, connections, faults } = this.#intake.counts;
    return { records: packets + connections + faults, lost };
  }

  /** Opens the log files anew, after an external rotation. */
  reopen(): void {
    this.#files.reopen();
  }

  /** Detaches, reads what is left, writes everything and returns the summary. */
  async stop(): Promise<Summary> {
    if (this.#stopped) throw new Error('stopped twice');
    this.#stopped = true;
    if (this.#pullTimer !== null) clearInterval(this.#pullTimer);
    this.#loop.stop();
    this.#open.faults?.source.detach();
    this.#intake.finishPackets(this.#namespacePaths());
    await this.#pulling;
    await this.#pullConnections();
    this.#connections.source.detach();
    this.#intake.drainAll();
    this.#intake.finishFaults();
    const lost = this.counts.lost;
    this.#memoryWarning.check(this.#sources);
    await this.#files.closeLogs();
    const state = await this.#writeState(true);
    await this.#files.close();
    const written = new Map(
      [...this.#files.stats()].map(([name, stats]) => [name, stats.written] as const),
    );
    for (const source of this.#sources) source.close();
    const { table } = this.#intake;
    table.addTraffic();
    const open = [...table.entries.values()].map(({ last }) => last);
    for (const one of open) table.closedListeners.overflows.add(one);
    return {
      seconds: (performance.now() - this.#startMs) / 1000,
      ...this.#intake.counts,
      ...(this.#options.packets === 'all' ? {} : { packets: null }),
      lost,
      written,
      state,
      stateErrors: this.#files.stateErrors,
      traffic: table.traffic,
      overflows: table.closedListeners.overflows,
      requests: this.#intake.requests,
      open,
    };
  }
}

function isErrnoException(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error;
}
