/** What the collector says of the whole run when it ends. */
import type { Summary } from './collector.js';

/** `rowsDropped`: rows that standard output did not take. */
export function printSummary(
  summary: Summary,
  rowsDropped: number,
  say: (message: string) => void,
): void {
  const { seconds, connections, packets, faults, lost, written } = summary;
  say(
    `${seconds.toFixed(1)} s: ${packets} packets, ${connections} connections closed, ${faults} drops and resets; ${lost} records lost`,
  );
  const files = [...written].map(([name, records]) => `${records} in ${name}`);
  say(`lines written: ${files.join(', ')}`);
  if (rowsDropped > 0) say(`${rowsDropped} rows not shown: the reader was too slow`);
}
