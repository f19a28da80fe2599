/** The host around the programs: privileges, cgroup v2, tracefs, network namespaces. */
import { existsSync, openSync, readdirSync, readFileSync, statSync } from 'node:fs';
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

/** Mount points of a file system type, oldest first. */
function mountsOf(type: string): string[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter((fields) => fields[2] === type)
    .map((fields) => (fields[1] ?? '').replaceAll('\\040', ' '));
}

/** Where cgroup v2 is mounted. */
export function cgroupRoot(): string {
  const root = mountsOf('cgroup2')[0];
  if (root === undefined) throw new NetwatchError({ code: 'no-cgroup2' });
  return root;
}

/** A descriptor of the root of cgroup v2, to attach cgroup_skb programs to. */
export function openCgroupRoot(): number {
  return openSync(cgroupRoot(), 'r');
}

/** The kernel's id of a cgroup v2 directory (its inode number). */
export function cgroupId(path: string): bigint {
  try {
    const stat = statSync(path, { bigint: true });
    if (stat.isDirectory() && existsSync(`${path}/cgroup.controllers`)) return stat.ino;
  } catch {
    // falls through to the error
  }
  throw new NetwatchError({ code: 'no-cgroup', path });
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

/** A network namespace: its inode number, and a path through which to enter it. */
export interface NetworkNamespace {
  readonly inode: number;
  readonly path: string | null;
}

function inodeOf(path: string): number | null {
  try {
    return statSync(path).ino;
  } catch {
    return null;
  }
}

const NAMED = '/run/netns';

/** Namespaces with a process or a name, one path for each inode. */
export function listNamespaces(): Map<number, string> {
  const found = new Map<number, string>();
  const add = (path: string): void => {
    const inode = inodeOf(path);
    if (inode !== null && !found.has(inode)) found.set(inode, path);
  };
  if (existsSync(NAMED)) for (const name of readdirSync(NAMED)) add(`${NAMED}/${name}`);
  for (const entry of readdirSync('/proc'))
    if (/^\d+$/.test(entry)) add(`/proc/${entry}/ns/net`);
  return found;
}

/** Resolves `--netns NAME|PATH|INODE`; throws if there is no such namespace. */
export function resolveNamespace(text: string): NetworkNamespace {
  if (/^\d+$/.test(text)) {
    const inode = Number(text);
    const path = listNamespaces().get(inode);
    if (path !== undefined) return { inode, path };
  } else {
    const path = text.includes('/') ? text : `${NAMED}/${text}`;
    const inode = inodeOf(path);
    if (inode !== null) return { inode, path };
  }
  throw new NetwatchError({ code: 'no-netns', name: text });
}
