/** Which machine this is, and how quiet it is. */
import { readFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

const SAMPLE_MS = 1000;

/** Ticks of all CPUs: total, and those not idle (idle and iowait are fields 4 and 5). */
function ticks() {
  const fields = readFileSync('/proc/stat', 'utf8')
    .split('\n')[0]
    .split(/\s+/)
    .slice(1)
    .map(Number);
  const total = fields.slice(0, 8).reduce((sum, value) => sum + value, 0);
  return { total, busy: total - fields[3] - fields[4] };
}

/** @returns {Promise<import('./table.mjs').Machine>} */
export async function describeMachine() {
  const before = ticks();
  await sleep(SAMPLE_MS);
  const after = ticks();
  return {
    date: new Date().toISOString().slice(0, 10),
    kernel: release(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown CPU',
    cpus: cpus().length,
    node: process.version,
    busy: (after.busy - before.busy) / (after.total - before.total),
  };
}
