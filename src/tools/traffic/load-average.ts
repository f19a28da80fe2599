/** How busy the machine is, in the words of the kernel. */
import { readFileSync } from 'node:fs';
import { clockTime } from '../../metrics/wall-clock.js';

/** `13:07:29 loadavg: 0.52 0.58 0.59 1/598 12345`. */
export function loadAverage(wallMs: number): string {
  const load = readFileSync('/proc/loadavg', 'utf8').trimEnd();
  return `${clockTime(wallMs)} loadavg: ${load}`;
}
