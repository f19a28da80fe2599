/** What the programs need of the host: privileges, tracefs. */
import { existsSync, readFileSync } from 'node:fs';
import { endianness } from 'node:os';
import { c, errno, libbpf } from './ffi.js';
import { NetwatchError } from './errors.js';
import { describeErrno } from './system-error.js';

const CAP_NET_ADMIN = 12n;
const CAP_SYS_ADMIN = 21n;
const CAP_PERFMON = 38n;
const CAP_BPF = 39n;

function effectiveCapabilities(): bigint {
  const status = readFileSync('/proc/self/status', 'utf8');
  return BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`);
}

/** Throws unless this machine and this process can run the programs. */
export function checkEnvironment(): void {
  if (endianness() !== 'LE') throw new NetwatchError({ code: 'big-endian' });
  if (libbpf.majorVersion() < 1)
    throw new NetwatchError({ code: 'old-libbpf', version: libbpf.version() });
  const capabilities = effectiveCapabilities();
  const has = (bit: bigint): boolean => ((capabilities >> bit) & 1n) === 1n;
  const enough = has(CAP_SYS_ADMIN) || (has(CAP_BPF) && has(CAP_PERFMON));
  if (!enough || !has(CAP_NET_ADMIN))
    throw new NetwatchError({ code: 'privilege', uid: process.getuid?.() ?? -1 });
}

const TRACEFS = '/sys/kernel/tracing';

/** Classic tracepoints are found through tracefs; mounts it where it is not. */
export function ensureTracefs(): void {
  if (existsSync(`${TRACEFS}/events`)) return;
  if (c.mount('tracefs', TRACEFS, 'tracefs', 0, null) !== 0) {
    const reason = describeErrno(errno());
    throw new NetwatchError({
      code: 'system',
      what: `cannot mount tracefs on ${TRACEFS}`,
      reason: `${reason}\n  mount it: mount -t tracefs tracefs ${TRACEFS}`,
    });
  }
}

/** True if the kernel has this classic tracepoint (`syscalls/sys_exit_accept`). */
export function hasClassicTracepoint(name: string): boolean {
  return existsSync(`${TRACEFS}/events/${name}`);
}
