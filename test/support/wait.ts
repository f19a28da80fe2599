/** Waiting for something to become true, with a deadline and without fixed sleeps. */
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Nothing that a test waits for takes a second on a quiet machine: this is for one with many times the
 * work, and for an emulated one (scripts/vm), which takes about 15 times as long.
 */
export const DEADLINE_MS = process.env['VMRUN'] === '1' ? 450_000 : 90_000;

export interface UntilOptions {
  /** Names the thing in the error. */
  readonly what: string;
  /** For what never comes, and for what must come in time. */
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
  const deadline = performance.now() + deadlineMs;
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
      throw new Error(`not in ${deadlineMs} ms: ${what}`, { cause });
    await sleep(everyMs);
  }
}
