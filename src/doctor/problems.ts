/**
 * What is to blame for an obstacle, and what would fix it. Part two of three: facts -> rules ->
 * words.
 */
import type { NetwatchError } from '../failure.js';
import type { Obstacle } from '../kernel/hooks.js';
import type { Facts, Problem } from './report.js';

/** `5.10` and `6.2` as numbers that compare. */
function rank(version: string): number {
  const [, major = '0', minor = '0'] = /^(\d+)\.(\d+)/.exec(version) ?? [];
  return Number(major) * 1000 + Number(minor);
}

/** Whether a kernel comes after another one, by release: `6.1.0-56-amd64` is older than `6.2`. */
export function isOlder(release: string, version: string): boolean {
  return rank(release) < rank(version);
}

/** The problem behind an obstacle of something that Linux `since` brought. */
export function problemOf({ reason, fix }: Obstacle, since: string, release: string): Problem {
  if (fix !== null) return { reason, fault: 'environment', fix };
  const newer = isOlder(release, since) ? `Linux ${since} or newer` : null;
  return { reason, fault: 'kernel', fix: newer };
}

/** The problem behind an expected failure: its sentence, and what it says to do. */
export function problemOfError(error: NetwatchError): Problem {
  const [reason = ''] = error.message.split('\n');
  const fault = error.exitCode === 4 ? 'kernel' : 'environment';
  return { reason, fault, fix: error.next === '' ? null : error.next };
}

/** Why a kernel refuses to load anything at all, for a process that holds what it needs to. */
export function refusalOf(
  error: NetwatchError,
  { lockdown, memlock }: Pick<Facts, 'lockdown' | 'memlock'>,
): Problem {
  const [reason = ''] = error.message.split('\n');
  const fix =
    lockdown === 'confidentiality'
      ? 'boot without lockdown=confidentiality'
      : memlock.matters === true && memlock.limitBytes !== null
        ? 'raise the limit of locked memory: ulimit -l unlimited, or LimitMEMLOCK=infinity'
        : 'see what a container or a security module forbids: bpf(2) is refused';
  return { reason, fault: 'environment', fix };
}
