/**
 * What every source says of itself, so that one can know what it will do on a machine without
 * opening it: which programs it wants for which options, what each of them is good for, which other
 * parts of the kernel it uses where they are. `netwatch doctor` reads it; the sources follow it.
 */
import {
  describeCapability,
  hasCapability,
  ownCapabilities,
  type Capability,
} from '../kernel/capabilities.js';
import type { Obstacle } from '../kernel/hooks.js';
import { hasFunction, hasHelper, tracepointArguments } from '../kernel/kernel-btf.js';
import type { SourceSpec } from '../kernel/source.js';
import type { Filter } from './filter.js';

/** What decides which programs are loaded; the names are those of the collector's options. */
export interface WatchOptions {
  readonly filter: Filter;
  readonly retrans: boolean;
  readonly time: boolean;
  readonly http: boolean;
  readonly err: boolean;
}

/** The oldest Linux that netwatch runs on; see docs/kernels.md. */
export const OLDEST_KERNEL = '5.10';

/** What would be missing without something. */
export interface Gain {
  /** Completes "works without …". */
  readonly gives: string;
  /** The Linux that brought it; absent: all that netwatch runs on have it. */
  readonly since?: string;
  /** Options that suffer without it, by their names, besides those that ask for it. */
  readonly options?: readonly string[];
}

/** A part of the kernel that is no hook, or a right: used where it is there. */
export interface Feature extends Gain {
  /** `helper bpf_loop`, `kfree_skb(reason)`, `CAP_SYS_ADMIN`. */
  readonly needs: string;
  /** Null if it is there. */
  readonly obstacle: () => Obstacle | null;
}

export interface SourcePlan {
  /** What the collector loads for these options; null: they do not ask for this source. */
  readonly spec: (options: WatchOptions) => SourceSpec | null;
  /** What each program of the object is for. */
  readonly programs: Readonly<Record<string, Gain>>;
  readonly features: readonly Feature[];
}

/** The ring of a source that is only tried: one page. */
export const TRIAL_RING_BYTES = 4096;

function kernelFeature(gain: Gain, needs: string, reason: string, has: () => boolean): Feature {
  return { ...gain, needs, obstacle: () => (has() ? null : { reason, fix: null }) };
}

/** A helper that programs call: `sock_from_file` for bpf_sock_from_file. */
export function helperFeature(name: string, gain: Gain): Feature {
  const needs = `helper bpf_${name}`;
  return kernelFeature(gain, needs, `no ${needs}`, () => hasHelper(name));
}

/** A function of the kernel that programs call. */
export function functionFeature(name: string, gain: Gain): Feature {
  const needs = `function ${name}`;
  return kernelFeature(gain, needs, `no ${needs}`, () => hasFunction(name));
}

/** A value that a tracepoint passes on in newer kernels: the `count`th. */
export function argumentFeature(
  [tracepoint, value, count]: readonly [tracepoint: string, value: string, count: number],
  gain: Gain,
): Feature {
  const reason = `tracepoint ${tracepoint} passes on no ${value}`;
  const isThere = (): boolean => tracepointArguments(tracepoint) >= count;
  return kernelFeature(gain, `${tracepoint}(${value})`, reason, isThere);
}

/** A right of the process without which something is missing. */
export function rightFeature(name: Capability, gain: Gain): Feature {
  return {
    ...gain,
    needs: name,
    obstacle: () =>
      hasCapability(ownCapabilities().effective, name)
        ? null
        : { reason: `no ${describeCapability(name)}`, fix: `run it as root, or give it ${name}` },
  };
}

/** True if a feature is there. */
export function has({ obstacle }: Feature): boolean {
  return obstacle() === null;
}
