/** Reads everything that netwatch.prom shows and puts it together. */
import type { ProgramState, Source } from '../kernel/source.js';
import { DEFAULT_CAP, Snapshot } from '../metrics/snapshot.js';
import type { ConnectionTotals } from '../generated/connection.js';
import type { ConnectionSource } from '../sources/connection.js';
import type { FaultSource } from '../sources/fault.js';
import type { FlowTable } from '../sources/flows.js';
import type { HttpExchanges } from '../sources/http-exchanges.js';
import type { SynCookies } from '../sources/netstat.js';
import type { PacketSource } from '../sources/packet.js';
import type { Entry } from './connection-table.js';
import { PROM_FILE, type Files } from './files.js';
import type { ClosedListeners } from './closed-listeners.js';
import type { CollectorOptions, ConnectionsOptions, WatchedOptions } from './options.js';
import type { Requests } from './requests.js';
import { addConnections, busiest } from './state/each-connection.js';
import { addFaults } from './state/faults.js';
import { addFlows } from './state/flows.js';
import { addFiles, addIntake, addStateErrors, type IntakeReading } from './state/files.js';
import { addHttp, addHttpHealth } from './state/http.js';
import { addLayers } from './state/packets.js';
import { addRequestDurations, addRequests } from './state/requests.js';
import {
  addMaps,
  addPrograms,
  addRings,
  addStorages,
  type MapReading,
  type RingReading,
  type StorageReading,
} from './state/programs.js';
import type { SelfWatch } from './state/self.js';
import { addCookies, addListeners } from './state/listeners.js';
import { addLeftBehind } from './state/left-behind.js';
import { addSockets } from './state/sockets.js';
import { addUnits } from './state/units.js';
import type { UnitTotals } from './state/unit-totals.js';
import { addConnectionTotals, addRetransmits, sumLive, type NeverFalling } from './state/totals.js';

export interface StateReadings extends Omit<IntakeReading, 'intervalSeconds'> {
  readonly options: WatchedOptions & ConnectionsOptions & Pick<CollectorOptions, 'interval'>;
  readonly connections: ConnectionSource;
  /**
   * Read before the last look at the rings: what has closed in between is in the entries no more, and
   * in these totals the next time. See NeverFalling.
   */
  readonly totals: ConnectionTotals;
  readonly flows: FlowTable;
  /** Nothing is attached any more, and every record has been read. */
  readonly isOver: boolean;
  /** Null where this machine cannot have it. */
  readonly packets: PacketSource | null;
  readonly faults: FaultSource | null;
  readonly exchanges: HttpExchanges;
  readonly requests: Requests;
  readonly sources: readonly Source[];
  /** All that were asked for. */
  readonly programs: readonly ProgramState[];
  readonly entries: ReadonlyMap<number, Entry>;
  /** Of the entries those that are open for sure. */
  readonly present: Iterable<Entry>;
  readonly closedListeners: ClosedListeners;
  readonly units: UnitTotals;
  readonly files: Files;
  readonly self: SelfWatch;
  /** Null where a filter asks for some connections. */
  readonly cookies: SynCookies | null;
  /** Kept from one snapshot to the next. */
  readonly counters: NeverFalling;
  /** Records of HTTP messages that were read; they are in the ring of the packets. */
  readonly httpRecords: number;
  readonly dropped: Map<string, number>;
}

export function takeSnapshot(from: StateReadings): Snapshot {
  const { extra, http, retrans, time, maxConnections } = from.options;
  const cap = Math.max(DEFAULT_CAP, maxConnections);
  const snapshot = new Snapshot({ cap, dropped: from.dropped });
  const live = sumLive(from.present, from.packets?.timeWaitSegments());
  from.flows.endInterval();
  addConnectionTotals(snapshot, from.totals, live, from.counters, from.flows.total);
  from.flows.reconcile(
    {
      sent: from.counters.of('bytes transmit'),
      received: from.counters.of('bytes receive'),
    },
    { lost: from.connections.source.ringCounts().lost, isOver: from.isOver },
  );
  addFlows(snapshot, from.flows);
  if (retrans) addRetransmits(snapshot, from.connections.retransmits());
  if (from.packets !== null) addPackets(snapshot, from.packets, from, { http, time });
  if (from.faults !== null) {
    const totals = from.faults.totals();
    addFaults(snapshot, totals);
    addMaps(snapshot, [reading(from.faults.source, 'fault_totals', totals.length)]);
  }
  if (from.cookies !== null) addCookies(snapshot, from.cookies);
  addSockets(snapshot, from.entries.values());
  addLeftBehind(snapshot, from.entries.values());
  addListeners(snapshot, from.entries.values(), {
    overflows: hasOverflows(from) ? from.closedListeners : null,
  });
  addUnits(snapshot, from.units, http);
  if (extra || retrans) addBusiest(snapshot, from);
  addHealth(snapshot, from);
  addIntake(snapshot, { ...from, intervalSeconds: from.options.interval });
  return snapshot;
}

/** They are counted with -e, where the kernel lets their program be. */
const hasOverflows = ({ faults }: StateReadings): boolean =>
  faults?.source.programs.some((it) => it.program === 'listener_ingress' && it.attached) ?? false;

function addPackets(
  snapshot: Snapshot,
  packets: PacketSource,
  { exchanges, requests }: Pick<StateReadings, 'exchanges' | 'requests'>,
  { http, time }: Pick<WatchedOptions, 'http' | 'time'>,
): void {
  if (time) addLayers(snapshot, packets.layers());
  if (!http) return;
  const durations = packets.httpDurations();
  exchanges.takeOver(durations);
  addHttp(snapshot, exchanges.counts());
  addRequestDurations(snapshot, requests.durations);
  addRequests(snapshot, requests.counts, requests.forgottenLines);
  addMaps(snapshot, [reading(packets.source, 'http_durations', durations.length)]);
  addHttpHealth(snapshot, packets.httpTotals(), packets.seesHttpEnds);
}

function addBusiest(snapshot: Snapshot, { options, entries, dropped }: StateReadings): void {
  const [shown, left] = busiest(entries.values(), options.maxConnections);
  addConnections(snapshot, shown, { extra: options.extra, retrans: options.retrans });
  const family = 'netwatch_connection_info';
  if (left > 0) dropped.set(family, (dropped.get(family) ?? 0) + left);
}

function addHealth(snapshot: Snapshot, readings: StateReadings): void {
  const { options, sources, programs, files, self, httpRecords } = readings;
  addPrograms(
    snapshot,
    programs.map((program) => ({
      state: program,
      info: program.info(),
    })),
  );
  addRings(snapshot, sources.map(ringReading), options.http ? httpRecords : null);
  addStorages(snapshot, sources.flatMap(storageReading));
  addFiles(snapshot, files.stats());
  addStateErrors(snapshot, PROM_FILE, files.stateErrors);
  self.add(snapshot);
}

function reading(source: Source, map: string, entries: number): MapReading {
  return { map, entries, capacity: source.map(map).maxEntries };
}

function storageReading(source: Source): StorageReading[] {
  const counts = { socket_memory: source.storageFailures(), map_full: source.tableFailures() };
  return (['socket_memory', 'map_full'] as const).flatMap((stage) => {
    const failures = counts[stage];
    return failures === null ? [] : [{ source: source.name, stage, failures }];
  });
}

function ringReading(source: Source): RingReading {
  return {
    source: source.name,
    counts: source.ringCounts(),
    usedBytes: source.ring.unread,
    capacityBytes: source.ring.size,
  };
}
