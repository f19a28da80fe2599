/** What this process uses: CPU, memory, file descriptors. */
import { readdirSync, readFileSync } from 'node:fs';

const US_PER_S = 1e6;
const MS_PER_S = 1000;

export interface Usage {
  /** User and system. */
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  /** Since 1970. */
  readonly startSeconds: number;
  readonly openFds: number;
  readonly maxFds: number;
}

const startSeconds = Date.now() / MS_PER_S - process.uptime();

function openFileLimit(): number {
  const limits = readFileSync('/proc/self/limits', 'utf8');
  return Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? 0);
}

const maxFds = openFileLimit();

/** As of now. */
export function readUsage(): Usage {
  const { user, system } = process.cpuUsage();
  return {
    cpuSeconds: (user + system) / US_PER_S,
    residentBytes: process.memoryUsage.rss(),
    startSeconds,
    openFds: readdirSync('/proc/self/fd').length,
    maxFds,
  };
}
