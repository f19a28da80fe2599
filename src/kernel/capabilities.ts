/**
 * The Linux capabilities netwatch knows: what each is for, which are needed to start and which are
 * kept when everything is attached. Needs no libbpf; `drop-capabilities.ts` acts on it.
 */
import { readFileSync } from 'node:fs';

/** Bit of each capability (linux/capability.h), and what netwatch does with it. */
const CAPABILITIES = {
  CAP_DAC_OVERRIDE: { bit: 1, purpose: 'write into a directory of another user' },
  CAP_DAC_READ_SEARCH: {
    bit: 2,
    purpose: 'read tracefs, to find the tracepoints of accept and listen',
  },
  CAP_FOWNER: { bit: 3, purpose: 'set the mode of files of another user' },
  CAP_KILL: { bit: 5, purpose: 'end the endpoint, which runs as another user' },
  CAP_SETGID: { bit: 6, purpose: 'start the endpoint in another group' },
  CAP_SETUID: {
    bit: 7,
    purpose: 'start the endpoint as another user; take capabilities from other threads',
  },
  CAP_NET_BIND_SERVICE: { bit: 10, purpose: 'let the endpoint listen on a port below 1024' },
  CAP_NET_ADMIN: { bit: 12, purpose: 'see packets' },
  CAP_SYS_PTRACE: { bit: 19, purpose: 'find network namespaces of processes of other users' },
  CAP_SYS_ADMIN: { bit: 21, purpose: 'enter other network namespaces' },
  CAP_SYS_NICE: { bit: 23, purpose: 'run before others while a buffer of the kernel fills up' },
  CAP_SYS_RESOURCE: { bit: 24, purpose: 'lock memory for maps, before Linux 5.11' },
  CAP_PERFMON: { bit: 38, purpose: 'attach to tracepoints' },
  CAP_BPF: { bit: 39, purpose: 'load programs' },
} as const;

export type Capability = keyof typeof CAPABILITIES;

/** `CAP_BPF (load programs)`. */
export function describeCapability(name: Capability): string {
  return `${name} (${CAPABILITIES[name].purpose})`;
}

/** `load programs`. */
export function purposeOf(name: Capability): string {
  return CAPABILITIES[name].purpose;
}

/** Those that netwatch has a use for, in the order of their bits. */
export const KNOWN_CAPABILITIES = Object.keys(CAPABILITIES) as Capability[];

/** Sets of capabilities of a process, as bits. */
export interface CapabilitySets {
  readonly effective: bigint;
  readonly permitted: bigint;
}

/** Those of this process, as /proc says; none where it does not say. */
export function ownCapabilities(): CapabilitySets {
  const status = readFileSync('/proc/self/status', 'utf8');
  const set = (name: string): bigint =>
    BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)`, 'm').exec(status)?.[1] ?? '0'}`);
  return { effective: set('CapEff'), permitted: set('CapPrm') };
}

/** The bits of some capabilities. */
export function maskOf(names: readonly Capability[]): bigint {
  return names.reduce((mask, name) => mask | (1n << BigInt(CAPABILITIES[name].bit)), 0n);
}

export function hasCapability(set: bigint, name: Capability): boolean {
  return (set & maskOf([name])) !== 0n;
}

/** What no run can do without. */
const ESSENTIAL: readonly Capability[] = ['CAP_BPF', 'CAP_PERFMON', 'CAP_NET_ADMIN'];

/** What is missing to start. CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON, as in the kernel. */
export function missingCapabilities(effective: bigint): Capability[] {
  const included: readonly Capability[] = hasCapability(effective, 'CAP_SYS_ADMIN')
    ? ['CAP_BPF', 'CAP_PERFMON']
    : [];
  return ESSENTIAL.filter((name) => !included.includes(name) && !hasCapability(effective, name));
}

export interface Circumstances {
  /** Running as uid 0. */
  readonly root: boolean;
  /** The endpoint is a child of the collector, to be started again if it ends. */
  readonly listens: boolean;
}

/**
 * What is kept, of what there is, once everything is attached. CAP_BPF: kernels before 5.19 ask for
 * it at every read of a map. Root's files may belong to anybody, and its child to another user.
 */
export function keptCapabilities({ root, listens }: Circumstances): Capability[] {
  const always: readonly Capability[] = [
    'CAP_BPF',
    'CAP_SYS_ADMIN',
    'CAP_SYS_PTRACE',
    'CAP_SYS_NICE',
  ];
  const files: readonly Capability[] = root ? ['CAP_DAC_OVERRIDE', 'CAP_FOWNER'] : [];
  const child: readonly Capability[] =
    root && listens ? ['CAP_KILL', 'CAP_NET_BIND_SERVICE', 'CAP_SETGID', 'CAP_SETUID'] : [];
  return [...always, ...files, ...child];
}
