/** What the programs need of the host: privileges, tracefs. */
import { statSync } from 'node:fs';
import { endianness } from 'node:os';
import { describeCapability, missingCapabilities, ownCapabilities } from './capabilities.js';
import { c, errno, libbpf } from './ffi.js';
import { NetwatchError } from './errors.js';
import { describeErrno } from './system-error.js';

/** Throws unless this machine and this process can run the programs. */
export function checkEnvironment(): void {
  if (endianness() !== 'LE') throw new NetwatchError({ code: 'big-endian' });
  if (libbpf.majorVersion() < 1)
    throw new NetwatchError({ code: 'old-libbpf', version: libbpf.version() });
  const missing = missingCapabilities(ownCapabilities().effective);
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
 * Classic tracepoints are found through tracefs; mounts it where it is not. Null if it can be read,
 * else why not.
 */
export function ensureTracefs(): string | null {
  const missing = whyMissing(`${TRACEFS}/events`);
  if (missing === null) return null;
  if (missing === 'EACCES') return `no ${describeCapability('CAP_DAC_READ_SEARCH')}`;
  if (c.mount('tracefs', TRACEFS, 'tracefs', 0, null) === 0) return null;
  return `${TRACEFS} is not mounted: ${describeErrno(errno())}`;
}

/** True if the kernel has this classic tracepoint (`syscalls/sys_exit_accept`). */
export function hasClassicTracepoint(name: string): boolean {
  return whyMissing(`${TRACEFS}/events/${name}`) === null;
}
