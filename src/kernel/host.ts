/** The host around the programs: cgroup v2 and network namespaces. Needs no libbpf. */
import { existsSync, openSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { relative } from 'node:path';
import { NetwatchError } from '../failure.js';

/** The kernel writes blanks, line ends and backslashes as octal numbers. */
const unescaped = (field: string): string =>
  field.replaceAll(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );

/** Mount points of a file system type, oldest first. */
export function mountsOf(type: string): string[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter((fields) => fields[2] === type)
    .map((fields) => unescaped(fields[1] ?? ''));
}

/** Where cgroup v2 is mounted; null if it is not. */
export function cgroupRoot(): string | null {
  return mountsOf('cgroup2')[0] ?? null;
}

/** A descriptor of the root of cgroup v2, to attach cgroup_skb programs to. */
export function openCgroupRoot(): number {
  const root = cgroupRoot();
  if (root === null) {
    const what = 'cannot attach to cgroup v2';
    throw new NetwatchError({ code: 'system', what, reason: 'it is not mounted' });
  }
  return openSync(root, 'r');
}

/** A directory of cgroup v2. */
export interface Cgroup {
  /** The kernel's id of it (its inode number). */
  readonly id: bigint;
  /** How deep it is in the hierarchy, the root being 0; null where that is not seen from here. */
  readonly level: number | null;
}

/** The inode number of the root of cgroup v2, wherever one stands in the hierarchy. */
const ROOT_CGROUP = 1n;

/** Its depth below the mount that it is seen through; in a cgroup namespace that is not the root. */
function cgroupLevel(path: string): number | null {
  const absolute = realpathSync(path);
  for (const mount of mountsOf('cgroup2').map((name) => realpathSync(name))) {
    const below = relative(mount, absolute);
    if (below.startsWith('..')) continue;
    if (statSync(mount, { bigint: true }).ino !== ROOT_CGROUP) return null;
    return below === '' ? 0 : below.split('/').length;
  }
  return null;
}

/** Throws NetwatchError for what is no directory of cgroup v2. */
export function findCgroup(path: string): Cgroup {
  try {
    const stat = statSync(path, { bigint: true });
    if (stat.isDirectory() && existsSync(`${path}/cgroup.controllers`))
      return { id: stat.ino, level: cgroupLevel(path) };
  } catch {
    // falls through to the error
  }
  throw new NetwatchError({ code: 'no-cgroup', path });
}

/** The inode number of the first pid namespace, in every kernel (PROC_PID_INIT_INO). */
const INIT_PID_NAMESPACE = 0xeffffffc;

/**
 * The name of the process that the kernel knows by this number; null if it is gone, or if /proc here
 * has other numbers than the kernel's (in a container).
 */
export function processName(pid: number): string | null {
  try {
    if (statSync('/proc/self/ns/pid').ino !== INIT_PID_NAMESPACE) return null;
    return readFileSync(`/proc/${pid}/comm`, 'utf8').replace(/\n$/, '');
  } catch {
    return null;
  }
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
  for (const entry of readdirSync('/proc')) if (/^\d+$/.test(entry)) add(`/proc/${entry}/ns/net`);
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

/** Whether programs can be attached to functions by kprobes, which perf_event_open(2) makes. */
export const hasKprobes = (): boolean => existsSync('/sys/bus/event_source/devices/kprobe');
