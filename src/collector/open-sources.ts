/**
 * Opens the sources that the options ask for. One that this machine does not let be, though its
 * kernel would, is left out unless --strict: the others are worth having.
 */
import { SourceMissing, type ProgramState, type Source } from '../kernel/source.js';
import { namesWantedOf } from '../cli/named.js';
import { CgroupSource } from '../sources/cgroup.js';
import { ConnectionSource } from '../sources/connection.js';
import { FaultSource } from '../sources/fault.js';
import type { Filter } from '../sources/filter.js';
import { PacketSource } from '../sources/packet.js';
import { asksForOwner } from '../sources/owners.js';
import type { CollectorOptions, PacketsOptions, RingsOptions, WatchedOptions } from './options.js';

/** 12,000 connection records, 10,000 drops: more than come between two drains. */
const CONNECTION_RING_BYTES = 1 << 22;
const FAULT_RING_BYTES = 1 << 20;

export interface OpenSources {
  readonly cgroups: CgroupSource;
  readonly connections: ConnectionSource;
  /** Null where it was left out, or nothing is asked of it. */
  readonly packets: PacketSource | null;
  /** Null without -e. */
  readonly faults: FaultSource | null;
  /** Those that were left out. */
  readonly missing: readonly SourceMissing[];
}

/** Throws NetwatchError if one cannot be opened; nothing is left attached then. */
export function openSources(
  options: WatchedOptions &
    RingsOptions &
    PacketsOptions &
    Pick<CollectorOptions, 'strict' | 'unit' | 'container'>,
  filter: Filter,
): OpenSources {
  const { retrans, time, http, packets: told, simulateDrops: loseEvery = 0 } = options;
  const opened: { readonly source: Source }[] = [];
  const missing: SourceMissing[] = [];
  const keep = <T extends { readonly source: Source }>(part: T): T => {
    opened.push(part);
    return part;
  };
  const keepOrLeave = <T extends { readonly source: Source }>(open: () => T): T | null => {
    try {
      return keep(open());
    } catch (error) {
      const fixable = error instanceof SourceMissing && error.obstacle.fix !== null;
      if (!fixable || options.strict) throw error;
      missing.push(error);
      return null;
    }
  };
  try {
    // first: it tells the others which cgroups the filter lets through
    const cgroups = keep(new CgroupSource(namesWantedOf(options)));
    const connections = keep(
      new ConnectionSource({
        filter,
        retrans,
        ring: { bytes: CONNECTION_RING_BYTES, loseEvery },
      }),
    );
    const ring = { bytes: options.ring, loseEvery };
    const isPacketWanted = told !== 'none' || time || http || asksForOwner(filter);
    const packets = isPacketWanted
      ? keepOrLeave(() => new PacketSource({ filter, time, http, packets: told, ring }))
      : null;
    const faults = options.err
      ? keepOrLeave(() => new FaultSource(filter, { bytes: FAULT_RING_BYTES, loseEvery }))
      : null;
    return { cgroups, connections, packets, faults, missing };
  } catch (error) {
    for (const { source } of opened) source.close();
    throw error;
  }
}

/** Those that are open. */
export function sourcesOf({ cgroups, connections, packets, faults }: OpenSources): Source[] {
  return [connections, packets, faults, cgroups].flatMap((part) => part?.source ?? []);
}

/** Every program that was asked for, also of sources that were left out. */
export function programsOf(sources: OpenSources): ProgramState[] {
  return [...sourcesOf(sources), ...sources.missing].flatMap(({ programs }) => programs);
}
