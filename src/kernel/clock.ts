/**
 * From the kernel's monotonic clock to wall-clock milliseconds. Durations never
 * pass through here, so a step of the wall clock cannot make one negative.
 */
import { readFileSync } from 'node:fs';

const NS_PER_MS = 1_000_000;
/** Smaller differences are the jitter of reading two clocks, not a step. */
const STEP_MS = 50;

export interface Clock {
  /** Wall-clock milliseconds of a monotonic time in nanoseconds. */
  toWallMs(monotonicNs: number): number;
  /** Looks at both clocks again; call it regularly, a step is followed at once. */
  refresh(): void;
}

export interface ClockReadings {
  readonly wallMs: () => number;
  readonly monotonicNs: () => bigint;
}

/** In a time namespace our monotonic clock is not the kernel's: by how much it is ahead. */
function timeNamespaceOffsetNs(): bigint {
  try {
    const text = readFileSync('/proc/self/timens_offsets', 'utf8');
    const found = /^monotonic\s+(-?\d+)\s+(\d+)$/m.exec(text);
    return found === null ? 0n : BigInt(found[1] ?? 0) * 1_000_000_000n + BigInt(found[2] ?? 0);
  } catch {
    return 0n;
  }
}

const OFFSET_NS = timeNamespaceOffsetNs();

const SYSTEM: ClockReadings = {
  wallMs: () => Date.now(),
  monotonicNs: () => process.hrtime.bigint() - OFFSET_NS,
};

export function createClock(readings: ClockReadings = SYSTEM): Clock {
  const read = (): number => readings.wallMs() - Number(readings.monotonicNs()) / NS_PER_MS;
  let offsetMs = read();
  return {
    toWallMs: (monotonicNs) => Math.floor(monotonicNs / NS_PER_MS + offsetMs),
    refresh: () => {
      const now = read();
      if (Math.abs(now - offsetMs) > STEP_MS) offsetMs = now;
    },
  };
}
