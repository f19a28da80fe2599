/**
 * /sys as another network namespace has it. What is mounted shows the devices of the namespace in
 * which it was mounted, so one is made for the moment, which nobody else sees (fsopen(2), 5.2).
 */
import { closeSync, statSync } from 'node:fs';
import { errno } from './ffi.js';
import { c } from './libc.js';
import { NetwatchError } from '../failure.js';
import { inNamespace } from './iterator.js';
import { describeErrno } from './system-error.js';

// Linux gives calls from 424 on the same number on every architecture.
const SYS_FSOPEN = 430;
const SYS_FSCONFIG = 431;
const SYS_FSMOUNT = 432;
const CLOEXEC = 1;
const FSCONFIG_CMD_CREATE = 6;

/** Where this thread is. */
export const OWN_NAMESPACE = '/proc/thread-self/ns/net';

function checked(result: number): number {
  if (result >= 0) return result;
  const what = 'cannot see the devices of a network namespace';
  throw new NetwatchError({ code: 'system', what, reason: describeErrno(errno()) });
}

/** A mount of its own, by a descriptor that is its only name. */
function mountSysfs(): number {
  const context = checked(c.fsopen(SYS_FSOPEN, 'sysfs', CLOEXEC));
  try {
    checked(c.fsconfig(SYS_FSCONFIG, context, FSCONFIG_CMD_CREATE, null, null, 0));
    return checked(c.fsmount(SYS_FSMOUNT, context, CLOEXEC, 0));
  } finally {
    closeSync(context);
  }
}

/** Null where it may not be had and is not needed: what is mounted most likely shows this namespace. */
function sysfsOf(path: string): number | null {
  const isOwn = statSync(path).ino === statSync(OWN_NAMESPACE).ino;
  try {
    return inNamespace(path, mountSysfs);
  } catch (error) {
    if (isOwn && error instanceof NetwatchError) return null;
    throw error;
  }
}

/**
 * Runs `action` on a path of sysfs that shows the devices of the network namespace at `path`. Throws
 * NetwatchError without CAP_SYS_ADMIN, unless it is this one.
 */
export function withSysfs<T>(path: string, action: (sysfs: string) => T): T {
  const mount = sysfsOf(path);
  if (mount === null) return action('/sys');
  try {
    return action(`/proc/self/fd/${mount}`);
  } finally {
    closeSync(mount);
  }
}
