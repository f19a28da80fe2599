/** The programs of netwatch in the kernel, their maps and rings. */
import type { ProgramInfo } from '../../kernel/program-info.js';
import type { ProgramState, RingCounts } from '../../kernel/source.js';
import type { Part } from '../../metrics/snapshot.js';

/** What this file writes. */
type Writes = Part<
  | 'netwatch_bpf_program_attached'
  | 'netwatch_bpf_program_run_time_seconds_total'
  | 'netwatch_bpf_program_run_count_total'
  | 'netwatch_map_entries'
  | 'netwatch_map_capacity'
  | 'netwatch_events_total'
  | 'netwatch_events_lost_total'
  | 'netwatch_ringbuf_used_bytes'
  | 'netwatch_ringbuf_capacity_bytes'
>;

const NS_PER_S = 1e9;

/** A program and what the kernel counts about it. */
export interface ProgramReading {
  readonly state: ProgramState;
  readonly info: ProgramInfo | null;
}

export function addPrograms(snapshot: Writes, programs: readonly ProgramReading[]): void {
  for (const { state, info } of programs) {
    const { program, source, attachType, attached } = state;
    snapshot.add(
      'netwatch_bpf_program_attached',
      { source, program, attach_type: attachType },
      attached ? 1 : 0,
    );
    if (info === null) continue;
    if (info.recursionMisses > 0)
      snapshot.add(
        'netwatch_events_lost_total',
        { source, stage: 'recursion' },
        info.recursionMisses,
      );
    if (info.runCount === 0) continue;
    const seconds = info.runTimeNs / NS_PER_S;
    snapshot.add('netwatch_bpf_program_run_time_seconds_total', { source, program }, seconds);
    snapshot.add('netwatch_bpf_program_run_count_total', { source, program }, info.runCount);
  }
}

/** A map whose entries come and go. */
export interface MapReading {
  readonly map: string;
  readonly entries: number;
  readonly capacity: number;
}

export function addMaps(snapshot: Writes, maps: readonly MapReading[]): void {
  for (const { map, entries, capacity } of maps) {
    snapshot.add('netwatch_map_entries', { map }, entries);
    snapshot.add('netwatch_map_capacity', { map }, capacity);
  }
}

/** What a source had no room for in sockets, and in tables of them. */
export interface StorageReading {
  readonly source: string;
  readonly stage: 'socket_memory' | 'map_full';
  readonly failures: number;
}

export function addStorages(snapshot: Writes, storages: readonly StorageReading[]): void {
  for (const { source, stage, failures } of storages)
    snapshot.add('netwatch_events_lost_total', { source, stage }, failures);
}

export interface RingReading {
  readonly source: string;
  readonly counts: RingCounts;
  readonly usedBytes: number;
  readonly capacityBytes: number;
}

/** The ring in which the records of HTTP messages are, too. */
const PACKETS = 'packet';

/** `httpRecords`: how many of HTTP messages were read; null where HTTP is not looked for. */
export function addRings(
  snapshot: Writes,
  rings: readonly RingReading[],
  httpRecords: number | null,
): void {
  const add = (source: string, all: number, lost: number): void => {
    snapshot.add('netwatch_events_total', { source }, all);
    snapshot.add('netwatch_events_lost_total', { source, stage: 'ringbuf' }, lost);
  };
  for (const { source, counts, usedBytes, capacityBytes } of rings) {
    const http = source === PACKETS ? httpRecords : null;
    add(source, counts.accepted - (http ?? 0), counts.lost);
    if (http !== null) add('http', http + counts.lostHttp, counts.lostHttp);
    snapshot.add('netwatch_ringbuf_used_bytes', { source }, usedBytes);
    snapshot.add('netwatch_ringbuf_capacity_bytes', { source }, capacityBytes);
  }
}
