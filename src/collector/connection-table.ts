/**
 * The connections that are open now, and the lines of connects.log: lines at
 * open, at close and in between, for what ValueNews finds worth one.
 */
import { formatAddress } from '../metrics/address.js';
import type { ByteWriter } from '../metrics/bytes.js';
import type { ConnectionLabels } from '../metrics/exposition.js';
import { logLine } from '../metrics/lines.js';
import type { ConnectionEventKind } from '../metrics/ndjson.js';
import {
  KeptConnection,
  OWNER_SOURCE,
  ROLE,
  type ConnectionOwner,
} from '../generated/connection.js';
import { RowStore } from '../kernel/rows.js';
import type { CgroupNames, NamesOf } from '../sources/cgroup-names.js';
import type { Connection } from '../sources/connection.js';
import { payloadReceived } from '../sources/payload.js';
import { FlowTable } from '../sources/flows.js';
import {
  connectionState,
  TCP_CLOSE,
  TCP_LISTEN,
  TCP_SYN_RECV,
  TCP_SYN_SENT,
  type ConnectionState,
} from '../sources/tcp-states.js';
import { ClosedListeners } from './closed-listeners.js';
import { awaitsAccept, isOther, ownerFields, ownerToKeep } from './same-connection.js';
import { StateNews, ValueNews, type ConnectLines, type Look } from './connection-news.js';
import { endsOf, infoLabels, labelsOf } from './state/connection-labels.js';
import {
  congestionState,
  durationSeconds,
  LISTENER_VALUES,
  payloadSent,
  valuesOf,
  type ConnectionValue,
} from './state/connection-values.js';
import type { ProcessNames } from './process-names.js';
import { bytesOf, Traffic } from './traffic.js';
import { addedBefore, addToUnit, isFailed, UnitTotals, type Added } from './state/unit-totals.js';

export interface ConnectionTableOptions {
  /** -a: also closed and failed connections and listening sockets. */
  readonly all: boolean;
  /** -x */
  readonly extra: boolean;
  /** -r */
  readonly retrans: boolean;
  /** Which values get a line. */
  readonly connects: ConnectLines;
}

/** One open connection as last seen. */
export interface Entry {
  readonly src: string;
  readonly dst: string;
  readonly last: KeptConnection;
  /** Of the cgroup in `last`. */
  names: CgroupNames | null;
  readonly values: ValueNews;
  readonly state: StateNews<ConnectionState>;
  readonly congestion: StateNews<string>;
  infoWritten: boolean;
  /** Of its payload both ways: what was before netwatch saw it, or is in {@link Traffic}. */
  addedBytes: number;
  /** Of what it has done, what is in {@link UnitTotals}. */
  readonly added: Added;
  /** Payload bytes both ways since the last but one look, for "busiest". */
  recentBytes: number;
  /** Number of the dump that saw it last. */
  seen: number;
  /** The last pull that has found it. */
  found: number;
}

/** Told what the lines say, to make one event of those that belong together (--ndjson). */
export interface ConnectionEvents {
  /** The line with owner and ends was written. */
  told(): void;
  changed(field: string, value: string | number): void;
  /** Nothing more comes of this look at the connection. */
  end(kind: ConnectionEventKind, entry: Entry, timestampMs: number): void;
}

type ConnectionFamily = ConnectionValue['family'] | 'netwatch_connection_duration_seconds';

const FAMILY_PREFIX = 'netwatch_connection_';

/** A connection that two dumps in a row have not shown is gone, its close lost. */
const MISSED_DUMPS = 2;

/** With the others, and in both directions, 500 series. */
const FLOW_LIMITS = { named: 249, perInterval: 16_384 };

export class ConnectionTable {
  readonly entries = new Map<number, Entry>();
  readonly traffic = new Traffic();
  readonly units = new UnitTotals();
  readonly flows = new FlowTable(FLOW_LIMITS);
  readonly closedListeners = new ClosedListeners();
  readonly #options: ConnectionTableOptions;
  readonly #values: readonly ConnectionValue[];
  readonly #kept = KeptConnection.store();
  readonly #said: RowStore;
  /** Of the entry whose lines are being written. */
  #labelled: { readonly entry: Entry; readonly labels: ConnectionLabels } | null = null;
  readonly #out: ByteWriter;
  readonly #toWallMs: (ns: number) => number;
  readonly #events: ConnectionEvents | null;
  readonly #names: ProcessNames | null;
  readonly #namesOf: NamesOf;
  readonly #listening = new Set<number>();
  /** Closed since the last pull began: socket and time. */
  readonly #closed = new Map<number, number>();
  #dumps = 0;
  #lines = 0;

  constructor(
    options: ConnectionTableOptions,
    out: ByteWriter,
    toWallMs: (monotonicNs: number) => number,
    events: ConnectionEvents | null = null,
    names: ProcessNames | null = null,
    namesOf: NamesOf = () => null,
  ) {
    this.#namesOf = namesOf;
    this.#options = options;
    this.#out = out;
    this.#toWallMs = toWallMs;
    this.#events = events;
    this.#names = names;
    this.#values = valuesOf(options);
    this.#said = new RowStore(this.#values.length, 0);
  }

  /** Lines written to the buffer since the last call. */
  takeLines(): number {
    const lines = this.#lines;
    this.#lines = 0;
    return lines;
  }

  opened(connection: Connection): void {
    const known = this.entries.get(connection.sock)?.last;
    // A pull has shown it later than it opened: nothing here is news.
    if (known !== undefined && known.tsNs > connection.tsNs && !isOther(known, connection)) return;
    this.#end('open', this.#update(connection, 'open'));
  }

  /** `how` it got its process: from accept(), or from the one before. */
  owned(owner: ConnectionOwner, how: 'accept' | 'handover' = 'accept'): void {
    const entry = this.entries.get(owner.sock);
    if (entry === undefined) return;
    const { last } = entry;
    if (entry.infoWritten && last.pid === owner.pid && last.comm === owner.comm) return;
    const { NW_OWNER_ACCEPT, NW_OWNER_USER } = OWNER_SOURCE;
    last.merge(ownerFields(owner, how === 'accept' ? NW_OWNER_ACCEPT : NW_OWNER_USER));
    this.#name(entry);
    addToUnit(this.units, entry);
    this.#names?.note(entry.last, entry.src, entry.dst);
    this.#writeInfo(entry, owner.tsNs);
    this.#events?.end(how, entry, this.#toWallMs(owner.tsNs));
  }

  /** A process has it that the filter does not ask for: not a word of it any more. */
  left(sock: number): void {
    const entry = this.entries.get(sock);
    if (entry === undefined) return;
    this.#addTraffic(entry);
    this.flows.left(sock);
    this.#remove(sock);
  }

  closed(connection: Connection): void {
    if (isFailed(connection) && !this.#options.all) {
      this.#names?.note(connection, ...endsOf(connection));
      const met = this.entries.get(connection.sock);
      const added = met && !isOther(met.last, connection) ? met.added : addedBefore(connection);
      addToUnit(this.units, { last: connection, names: this.#namesOf(connection.cgroup), added });
      this.#remove(connection.sock);
      this.#closed.set(connection.sock, connection.tsNs);
      return;
    }
    const entry = this.#update(connection, 'close');
    this.flows.closed(entry.last, entry.names);
    const duration = durationSeconds(connection);
    if (this.#options.extra && duration !== null)
      this.#line('netwatch_connection_duration_seconds', entry, duration, connection.tsNs);
    this.#end('close', entry);
    this.#addTraffic(entry);
    this.#remove(connection.sock);
    this.#closed.set(connection.sock, connection.tsNs);
  }

  unlistened(listener: Connection): void {
    const known = this.entries.get(listener.sock)?.last;
    const owner = known && !isOther(known, listener) ? ownerToKeep(known, listener) : null;
    const last = { ...listener, ...owner };
    this.closedListeners.add({ last, names: this.#namesOf(last.cgroup) });
    this.#remove(listener.sock);
    this.#closed.set(listener.sock, listener.tsNs);
  }

  /** What open connections have moved counts too: at the end. */
  addTraffic(): void {
    for (const entry of this.entries.values()) this.#addTraffic(entry);
  }

  #addTraffic(entry: Entry): void {
    const bytes = bytesOf(entry.last);
    this.traffic.add(entry.last, bytes - entry.addedBytes);
    entry.addedBytes = bytes;
  }

  /** Begins a pull of iter/tcp: each connection it shows goes to {@link sampled}. */
  beginDump(): void {
    this.#dumps++;
    this.#names?.age();
    this.#listening.clear();
    this.#closed.clear();
  }

  sampled(sample: Connection): void {
    if (sample.state === TCP_CLOSE || this.#isOvertaken(sample)) return;
    const known = this.entries.get(sample.sock);
    if (known !== undefined && known.last.tsNs > sample.tsNs) {
      known.seen = known.found = this.#dumps;
      return;
    }
    if (sample.state === TCP_LISTEN) this.#listening.add(sample.localPort);
    const connection = this.#withRole(sample);
    const bytes = (c: Connection): number => payloadSent(c) + payloadReceived(c);
    const before = this.entries.get(connection.sock);
    const had = before === undefined ? 0 : bytes(before.last);
    const entry = this.#update(connection, 'sample');
    this.flows.sampled(entry.last, entry.names);
    this.#end('sample', entry);
    entry.recentBytes = bytes(connection) - (before === entry ? had : 0);
    entry.seen = entry.found = this.#dumps;
  }

  /** Records that came while the pull ran know more. */
  #isOvertaken({ sock, tsNs }: Connection): boolean {
    return (this.#closed.get(sock) ?? 0) >= tsNs;
  }

  /**
   * Which side a connection is that opened before netwatch started: the server
   * if somebody listens on its port. iter/tcp shows listening sockets first.
   */
  #withRole(connection: Connection): Connection {
    if (connection.role !== ROLE.NW_ROLE_UNKNOWN) return connection;
    const before = this.entries.get(connection.sock)?.last;
    // The listener may be gone by now.
    if (
      before !== undefined &&
      !isOther(before, connection) &&
      before.role !== ROLE.NW_ROLE_UNKNOWN
    )
      return { ...connection, role: before.role };
    const server = this.#listening.has(connection.localPort);
    return { ...connection, role: server ? ROLE.NW_ROLE_SERVER : ROLE.NW_ROLE_CLIENT };
  }

  /** Ends a pull that has seen all namespaces: what is no longer there goes. */
  endDump(): void {
    for (const [sock, entry] of this.entries) {
      if (this.#dumps - entry.seen < MISSED_DUMPS) continue;
      this.closedListeners.add({ ...entry, last: entry.last.read() });
      this.#remove(sock);
    }
  }

  /** Those that the last pull has found: of others the record that they have closed may be lost. */
  *present(): IterableIterator<Entry> {
    for (const entry of this.entries.values()) if (entry.found === this.#dumps) yield entry;
  }

  #remove(sock: number): void {
    const entry = this.entries.get(sock);
    if (entry === undefined) return;
    this.entries.delete(sock);
    entry.last.release();
    entry.values.release();
    this.#labelled = null;
  }

  #update(connection: Connection, look: Look): Entry {
    let entry = this.entries.get(connection.sock);
    if (entry === undefined || isOther(entry.last, connection)) {
      this.#remove(connection.sock);
      entry = this.#create(connection);
      this.entries.set(connection.sock, entry);
    } else {
      const owner = ownerToKeep(entry.last, connection);
      entry.last.set(connection);
      if (owner !== null) entry.last.merge(owner);
    }
    this.#name(entry);
    if (look === 'close' || !awaitsAccept(entry.last)) addToUnit(this.units, entry);
    this.#names?.note(entry.last, entry.src, entry.dst);
    if (this.#isReported(connection)) this.#write(entry, look);
    return entry;
  }

  #name(entry: Entry): void {
    entry.names = this.#namesOf(entry.last.cgroup);
  }

  /** Without -a only what is or was established; -x adds the queues of listening sockets. */
  #isReported({ state }: Connection): boolean {
    const { all, extra } = this.#options;
    if (state === TCP_LISTEN) return all || extra;
    return all || (state !== TCP_SYN_SENT && state !== TCP_SYN_RECV);
  }

  #create(connection: Connection): Entry {
    const { connects } = this.#options;
    const [src, dst] = endsOf(connection);
    return {
      src,
      dst,
      last: new KeptConnection(this.#kept, connection),
      names: null,
      values: new ValueNews(connects, this.#said, this.#values.length),
      state: new StateNews(connects),
      congestion: new StateNews(connects),
      infoWritten: false,
      addedBytes: connection.openNs === null ? bytesOf(connection) : 0,
      added: addedBefore(connection),
      recentBytes: 0,
      seen: this.#dumps,
      found: -1,
    };
  }

  #end(kind: ConnectionEventKind, entry: Entry): void {
    this.#events?.end(kind, entry, this.#toWallMs(entry.last.tsNs));
  }

  #write(entry: Entry, look: Look): void {
    const { last } = entry;
    if (!entry.infoWritten && (look === 'close' || !awaitsAccept(last)))
      this.#writeInfo(entry, last.tsNs);
    if (this.#options.extra || this.#options.all) this.#writeState(entry, look);
    const values = last.state === TCP_LISTEN ? LISTENER_VALUES : this.#values;
    if (last.state === TCP_LISTEN && !this.#options.extra) return;
    if (values.length === 0) return;
    entry.values.take(values, last, look, (family, value) => {
      this.#line(family, entry, value, last.tsNs);
    });
  }

  #line(family: ConnectionFamily, entry: Entry, value: number, tsNs: number): void {
    logLine(this.#out, family, this.#labelsOf(entry), value, this.#toWallMs(tsNs));
    this.#lines++;
    this.#events?.changed(family.slice(FAMILY_PREFIX.length), value);
  }

  /** Made for the lines of one look and not kept: most connections have none. */
  #labelsOf(entry: Entry): ConnectionLabels {
    if (this.#labelled?.entry !== entry) this.#labelled = { entry, labels: labelsOf(entry) };
    return this.#labelled.labels;
  }

  #writeInfo(entry: Entry, tsNs: number): void {
    entry.infoWritten = true;
    logLine(this.#out, 'netwatch_connection_info', infoLabels(entry), 1, this.#toWallMs(tsNs));
    this.#lines++;
    this.#events?.told();
  }

  #writeState(entry: Entry, look: Look): void {
    const { last, src, dst } = entry;
    const ms = this.#toWallMs(last.tsNs);
    const ends = { sock: formatAddress(last.sock), src, dst };
    entry.state.take(connectionState(last.state), look, (state, value) => {
      const labels = { ...ends, network_connection_state: state };
      logLine(this.#out, 'netwatch_connection_state_info', labels, value, ms);
      this.#lines++;
      this.#events?.changed(`network_connection_state${stateSuffix(value)}`, state);
    });
    if (!this.#options.extra || last.state === TCP_LISTEN) return;
    const congestion = `${last.caName} ${congestionState(last)}`;
    entry.congestion.take(congestion, look, (text, value) => {
      const [algorithm = '', state = ''] = text.split(' ');
      const labels = { ...ends, algorithm, state };
      logLine(this.#out, 'netwatch_connection_congestion_info', labels, value, ms);
      this.#lines++;
      this.#events?.changed(`congestion_algorithm${stateSuffix(value)}`, algorithm);
      this.#events?.changed(`congestion_state${stateSuffix(value)}`, state);
    });
  }
}

/** What a state's line with the value 0 says is over. */
const stateSuffix = (value: 0 | 1): '' | '_before' => (value === 1 ? '' : '_before');
