/** Which machine this is, and how quiet it is. */
import { readFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Machine } from './table.js';

const SAMPLE_MS = 1000;

interface Ticks {
  readonly total: number;
  readonly busy: number;
}

/** Ticks of all CPUs: total, and those not idle (idle and iowait are fields 4 and 5). */
function ticks(): Ticks {
  const [first = ''] = readFileSync('/proc/stat', 'utf8').split('\n');
  const fields = first.split(/\s+/).slice(1).map(Number);
  const total = fields.slice(0, 8).reduce((sum, value) => sum + value, 0);
  const [, , , idle = 0, iowait = 0] = fields;
  return { total, busy: total - idle - iowait };
}

/** What the machine is, and how busy it was for a second. */
export async function describeMachine(): Promise<Machine> {
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
