/**
 * Facts about the host, read from its files: nothing is judged, nothing is loaded, libbpf is not
 * needed. Part one of three: facts -> rules -> words.
 */
import { accessSync, constants, readdirSync, readFileSync, statSync } from 'node:fs';
import { machine, release } from 'node:os';
import { dirname, resolve } from 'node:path';
import {
  hasCapability,
  KNOWN_CAPABILITIES,
  missingCapabilities,
  ownCapabilities,
  purposeOf,
} from '../kernel/capabilities.js';
import { cgroupRoot, hasKprobes, mountsOf } from '../kernel/host.js';
import { lockHolder } from '../sinks/directory-lock.js';
import type { Facts } from './report.js';

/** Facts that need no libbpf. */
export type HostFacts = Omit<Facts, 'libbpf' | 'ringBuffer' | 'fentry' | 'memlock'> & {
  readonly memlock: Pick<Facts['memlock'], 'limitBytes'>;
};

const BTF_PATH = '/sys/kernel/btf/vmlinux';

/** Trimmed; null if it cannot be read. */
function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null;
  }
}

function sysctl(name: string): number | null {
  const text = read(`/proc/sys/${name.replaceAll('.', '/')}`);
  return text === null || !/^-?\d+$/.test(text) ? null : Number(text);
}

function sizeOf(path: string): number | null {
  try {
    accessSync(path, constants.R_OK);
    return statSync(path).size;
  } catch {
    return null;
  }
}

/** The word in brackets of `none [integrity] confidentiality`. */
export function chosenWord(text: string): string | null {
  return /\[(\w+)\]/.exec(text)?.[1] ?? null;
}

/** The soft limit of locked memory in /proc/PID/limits; null: unlimited. */
export function lockedMemoryLimit(limits: string): number | null {
  const soft = /^Max locked memory +(\S+)/m.exec(limits)?.[1] ?? 'unlimited';
  return soft === 'unlimited' ? null : Number(soft);
}

function tracefs(): Facts['tracefs'] {
  const path = mountsOf('tracefs')[0] ?? null;
  try {
    return { path, readable: path !== null && readdirSync(`${path}/events`).length > 0 };
  } catch {
    return { path, readable: false };
  }
}

function capabilities(): Facts['capabilities'] {
  const { effective } = ownCapabilities();
  const essential = new Set(missingCapabilities(effective));
  const isHeld = new Map(
    KNOWN_CAPABILITIES.map((name) => [name, hasCapability(effective, name)] as const),
  );
  return {
    uid: process.getuid?.() ?? -1,
    held: KNOWN_CAPABILITIES.filter((name) => isHeld.get(name)),
    missing: KNOWN_CAPABILITIES.filter((name) => !isHeld.get(name)).map((name) => ({
      name,
      purpose: purposeOf(name),
      essential: essential.has(name),
    })),
  };
}

/** Why no file can be made in a directory, which is made if it is not there; null: it can. */
function whyNotWritable(directory: string): string | null {
  try {
    accessSync(directory, constants.W_OK | constants.X_OK);
    return statSync(directory).isDirectory() ? null : `${directory} is not a directory`;
  } catch (error) {
    const { code = 'unknown' } = error as NodeJS.ErrnoException;
    const parent = dirname(directory);
    if (code === 'ENOENT' && parent !== directory) return whyNotWritable(parent);
    return `${directory} cannot be written: ${code}`;
  }
}

export async function readHostFacts(directory: string): Promise<HostFacts> {
  const lockdown = read('/sys/kernel/security/lockdown');
  return {
    kernel: { release: release(), architecture: machine() },
    node: { version: process.versions.node },
    btf: { path: BTF_PATH, bytes: sizeOf(BTF_PATH) },
    tracefs: tracefs(),
    cgroup2: { path: cgroupRoot() },
    capabilities: capabilities(),
    lockdown: lockdown === null ? null : chosenWord(lockdown),
    unprivilegedBpfDisabled: sysctl('kernel.unprivileged_bpf_disabled'),
    memlock: { limitBytes: lockedMemoryLimit(read('/proc/self/limits') ?? '') },
    kprobes: hasKprobes(),
    jit: sysctl('net.core.bpf_jit_enable'),
    bpfStats: sysctl('kernel.bpf_stats_enabled'),
    data: {
      directory,
      reason: whyNotWritable(resolve(directory)),
      collectorPid: await lockHolder(directory),
    },
  };
}
