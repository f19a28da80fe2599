/** Waiting for something to become true, with a deadline and without fixed sleeps. */
import { setTimeout as sleep } from 'node:timers/promises';

/** An emulated machine (scripts/vm) takes about 15 times as long for the same work. */
const PATIENCE = process.env['VMRUN'] === '1' ? 15 : 1;

/**
 * Nothing that a test waits for takes a second on a quiet machine: this is for one with many times the
 * work. Less than the 75 s after which a record that nobody has accepted is told all the same.
 */
export const DEADLINE_MS = 60_000;

export interface UntilOptions {
  /** Names the thing in the error. */
  readonly what: string;
  /** For what never comes, and for what must come in time; 15 times as long in an emulated machine. */
  readonly deadlineMs?: number;
  readonly everyMs?: number;
}

/**
 * Polls until `predicate` gives something truthy and returns that. A predicate that throws counts as
 * not yet; its last error is the cause of ours.
 */
export async function until<T>(
  predicate: () => T | Promise<T>,
  { what, deadlineMs = DEADLINE_MS, everyMs = 10 }: UntilOptions,
): Promise<Exclude<T, null | undefined | false>> {
  const patienceMs = deadlineMs * PATIENCE;
  const deadline = performance.now() + patienceMs;
  let cause: unknown;
  for (;;) {
    try {
      cause = undefined;
      const value = await predicate();
      if (value) return value as Exclude<T, null | undefined | false>;
    } catch (error) {
      cause = error;
    }
    if (performance.now() > deadline)
      throw new Error(`not in ${patienceMs} ms: ${what}`, { cause });
    await sleep(everyMs);
  }
}
