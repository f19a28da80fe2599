/** What the programs need of the host: privileges, tracefs. */
import { statSync } from 'node:fs';
import { endianness } from 'node:os';
import { describeCapability, missingCapabilities, ownCapabilities } from './capabilities.js';
import { errno } from './ffi.js';
import { c } from './libc.js';
import { NetwatchError } from '../failure.js';
import type { Obstacle } from './hooks.js';
import { describeErrno } from './system-error.js';

/** Throws unless this machine and this process can run the programs. */
export function checkEnvironment(): void {
  if (endianness() !== 'LE') throw new NetwatchError({ code: 'big-endian' });
  const missing = missingCapabilities(ownCapabilities().effective).map(describeCapability);
  if (missing.length > 0)
    throw new NetwatchError({ code: 'privilege', uid: process.getuid?.() ?? -1, missing });
}

const TRACEFS = '/sys/kernel/tracing';

/**
 * Null if a path is there, else the error's name. Not existsSync: access(2) goes by the real uid
 * alone and knows nothing of CAP_DAC_READ_SEARCH.
 */
function whyMissing(path: string): string | null {
  try {
    statSync(path);
    return null;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown';
  }
}

/**
 * Classic tracepoints are found through tracefs; mounts it where it is not, if it may. Null if it
 * can be read, else why not.
 */
export function ensureTracefs(mayMount: boolean): Obstacle | null {
  const missing = whyMissing(`${TRACEFS}/events`);
  if (missing === null) return null;
  if (missing === 'EACCES')
    return {
      reason: `no ${describeCapability('CAP_DAC_READ_SEARCH')}`,
      fix: 'run it as root, or give it CAP_DAC_READ_SEARCH',
    };
  const mounted = mayMount && c.mount('tracefs', TRACEFS, 'tracefs', 0, null) === 0;
  if (mounted) return null;
  const reason = mayMount ? describeErrno(errno()) : missing;
  return {
    reason: `${TRACEFS} is not mounted: ${reason}`,
    fix: `mount -t tracefs tracefs ${TRACEFS}`,
  };
}

/** True if the kernel has this classic tracepoint (`syscalls/sys_exit_accept`). */
export function hasClassicTracepoint(name: string): boolean {
  return whyMissing(`${TRACEFS}/events/${name}`) === null;
}
