/** Reads everything that netwatch.prom shows and puts it together. */
import { programInfo } from '../kernel/program-info.js';
import type { ProgramState, Source } from '../kernel/source.js';
import { DEFAULT_CAP, Snapshot } from '../metrics/snapshot.js';
import type { ConnectionSource } from '../sources/connection.js';
import type { FaultSource } from '../sources/fault.js';
import type { PacketSource } from '../sources/packet.js';
import type { Entry } from './connection-table.js';
import type { Files } from './files.js';
import type { CollectorOptions, ConnectionsOptions, WatchedOptions } from './options.js';
import type { SelfWatch } from './self.js';
import * as state from './state-file.js';

export interface StateReadings {
  readonly options: WatchedOptions & ConnectionsOptions & Pick<CollectorOptions, 'interval'>;
  readonly connections: ConnectionSource;
  /** Null where this machine cannot have it. */
  readonly packets: PacketSource | null;
  readonly faults: FaultSource | null;
  readonly sources: readonly Source[];
  /** All that were asked for. */
  readonly programs: readonly ProgramState[];
  readonly entries: ReadonlyMap<number, Entry>;
  readonly files: Files;
  readonly self: SelfWatch;
  /** Kept from one snapshot to the next. */
  readonly counters: state.NeverFalling;
  readonly dropped: Map<string, number>;
  readonly lastEventMs: number;
  readonly undecoded: number;
  /** Rows that the reader of standard output was too slow for; null with --quiet. */
  readonly droppedRows: number | null;
}

export function takeSnapshot(from: StateReadings): Snapshot {
  const { extra, http, retrans, time, maxConnections } = from.options;
  const cap = Math.max(DEFAULT_CAP, maxConnections);
  const snapshot = new Snapshot({ cap, dropped: from.dropped });
  // Totals before the live connections: see NeverFalling.
  const totals = from.connections.totals();
  const live = state.sumLive(from.entries.values());
  state.addConnectionTotals(snapshot, totals, live, from.counters);
  if (retrans) state.addRetransmits(snapshot, from.connections.retransmits());
  if (from.packets !== null) addPackets(snapshot, from.packets, { http, time });
  if (from.faults !== null) {
    const totals = from.faults.totals();
    state.addFaults(snapshot, totals);
    state.addMaps(snapshot, [reading(from.faults.source, 'fault_totals', totals.length)]);
  }
  state.addSockets(snapshot, from.entries.values());
  if (extra || retrans) addConnections(snapshot, from);
  addHealth(snapshot, from);
  const lost = 'netwatch_events_lost_total';
  snapshot.add(lost, { source: 'packet', stage: 'decode' }, from.undecoded);
  if (from.droppedRows !== null)
    snapshot.add(lost, { source: 'stdout', stage: 'queue' }, from.droppedRows);
  return snapshot;
}

function addPackets(
  snapshot: Snapshot,
  packets: PacketSource,
  { http, time }: Pick<WatchedOptions, 'http' | 'time'>,
): void {
  if (time) state.addLayers(snapshot, packets.layers());
  if (!http) return;
  const durations = packets.httpDurations();
  state.addHttp(snapshot, durations);
  state.addMaps(snapshot, [reading(packets.source, 'http_durations', durations.length)]);
  state.addHttpHealth(snapshot, packets.httpTotals());
}

function addConnections(snapshot: Snapshot, { options, entries, dropped }: StateReadings): void {
  const [shown, left] = state.busiest(entries.values(), options.maxConnections);
  state.addConnections(snapshot, shown, { extra: options.extra, retrans: options.retrans });
  const family = 'netwatch_connection_info';
  if (left > 0) dropped.set(family, (dropped.get(family) ?? 0) + left);
}

function addHealth(
  snapshot: Snapshot,
  { options, sources, programs, files, self, lastEventMs }: StateReadings,
): void {
  state.addPrograms(
    snapshot,
    programs.map((program) => ({
      state: program,
      info: program.fd >= 0 ? programInfo(program.fd) : null,
    })),
  );
  state.addRings(snapshot, sources.map(ringReading));
  state.addFiles(snapshot, files.stats());
  for (const [errno, count] of files.stateErrors)
    snapshot.add('netwatch_file_write_errors_total', { file: 'netwatch.prom', errno }, count);
  snapshot.add('netwatch_collection_interval_seconds', {}, options.interval);
  snapshot.add('netwatch_last_event_timestamp_seconds', {}, lastEventMs / 1000);
  self.add(snapshot);
}

function reading(source: Source, map: string, entries: number): state.MapReading {
  return { map, entries, capacity: source.map(map).maxEntries };
}

function ringReading(source: Source): state.RingReading {
  return {
    source: source.name,
    counts: source.ringCounts(),
    usedBytes: source.ring.used,
    capacityBytes: source.ring.size,
  };
}
