/**
 * The packets of one request: the lines of packets.log with its socket and of its time, read from the end of
 * the log. What is in the log is masked already.
 */
import { parseSample, ExpositionError } from '../metrics/sample.js';
import { filesNewestFirst, readBackwards, type LineTaker } from './tail.js';
import type { PacketReport, PacketsReport } from './types.js';

/** More than a page shows of one request. */
const MOST_PACKETS = 200;
/** Of the log, from its end: then it ends, with what was found until there. */
const MOST_BYTES = 64 << 20;
/** A received packet is written when it is read, a sent one when it leaves: so far lines are out of order. */
const DISORDER_MS = 1000;
const TIME_CHARACTERS = 13;
const US_PER_SECOND = 1e6;
const FAMILY = 'netwatch_packet_bytes';

export interface WantedPackets {
  /** As the logs have it. */
  readonly sock: string;
  /** Milliseconds since 1970, both included. */
  readonly fromMs: number;
  readonly toMs: number;
}

/** Of which query: null if it asks for nothing that can be. */
export function wantedPackets(query: URLSearchParams): WantedPackets | null {
  const [sock = '', from = '', to = ''] = ['sock', 'from', 'to'].map((name) => query.get(name));
  if (!/^[0-9a-f]{1,16}$/.test(sock ?? '')) return null;
  if (![from, to].every((text) => /^\d{13}$/.test(text ?? ''))) return null;
  return { sock: sock ?? '', fromMs: Number(from), toMs: Number(to) };
}

/** Null if there is no packets.log. Throws NetwatchError if it is closed to us. */
export async function packetsOf(
  directory: string,
  wanted: WantedPackets,
): Promise<PacketsReport | null> {
  const files = await filesNewestFirst(directory, 'packets');
  if (files.length === 0) return null;
  const found = new Found(wanted);
  for (const { path } of files) {
    if (found.isFull) break;
    await readBackwards(path, found);
  }
  return found.report();
}

/** What was found so far, newest first. */
class Found implements LineTaker {
  readonly #wanted: WantedPackets;
  readonly #label: Buffer;
  readonly #packets: PacketReport[] = [];
  #bytes = 0;
  #isPast = false;

  constructor(wanted: WantedPackets) {
    this.#wanted = wanted;
    this.#label = Buffer.from(`sock="${wanted.sock}"`);
  }

  /** Nothing that is wanted comes any more, or it may not be looked for. */
  get isFull(): boolean {
    return this.#isPast || this.#isCut;
  }

  get #isCut(): boolean {
    return this.#bytes >= MOST_BYTES || this.#packets.length >= MOST_PACKETS;
  }

  add(line: Buffer): void {
    this.#bytes += line.length;
    const atMs = Number(line.toString('latin1', line.length - TIME_CHARACTERS));
    if (!(atMs <= this.#wanted.toMs)) return;
    if (atMs < this.#wanted.fromMs) {
      this.#isPast = atMs < this.#wanted.fromMs - DISORDER_MS;
      return;
    }
    if (!line.includes(this.#label)) return;
    const packet = packetIn(line.toString(), this.#wanted.sock);
    if (packet !== null) this.#packets.push(packet);
  }

  report(): PacketsReport {
    const packets = this.#packets.toReversed();
    return {
      packets: packets.sort((a, b) => a.atMs - b.atMs),
      isCut: !this.#isPast && this.#isCut,
    };
  }
}

/** Null: no line of a packet of this socket, or a torn one. */
function packetIn(line: string, sock: string): PacketReport | null {
  try {
    const { name, labels, value, timestampMs } = parseSample(line);
    const byName = new Map(labels);
    if (name !== FAMILY || byName.get('sock') !== sock || timestampMs === null) return null;
    const time = (label: string): number | null => {
      const text = Number(byName.get(label) ?? NaN);
      return Number.isFinite(text) ? text / US_PER_SECOND : null;
    };
    const info = byName.get('http_info') ?? '-';
    return {
      atMs: timestampMs,
      isReceived: byName.get('rx') === '1',
      bytes: value,
      seq: Number(byName.get('seq')),
      isRetransmitted: byName.get('retransmit') === '1',
      mac: time('mac_time'),
      ip: time('ip_time'),
      tcp: time('tcp_time'),
      reorder: time('reorder_time'),
      info: info === '-' ? null : info,
    };
  } catch (error) {
    if (error instanceof ExpositionError) return null;
    throw error;
  }
}
