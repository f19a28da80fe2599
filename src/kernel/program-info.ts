/** What the kernel counts about a loaded program (struct bpf_prog_info). */
import { libbpf } from './libbpf.js';
import { readU64 } from './read.js';

const INFO_BYTES = 232;
const RUN_TIME_NS = 192;
const RUN_COUNT = 200;
const RECURSION_MISSES = 208;

export interface ProgramInfo {
  /** 0 unless statistics are on (sysctl kernel.bpf_stats_enabled). */
  readonly runTimeNs: number;
  readonly runCount: number;
  /** Events missed because the program was running on that CPU already. */
  readonly recursionMisses: number;
}

/** Null if the kernel does not tell. */
export function programInfo(fd: number): ProgramInfo | null {
  const info = new Uint8Array(INFO_BYTES);
  if (libbpf.infoByFd(fd, info, Uint32Array.of(INFO_BYTES)) !== 0) return null;
  const view = new DataView(info.buffer);
  return {
    runTimeNs: readU64(view, RUN_TIME_NS),
    runCount: readU64(view, RUN_COUNT),
    recursionMisses: readU64(view, RECURSION_MISSES),
  };
}

/** How many events these programs have missed so far. */
export function recursionMisses(
  programs: readonly { readonly info: () => ProgramInfo | null }[],
): number {
  return programs.reduce((sum, { info }) => sum + (info()?.recursionMisses ?? 0), 0);
}
