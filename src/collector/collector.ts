/**
 * The collector: opens the sources that the options ask for, drains them on a
 * short adaptive timer, pulls state once per interval, and writes the files.
 */
import { createClock } from '../kernel/clock.js';
import { NetwatchError, type Failure } from '../kernel/errors.js';
import { listNamespaces, type NetworkNamespace } from '../kernel/host.js';
import { releaseKernelBtf } from '../kernel/kernel-btf.js';
import { checkEnvironment } from '../kernel/system.js';
import type { ProgramState, Source } from '../kernel/source.js';
import { ByteWriter } from '../metrics/bytes.js';
import { buildInSlices } from '../metrics/snapshot.js';
import { writePromFile } from '../sinks/prom-file.js';
import { ConnectionSource, type Connection } from '../sources/connection.js';
import { FaultSource } from '../sources/fault.js';
import { isPacket, PacketSource } from '../sources/packet.js';
import { ConnectionTable } from './connection-table.js';
import { faultLine } from './fault-lines.js';
import { Files, PROM_FILE } from './files.js';
import { HttpHeads } from './http-heads.js';
import { LossWarning } from './loss-warning.js';
import { filterOf, namespacesOf, type CollectorOptions } from './options.js';
import { PacketText } from './packet-lines.js';
import { SelfWatch } from './self.js';
import { takeSnapshot } from './state.js';
import { NeverFalling } from './state-file.js';

/** Wait between drains while records come, and while none do, in ms. */
const BUSY_MS = 10;
const IDLE_MS = 50;
/** 6,000 connection records, 10,000 drops: more than come between two drains. */
const CONNECTION_RING_BYTES = 1 << 21;
const FAULT_RING_BYTES = 1 << 20;

export interface CollectorHooks {
  /** One-sentence messages for the person at the terminal. */
  readonly say: (message: string) => void;
  /** A bug: nothing after it can be trusted, so the run ends in order. */
  readonly fail: (error: unknown) => void;
  /** Rows for standard output; null with --quiet. */
  readonly rows: ((bytes: Uint8Array, rows: number) => void) | null;
}

/** What the run amounted to. */
export interface Summary {
  readonly seconds: number;
  readonly connections: number;
  readonly packets: number;
  readonly faults: number;
  readonly lost: number;
  readonly written: ReadonlyMap<string, number>;
}

export class Collector {
  readonly #options: CollectorOptions;
  readonly #hooks: CollectorHooks;
  readonly #namespaces: readonly NetworkNamespace[];
  readonly #connections: ConnectionSource;
  readonly #packets: PacketSource;
  readonly #faults: FaultSource | null;
  readonly #clock = createClock();
  readonly #self = new SelfWatch();
  readonly #table: ConnectionTable;
  readonly #text: PacketText;
  readonly #heads = new HttpHeads();
  readonly #connectLines = new ByteWriter(1 << 16);
  readonly #faultLines = new ByteWriter(1 << 14);
  readonly #files: Files;
  readonly #counters = new NeverFalling();
  /** Namespaces that were complained about. */
  readonly #unreadable = new Set<string>();
  readonly #dropped = new Map<string, number>();
  readonly #lossWarning: LossWarning;
  readonly #startMs = performance.now();
  #lastEventMs = 0;
  #packetCount = 0;
  #undecoded = 0;
  #writing = false;
  #connectionCount = 0;
  #faultCount = 0;
  #drainTimer: NodeJS.Timeout | NodeJS.Immediate | null = null;
  #pullTimer: NodeJS.Timeout | null = null;
  #pulling: Promise<void> = Promise.resolve();
  #stopped = false;

  /** Attaches everything. Throws NetwatchError if it cannot; nothing is left attached then. */
  static async start(options: CollectorOptions, hooks: CollectorHooks): Promise<Collector> {
    checkEnvironment();
    const namespaces = namespacesOf(options);
    const filter = filterOf(options, namespaces);
    const files = await Files.open(options, hooks.say);
    const opened: { source: Source }[] = [];
    const keep = <T extends { source: Source }>(source: T): T => {
      opened.push(source);
      return source;
    };
    try {
      const connections = keep(
        new ConnectionSource({
          filter,
          retransmits: options.retrans,
          ringBytes: CONNECTION_RING_BYTES,
        }),
      );
      const packets = keep(
        new PacketSource({
          filter,
          time: options.time,
          http: options.http,
          ringBytes: options.ring,
        }),
      );
      const faults = options.err ? keep(new FaultSource(filter, FAULT_RING_BYTES)) : null;
      const collector = new Collector(options, hooks, namespaces, files, {
        connections,
        packets,
        faults,
      });
      releaseKernelBtf();
      collector.#checkStrict();
      collector.#begin();
      return collector;
    } catch (error) {
      for (const { source } of opened) source.close();
      await files.close();
      throw error;
    }
  }

  private constructor(
    options: CollectorOptions,
    hooks: CollectorHooks,
    namespaces: readonly NetworkNamespace[],
    files: Files,
    sources: { connections: ConnectionSource; packets: PacketSource; faults: FaultSource | null },
  ) {
    this.#options = options;
    this.#hooks = hooks;
    this.#namespaces = namespaces;
    this.#files = files;
    this.#lossWarning = new LossWarning(hooks.say);
    this.#connections = sources.connections;
    this.#packets = sources.packets;
    this.#faults = sources.faults;
    const toWallMs = (ns: number): number => this.#clock.toWallMs(ns);
    this.#table = new ConnectionTable(
      { all: options.all, extra: options.extra, retransmits: options.retrans },
      this.#connectLines,
      toWallMs,
    );
    this.#text = new PacketText(
      { labels: { times: options.time, http: options.http }, rows: hooks.rows !== null },
      new ByteWriter(1 << 20),
      new ByteWriter(1 << 20),
      toWallMs,
      (view, at) => this.#heads.take(view, at),
    );
  }

  get #sources(): Source[] {
    const sources = [this.#connections.source, this.#packets.source];
    return this.#faults === null ? sources : [...sources, this.#faults.source];
  }

  /** Every program asked for, and whether it is attached. */
  get programs(): ProgramState[] {
    return this.#sources.flatMap(({ programs }) => programs);
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
    this.#scheduleDrain(0);
    this.#pullTimer = setInterval(() => {
      try {
        this.#pull();
      } catch (error) {
        this.#hooks.fail(error);
      }
    }, this.#options.interval * 1000);
  }

  #scheduleDrain(delayMs: number): void {
    this.#self.expect(delayMs);
    this.#drainTimer = setTimeout(() => {
      this.#self.arrived();
      try {
        const taken = this.#drain();
        this.#scheduleDrain(taken > 0 ? BUSY_MS : IDLE_MS);
      } catch (error) {
        this.#hooks.fail(error);
      }
    }, delayMs);
  }

  /** Moves what is in the rings to the files; returns the number of records. */
  #drain(): number {
    this.#clock.refresh();
    let taken = this.#connections.drain((record) => {
      if (record.kind === 'open') this.#table.opened(record.connection);
      else if (record.kind === 'close') this.#table.closed(record.connection);
      else this.#table.owned(record.owner);
      if (record.kind === 'close') this.#connectionCount++;
    });
    this.#flushConnections();
    taken += this.#drainPackets();
    if (this.#faults !== null) taken += this.#drainFaults(this.#faults);
    if (taken > 0) this.#lastEventMs = Date.now();
    return taken;
  }

  #flushConnections(): void {
    const lines = this.#table.takeLines();
    if (lines > 0) this.#files.connects.write(this.#connectLines.view(), lines);
    this.#connectLines.reset();
  }

  #drainPackets(): number {
    let records = 0;
    const taken = this.#packets.drain((view, places, count) => {
      for (let i = 0; i < count; i++) {
        const at = places[i]!;
        if (!isPacket(view, at)) {
          this.#heads.add(view, at);
          continue;
        }
        const { lines, rows } = this.#text;
        const [lineEnd, rowEnd] = [lines.length, rows.length];
        try {
          this.#text.add(view, at);
          records++;
        } catch (error) {
          // A bug. What is whole is written, the record is counted, the run ends.
          lines.length = lineEnd;
          rows.length = rowEnd;
          this.#undecoded++;
          this.#hooks.fail(error);
        }
      }
    });
    if (records > 0) {
      this.#packetCount += records;
      this.#files.packets.write(this.#text.lines.view(), records);
      if (this.#text.rows.length > 0) this.#hooks.rows?.(this.#text.rows.view(), records);
    }
    this.#text.lines.reset();
    this.#text.rows.reset();
    return taken;
  }

  #drainFaults(faults: FaultSource): number {
    const taken = faults.drain((record) => {
      faultLine(this.#faultLines, record, this.#clock.toWallMs(record.tsNs));
    });
    this.#faultCount += taken;
    if (taken > 0) this.#files.err?.write(this.#faultLines.view(), taken);
    this.#faultLines.reset();
    return taken;
  }

  /** Pulls all connections and writes the state file; one pull at a time. */
  #pull(): void {
    this.#drain();
    this.#lossWarning.check(this.counts.lost);
    this.#pullConnections();
    this.#flushConnections();
    // A slow disk must not pile up writes: this pull goes without.
    if (this.#writing) return;
    this.#pulling = this.#pulling
      .then(() => this.#writeState())
      .catch((error: unknown) => {
        this.#hooks.fail(error);
      });
  }

  #pullConnections(): void {
    this.#table.beginDump();
    const samples: Connection[] = [];
    for (const path of this.#namespacePaths()) this.#dump(path, samples);
    // what happened before and while the pull ran comes first
    this.#drain();
    for (const sample of samples) this.#table.sampled(sample);
    this.#table.endDump();
  }

  /** A namespace may go away at any time, and entering one needs CAP_SYS_ADMIN. */
  #dump(path: string | null, samples: Connection[]): void {
    try {
      this.#connections.dump(path, (connection) => {
        samples.push(connection);
      });
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

  async #writeState(): Promise<void> {
    this.#writing = true;
    try {
      await this.#writeStateFile();
    } finally {
      this.#writing = false;
    }
  }

  async #writeStateFile(): Promise<void> {
    const snapshot = takeSnapshot({
      options: this.#options,
      connections: this.#connections,
      packets: this.#packets,
      faults: this.#faults,
      sources: this.#sources,
      entries: this.#table.entries,
      files: this.#files,
      self: this.#self,
      counters: this.#counters,
      dropped: this.#dropped,
      undecoded: this.#undecoded,
      lastEventMs: this.#lastEventMs,
    });
    const bytes = await buildInSlices(snapshot);
    const result = await writePromFile(this.#options.data, PROM_FILE, bytes);
    if (!result.ok) this.#files.stateFailed(result.error);
  }

  /** Records read so far, for the status line. */
  get counts(): { readonly records: number; readonly lost: number } {
    const lost = this.#sources.reduce((sum, source) => sum + source.ringCounts().lost, 0);
    return { records: this.#packetCount + this.#connectionCount + this.#faultCount, lost };
  }

  /** Opens the log files anew, after an external rotation. */
  reopen(): void {
    this.#files.reopen();
  }

  /** Packets whose last time will not come any more get their lines without it. */
  #finishPackets(): void {
    this.#packets.stopWatching();
    while (this.#drain() > 0);
    for (const path of this.#namespacePaths()) {
      try {
        this.#packets.flushUnread(path);
      } catch {
        // the namespace is gone, and its sockets with it
      }
    }
    let records = 0;
    this.#packets.unsent((view, at) => {
      this.#text.add(view, at);
      records++;
    });
    this.#packetCount += records;
    if (records > 0) this.#files.packets.write(this.#text.lines.view(), records);
    this.#text.lines.reset();
    this.#text.rows.reset();
  }

  /** Detaches, reads what is left, writes everything and returns the summary. */
  async stop(): Promise<Summary> {
    if (this.#stopped) throw new Error('stopped twice');
    this.#stopped = true;
    if (this.#pullTimer !== null) clearInterval(this.#pullTimer);
    clearTimeout(this.#drainTimer as NodeJS.Timeout);
    this.#faults?.source.detach();
    this.#finishPackets();
    while (this.#drain() > 0);
    this.#pull();
    this.#connections.source.detach();
    while (this.#drain() > 0);
    await this.#pulling;
    const lost = this.counts.lost;
    await this.#files.closeLogs();
    await this.#writeState();
    await this.#files.close();
    const written = new Map(
      [...this.#files.stats()].map(([name, stats]) => [name, stats.written] as const),
    );
    for (const source of this.#sources) source.close();
    return {
      seconds: (performance.now() - this.#startMs) / 1000,
      connections: this.#connectionCount,
      packets: this.#packetCount,
      faults: this.#faultCount,
      lost,
      written,
    };
  }
}

function isErrnoException(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error;
}
