/**
 * Option --ndjson: the events of the logs once more, as objects in connects.ndjson, packets.ndjson,
 * requests.ndjson and err.ndjson. Loaded only with the option.
 */
import { OWNER_SOURCE, ROLE } from '../generated/connection.js';
import { PACKET } from '../generated/packet.js';
import { readAddress, readIp, readU64 } from '../kernel/read.js';
import { formatAddress } from '../metrics/address.js';
import type { PacketLabels, PacketSample } from '../metrics/lines.js';
import {
  connectionEvent,
  errorEvent,
  packetEvent,
  type ConnectionEventKind,
  type Ends,
  type NdjsonEvent,
  type Owner,
  type ProcessOwner,
} from '../metrics/ndjson.js';
import { NdjsonLog } from '../sinks/ndjson-log.js';
import type { RotatingLog } from '../sinks/rotating.js';
import type { CgroupNames } from '../sources/cgroup-names.js';
import type { Connection } from '../sources/connection.js';
import type { Exchange } from '../sources/exchange.js';
import { exchangeEvent } from '../sources/exchange-event.js';
import type { ConnectionEvents, Entry } from './connection-table.js';
import type { ToldFault } from './fault-events.js';
import { faultType } from './fault-lines.js';
import type { FileOptions } from './options.js';
import type { ProxiedClients } from './proxied-clients.js';

/** Takes one object; `NdjsonLog.write`. */
export type TakeEvent = (event: NdjsonEvent) => void;

/** The files, and what the collector's records become in them. */
export class Ndjson {
  /** By file name. */
  readonly logs: ReadonlyMap<string, NdjsonLog>;
  readonly connections: ConnectionEvents;
  readonly #connects: NdjsonLog;
  readonly #packets: NdjsonLog;
  readonly #requests: NdjsonLog | null;
  readonly #errors: NdjsonLog | null;

  /** @param open opens the file of that name; requests.ndjson only with -i, err.ndjson with -e */
  static async open(
    { http, err }: Pick<FileOptions, 'http' | 'err'>,
    open: (name: string) => Promise<RotatingLog>,
  ): Promise<Ndjson> {
    const log = async (name: string): Promise<NdjsonLog> => new NdjsonLog(await open(name));
    const connects = await log('connects.ndjson');
    const packets = await log('packets.ndjson');
    const requests = http ? await log('requests.ndjson') : null;
    const errors = err ? await log('err.ndjson') : null;
    return new Ndjson(connects, packets, requests, errors);
  }

  private constructor(
    connects: NdjsonLog,
    packets: NdjsonLog,
    requests: NdjsonLog | null,
    errors: NdjsonLog | null,
  ) {
    this.#connects = connects;
    this.#packets = packets;
    this.#requests = requests;
    this.#errors = errors;
    this.logs = new Map([
      ['connects.ndjson', connects],
      ['packets.ndjson', packets],
      ...(requests === null ? [] : [['requests.ndjson', requests] as const]),
      ...(errors === null ? [] : [['err.ndjson', errors] as const]),
    ]);
    this.connections = new ChangedValues((event) => {
      connects.write(event);
    });
  }

  packet(
    view: DataView,
    at: number,
    packet: PacketSample,
    has: PacketLabels,
    proxied: ProxiedClients,
    owner: ProcessOwner,
  ): void {
    const ends = packetEnds(view, at);
    const client =
      packet.httpInfo === null
        ? null
        : proxied.at(readAddress(view, at + PACKET.at.sock), readU64(view, at + PACKET.at.tsNs));
    this.#packets.write(packetEvent(ends, packet, has, owner, client));
  }

  exchange(exchange: Exchange, timestampMs: number, names: CgroupNames | null): void {
    this.#requests?.write(exchangeEvent(exchange, timestampMs, names));
  }

  fault({ fault, owner, event, sender }: ToldFault, timestampMs: number): void {
    const { reason, seq, ack } = fault;
    const error = { type: faultType(fault), reason, seq, ack, event, sender };
    this.#errors?.write(errorEvent(endsOf(fault), owner, error, timestampMs));
  }

  /** Waits until the lines of connects.ndjson are with the kernel. */
  flushConnects(): Promise<boolean> {
    return this.#connects.flush();
  }
}

/** Gathers what one look at a connection has changed. */
export class ChangedValues implements ConnectionEvents {
  readonly #take: TakeEvent;
  #changes: Record<string, string | number> | null = null;

  constructor(take: TakeEvent) {
    this.#take = take;
  }

  told(): void {
    this.#changes ??= {};
  }

  changed(field: string, value: string | number): void {
    this.#changes ??= {};
    this.#changes[field] = value;
  }

  end(kind: ConnectionEventKind, entry: Entry, timestampMs: number): void {
    if (this.#changes === null) return;
    const ends = endsOf(entry.last);
    this.#take(connectionEvent(kind, ends, ownerOf(entry), this.#changes, timestampMs));
    this.#changes = null;
  }
}

const sockOf = (address: number): string | null => (address === 0 ? null : formatAddress(address));

type Socket = Pick<Connection, 'sock' | 'localAddr' | 'localPort' | 'peerAddr' | 'peerPort'>;

function endsOf({ sock, localAddr, localPort, peerAddr, peerPort }: Socket): Ends {
  return {
    sock: sockOf(sock),
    localAddress: localAddr,
    localPort,
    peerAddress: peerAddr,
    peerPort,
  };
}

function packetEnds(view: DataView, at: number): Ends {
  return {
    sock: sockOf(readAddress(view, at + PACKET.at.sock)),
    localAddress: readIp(view, at + PACKET.at.localAddr),
    localPort: view.getUint16(at + PACKET.at.localPort, true),
    peerAddress: readIp(view, at + PACKET.at.peerAddr),
    peerPort: view.getUint16(at + PACKET.at.peerPort, true),
  };
}

/** Not before connects.log has a line that says it: until accept() only the listener's is known. */
function ownerOf({ last, names, infoWritten }: Entry): Owner {
  const { ownerSource, pid, comm, role, acceptedBy, acceptedByComm } = last;
  const known = infoWritten && ownerSource !== OWNER_SOURCE.NW_OWNER_NONE;
  return {
    pid: known ? pid : null,
    process: known ? comm : null,
    isServer: role === ROLE.NW_ROLE_UNKNOWN ? null : role !== ROLE.NW_ROLE_CLIENT,
    acceptedBy: known && acceptedBy !== 0 ? { pid: acceptedBy, process: acceptedByComm } : null,
    names: infoWritten ? names : null,
  };
}
