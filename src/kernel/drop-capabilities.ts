/**
 * Gives up capabilities that are needed only to start. The kernel keeps them per thread, and so
 * does capset(2): the thread that runs the program is reduced here. Node's helper threads (file
 * access, compiler) lose all of theirs if the process is not root's and may change its uid, see
 * {@link stripOtherThreads}; root's keep them, as uid 0 needs them for its files.
 */
import { keptCapabilities, hasCapability, maskOf, ownCapabilities } from './capabilities.js';
import type { Circumstances } from './capabilities.js';
import { errno } from './ffi.js';
import { c } from './libc.js';
import { NetwatchError } from '../failure.js';
import { describeErrno } from './system-error.js';

/** _LINUX_CAPABILITY_VERSION_3: 64 bits, as two structs of 32. */
const CAPSET_VERSION = 0x20080522;

const PR_SET_DUMPABLE = 4;
const PR_SET_KEEPCAPS = 8;
const PR_CAPBSET_READ = 23;
const PR_CAPBSET_DROP = 24;
const PR_CAP_AMBIENT = 47;
const PR_CAP_AMBIENT_CLEAR_ALL = 4;

function check(result: number, what: string): void {
  if (result !== 0)
    throw new NetwatchError({ code: 'system', what, reason: describeErrno(errno()) });
}

function prctl(option: number, argument: number): number {
  return c.prctl(option, argument, 0, 0, 0);
}

/**
 * Takes all capabilities from the other threads. glibc's setresuid reaches every thread, and a
 * thread that leaves uid 0 behind loses what it has, unless it asked to keep it, as this one does.
 */
function stripOtherThreads(uid: number): void {
  check(prctl(PR_SET_KEEPCAPS, 1), 'cannot keep the capabilities of this thread');
  // Where uid 0 does not exist (some containers) the other threads stay as they are.
  if (c.setresuid(0, 0, 0) === 0) {
    check(c.setresuid(uid, uid, uid), `cannot go back to uid ${uid}`);
    // Else /proc/self would belong to root from now on.
    check(prctl(PR_SET_DUMPABLE, 1), 'cannot read /proc/self');
  }
  check(prctl(PR_SET_KEEPCAPS, 0), 'cannot forget the capabilities of this thread');
}

/** What no program that is started from here can get back; needs CAP_SETPCAP, so often refused. */
function dropBoundingSet(keep: bigint): void {
  for (let bit = 0; prctl(PR_CAPBSET_READ, bit) >= 0; bit++)
    if (((keep >> BigInt(bit)) & 1n) === 0n) prctl(PR_CAPBSET_DROP, bit);
}

function setOwn(set: bigint): void {
  const header = Uint32Array.of(CAPSET_VERSION, 0);
  const [low, high] = [Number(set & 0xffffffffn), Number(set >> 32n)];
  const data = Uint32Array.of(low, low, 0, high, high, 0);
  check(c.capset(header, data), 'cannot give up capabilities');
}

/**
 * Keeps what {@link keptCapabilities} says, as far as it is there: effective and permitted;
 * nothing is inherited by programs started from here. Call it when everything is attached and
 * before anything is written: files created meanwhile could be root's. Returns what is kept.
 */
export function dropCapabilities(circumstances: Circumstances): bigint {
  const before = ownCapabilities();
  const keep = before.permitted & maskOf(keptCapabilities(circumstances));
  dropBoundingSet(keep);
  if (!circumstances.root && hasCapability(before.effective, 'CAP_SETUID'))
    stripOtherThreads(process.getuid?.() ?? 0);
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL);
  setOwn(keep);
  return keep;
}
