/**
 * Warnings about a fault that repeats with every record: said once, then at most twice a minute.
 */

/** Milliseconds between two warnings. */
const QUIET_MS = 30_000;

/** Passes a sentence on to `log`, or swallows it when the last one is less than 30 s old. */
export type Warn = (sentence: string) => void;

/**
 * @param log receives the sentences that pass
 * @param now milliseconds since 1970
 */
export function quietWarnings(log: (sentence: string) => void, now: () => number): Warn {
  let lastMs = -Infinity;
  return (sentence) => {
    // A clock that was set back must not silence warnings until it has caught up.
    const elapsed = Math.abs(now() - lastMs);
    if (elapsed < QUIET_MS) return;
    lastMs = now();
    log(sentence);
  };
}
