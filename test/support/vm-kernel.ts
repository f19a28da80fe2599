/**
 * What kernels have since when: the tests' own knowledge, apart from what netwatch finds out by asking
 * the kernel. So "too old" can excuse nothing on a kernel that is new enough.
 */
import { release } from 'node:os';

export type Version = `${number}.${number}`;

function ordinal(version: string): number {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major * 1000 + minor;
}

/** Whether the running kernel (or another release) is of this version or newer. */
export function since(version: Version, kernel = release()): boolean {
  return ordinal(kernel.replace(/^(\d+\.\d+).*/, '$1')) >= ordinal(version);
}

/** A reason to skip a test, only where the kernel is really too old; what tap's `skip` option takes. */
export function needsKernel(version: Version, what: string, kernel = release()): string | false {
  return since(version, kernel) ? false : `${what} since Linux ${version}; this is ${kernel}`;
}

/** Whether programs can be attached to functions (fentry, fexit); arm64 came later. */
export function hasTrampolines(architecture = process.arch): boolean {
  return since(architecture === 'arm64' ? '6.4' : '5.5');
}

/** Whether layer times can be had (atomic operations), and at the very functions of the kernel. */
export const hasTimes = (): boolean => since('5.12');
export const hasExactTimes = (): boolean => hasTimes() && hasTrampolines();
