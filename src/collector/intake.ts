/**
 * Takes the records out of the rings, turns them into lines and hands these to
 * the log files. One drain handles a bounded batch of each source, so that the
 * event loop stays free.
 */
import type { Clock } from '../kernel/clock.js';
import type { Source } from '../kernel/source.js';
import { ByteWriter } from '../metrics/bytes.js';
import type { ProcessOwner } from '../metrics/ndjson.js';
import {
  MARK,
  type Connection,
  type ConnectionOwner,
  type KeptConnection,
} from '../generated/connection.js';
import { KIND, PACKET } from '../generated/packet.js';
import type { CgroupSource } from '../sources/cgroup.js';
import type { CgroupNames } from '../sources/cgroup-names.js';
import type { ConnectionRecord, ConnectionSource } from '../sources/connection.js';
import type { FaultRecord, FaultSource } from '../sources/fault.js';
import { HttpExchanges } from '../sources/http-exchanges.js';
import { KeptRecords } from '../sources/kept-records.js';
import { takeWaitingExchanges } from '../sources/waiting-exchanges.js';
import { isUnjudged, kindOf, type PacketSource } from '../sources/packet.js';
import type { ToldPackets } from '../sources/told-packets.js';
import { ConnectionTable } from './connection-table.js';
import { FaultEvents } from './fault-events.js';
import { faultLine } from './fault-lines.js';
import type { Files } from './files.js';
import { Handshakes } from '../sources/handshakes.js';
import { HttpHeads } from './http-heads.js';
import type {
  ConnectionsOptions,
  PacketsOptions,
  TableOptions,
  WatchedOptions,
} from './options.js';

/** What of the options decides what becomes of a record. */
type IntakeOptions = WatchedOptions & TableOptions & PacketsOptions & ConnectionsOptions;
import { lmpRows } from './lmp-rows.js';
import { PacketText, type PacketEvents } from './packet-lines.js';
import { Owners } from './owners.js';
import { packetRows, type RowSink } from './packet-rows.js';
import { ProxiedClients } from './proxied-clients.js';
import { ProcessNames } from './process-names.js';
import { Requests } from './requests.js';

/** A record that was lost may leave one behind. */
const MAX_UNACCEPTED = 65_536;

export interface IntakeParts {
  readonly cgroups: CgroupSource;
  readonly connections: ConnectionSource;
  /** Null where this machine cannot have it. */
  readonly packets: PacketSource | null;
  /** Null without -e. */
  readonly faults: FaultSource | null;
  readonly files: Files;
  readonly clock: Clock;
  /** Rows for standard output; null with --quiet. */
  readonly rows: RowSink | null;
  /** Told of a bug: a record that could not be turned into a line. */
  readonly fail: (error: unknown) => void;
}

export class Intake {
  readonly table: ConnectionTable;
  readonly exchanges = new HttpExchanges();
  readonly requests: Requests;
  readonly #parts: IntakeParts;
  /** Whose records are read here. */
  readonly sources: readonly Source[];
  /** Which packets have a line. */
  readonly #told: ToldPackets;
  readonly #text: PacketText;
  readonly #heads: HttpHeads;
  readonly #kept: KeptRecords;
  readonly #owners: Owners;
  readonly faultEvents = new FaultEvents();
  readonly #ownerOfFault = (fault: FaultRecord): ProcessOwner => this.#owners.ofFault(fault);
  readonly #proxied = new ProxiedClients();
  readonly #handshakes = new Handshakes();
  readonly #waitsForHttp: boolean;
  /** Connections that nobody has accepted yet, by socket; their opening is news when somebody has. */
  readonly #unaccepted = new Map<number, Connection>();
  readonly #connectLines = new ByteWriter(1 << 16);
  readonly #faultLines = new ByteWriter(1 << 14);
  /** Records in the lines that are of packets kept until now. */
  #released = 0;
  #packets = 0;
  #connections = 0;
  #faults = 0;
  #undecoded = 0;
  #httpRecords = 0;
  #lastEventMs = 0;

  constructor(options: IntakeOptions, parts: IntakeParts) {
    this.#parts = parts;
    const { connections, packets, faults } = parts;
    this.sources = [connections, packets, faults].flatMap((part) => part?.source ?? []);
    this.#told = options.packets;
    this.#waitsForHttp = options.http;
    this.#heads = new HttpHeads(options.targets);
    const toWallMs = (ns: number): number => parts.clock.toWallMs(ns);
    const { ndjson } = parts.files;
    const names = new ProcessNames();
    const owners = new Owners(names, this.#namesOf);
    this.#owners = owners;
    this.table = new ConnectionTable(
      {
        all: options.all,
        extra: options.extra,
        retrans: options.retrans,
        connects: options.connects,
      },
      this.#connectLines,
      toWallMs,
      ndjson?.connections ?? null,
      parts.rows === null && ndjson === null && faults === null ? null : names,
      this.#namesOf,
    );
    this.requests = new Requests(options.targets, {
      ...{ log: parts.files.requests, ndjson, toWallMs },
      handshakes: this.#handshakes,
      namesOf: this.#namesOf,
      units: this.table.units,
    });
    const labels = { times: options.time, http: options.http };
    const events: PacketEvents | null =
      ndjson === null
        ? null
        : (view, at, packet, { key }) => {
            const owner = owners.ofPacket(view, at, key);
            ndjson.packet(view, at, packet, labels, this.#proxied, owner);
          };
    const rows =
      options.format === 'lmp'
        ? lmpRows()
        : packetRows({ ...labels, numbers: options.numbers }, names);
    this.#text = new PacketText(
      { labels, rows: parts.rows === null ? null : rows, events },
      new ByteWriter(1 << 20),
      new ByteWriter(1 << 20),
      toWallMs,
      (view, at) => this.#heads.find(view, at),
    );
    this.#kept = new KeptRecords(PACKET, this.#release, this.#drop);
    parts.rows?.write(Buffer.from(rows.header), 1);
  }

  /** Records read so far; connections count when they close. */
  get counts(): {
    readonly packets: number;
    readonly connections: number;
    readonly faults: number;
  } {
    return { packets: this.#packets, connections: this.#connections, faults: this.#faults };
  }

  /** Records that a bug kept from becoming a line. */
  get undecoded(): number {
    return this.#undecoded;
  }

  /** Records of HTTP messages that were read out of the ring of the packets. */
  get httpRecords(): number {
    return this.#httpRecords;
  }

  /** When the last record was read, in ms since 1970; 0 = none yet. */
  get lastEventMs(): number {
    return this.#lastEventMs;
  }

  /** No ring holds anything to drain. */
  get isIdle(): boolean {
    return this.sources.every(({ ring }) => ring.isEmpty);
  }

  /** How full the fullest ring is, from 0 to 1. */
  get fill(): number {
    return Math.max(...this.sources.map(({ ring: { unread, size } }) => unread / size));
  }

  /** Moves one batch of each source to the files; returns the number of records. */
  drain(): number {
    const { cgroups, connections, packets, clock, faults } = this.#parts;
    clock.refresh();
    cgroups.drain();
    // Not later packets: their connections may have opened since, and have no name yet.
    const end = packets?.source.ring.produced ?? 0;
    let taken = connections.drain(this.#takeConnection);
    this.flushConnections();
    if (packets !== null) taken += this.#drainPackets(packets, end);
    if (faults !== null) taken += this.#drainFaults(faults);
    if (taken > 0) this.#lastEventMs = Date.now();
    return taken;
  }

  /** Moves what is there now, not all that comes meanwhile: it ends under any load. */
  drainAll(): void {
    const ends = this.sources.map(({ ring }) => [ring, ring.produced] as const);
    while (ends.some(([ring, end]) => ring.consumed < end)) if (this.drain() === 0) return;
  }

  readonly #namesOf = (cgroup: number): CgroupNames | null => this.#parts.cgroups.namesOf(cgroup);

  readonly #takeConnection = (record: ConnectionRecord): void => {
    if (record.kind === 'open') this.#open(record.connection);
    else if (record.kind === 'owner') this.#judge(record.owner, true);
    else if (record.kind === 'handover') this.#handOver(record.owner);
    else if (record.kind === 'unaccepted') this.#judge(record.owner, false);
    else if (record.kind === 'unlistened') this.table.unlistened(record.connection.read());
    else {
      this.table.closed(record.connection);
      this.#connections++;
    }
  };

  #open(connection: KeptConnection): void {
    this.#proxied.opened(connection.sock, connection.tsNs);
    if (this.#waitsForHttp) this.#handshakes.opened(connection);
    if ((connection.marks & MARK.NW_MARK_UNJUDGED) === 0) this.table.opened(connection);
    else this.#unaccepted.set(connection.sock, connection.read());
    if (this.#unaccepted.size > MAX_UNACCEPTED)
      this.#giveUp(this.#unaccepted.values().next().value);
  }

  /** It is not known who accepts it, or whether anybody does: it counts as the listener's. */
  #giveUp(connection: Connection | undefined): void {
    if (connection === undefined) return;
    this.#unaccepted.delete(connection.sock);
    if ((connection.marks & MARK.NW_MARK_LISTENER_ALLOWED) !== 0) this.table.opened(connection);
    else this.#parts.connections.source.ring.takeBack(1);
  }

  /** It shows whose a connection is: the one who accepted it, or the listener. */
  #judge(owner: ConnectionOwner, isAccepted: boolean): void {
    const connection = this.#unaccepted.get(owner.sock);
    this.#unaccepted.delete(owner.sock);
    if (owner.allowed === 1) {
      if (connection !== undefined) this.table.opened(connection);
      if (isAccepted) this.table.owned(owner);
    } else this.#parts.connections.source.ring.takeBack(connection === undefined ? 1 : 2);
    if (!this.#parts.connections.awaitsOwners) return;
    this.#kept.judge(owner);
    this.#parts.faults?.judge(owner);
  }

  /** Another process has it now, which the filter may ask for, or not. */
  #handOver(owner: ConnectionOwner): void {
    if (owner.allowed === 1) {
      this.table.owned(owner, 'handover');
      return;
    }
    this.table.left(owner.sock);
    this.#parts.connections.source.ring.takeBack(1);
  }

  /** Packets of connections that are judged only now: in the next lines. */
  readonly #release = (view: DataView, at: number): void => {
    this.#parts.packets?.countReleased(view, at);
    if (this.#addPacket(view, at)) this.#released++;
  };

  readonly #drop = (view: DataView, at: number): void => {
    const heads = view.getUint8(at + PACKET.at.httpHeads);
    if (heads > 0) this.#heads.take(view, at);
    this.#httpRecords -= heads;
    this.#parts.packets?.source.ring.takeBack(1 + heads);
  };

  /** Hands over the lines that the table has made. */
  flushConnections(): void {
    const lines = this.table.takeLines();
    if (lines > 0) this.#parts.files.connects.write(this.#connectLines.view(), lines);
    this.#connectLines.reset();
  }

  #drainPackets(packets: PacketSource, end: number): number {
    let records = 0;
    const taken = packets.drain((view, places, count) => {
      for (let i = 0; i < count; i++) {
        const at = places[i]!;
        const kind = kindOf(view, at);
        if (kind !== KIND.NW_KIND_PACKET) {
          this.#httpRecords++;
          this.#takeHttp(kind, view, at);
        } else if (isUnjudged(view, at)) this.#kept.keep(view, at);
        else if (this.#addPacket(view, at)) records++;
      }
    }, end);
    this.#kept.expire();
    this.#flushPackets(records);
    return taken;
  }

  #takeHttp(kind: number, view: DataView, at: number): void {
    if (kind === KIND.NW_KIND_HTTP_HEAD) {
      const isClean = this.#told === 'none' ? undefined : this.#heads.add(view, at);
      this.requests.head(view, at, isClean);
    } else if (kind === KIND.NW_KIND_HTTP_EXCHANGE) {
      this.exchanges.add(view, at);
      this.requests.exchange(view, at);
    } else this.#proxied.add(view, at);
  }

  /** One whose owner had to be seen first comes, whatever packets are asked for. */
  #isTold(view: DataView, at: number): boolean {
    if (this.#told === 'all') return true;
    return this.#told === 'http' && view.getUint8(at + PACKET.at.httpHeads) > 0;
  }

  /** False if it has no line, also after a bug: what is whole stays, the record is counted. */
  #addPacket(view: DataView, at: number): boolean {
    if (!this.#isTold(view, at)) return false;
    const { lines, rows } = this.#text;
    const [lineEnd, rowEnd] = [lines.length, rows.length];
    try {
      this.#text.add(view, at);
      return true;
    } catch (error) {
      lines.length = lineEnd;
      rows.length = rowEnd;
      this.#undecoded++;
      this.#parts.fail(error);
      return false;
    }
  }

  #flushPackets(added: number): void {
    const { lines, rows } = this.#text;
    const records = added + this.#released;
    this.#released = 0;
    this.#packets += records;
    if (records > 0) {
      this.#parts.files.packets.write(lines.view(), records);
      if (rows.length > 0) this.#parts.rows?.write(rows.view(), records);
    }
    lines.reset();
    rows.reset();
    this.requests.flush();
  }

  #drainFaults(faults: FaultSource): number {
    const records: FaultRecord[] = [];
    const taken = faults.drain((record) => records.push(record));
    for (const told of this.faultEvents.tell(records, this.#ownerOfFault)) {
      const timestampMs = this.#parts.clock.toWallMs(told.fault.tsNs);
      faultLine(this.#faultLines, told, timestampMs);
      this.#parts.files.ndjson?.fault(told, timestampMs);
    }
    this.#faults += records.length;
    if (records.length > 0) this.#parts.files.err?.write(this.#faultLines.view(), records.length);
    this.#faultLines.reset();
    return taken;
  }

  /** What nobody has accepted until the end. */
  finishFaults(): void {
    this.#parts.faults?.finish();
    if (this.#parts.faults !== null) this.#drainFaults(this.#parts.faults);
  }

  /**
   * Ends the watching of packets: those whose last time will not come any more
   * get their lines without it.
   */
  finishPackets(namespacePaths: readonly (string | null)[]): void {
    const { packets } = this.#parts;
    for (const connection of this.#unaccepted.values()) this.#giveUp(connection);
    if (packets === null) return;
    packets.stopWatching();
    this.drainAll();
    for (const path of namespacePaths) {
      try {
        packets.flushUnread(path);
      } catch {
        // the namespace is gone, and its sockets with it
      }
    }
    let records = 0;
    const take = (view: DataView, at: number): void => {
      if (isUnjudged(view, at)) this.#kept.keep(view, at);
      else if (this.#addPacket(view, at)) records++;
    };
    packets.early((view, at) => {
      this.#takeHttp(kindOf(view, at), view, at);
    }, take);
    packets.unsent(take);
    takeWaitingExchanges(packets.source, (view, at) => {
      this.#takeHttp(KIND.NW_KIND_HTTP_EXCHANGE, view, at);
    });
    this.#flushPackets(records);
    this.drainAll();
    this.#kept.finish();
    this.#flushPackets(0);
  }
}
