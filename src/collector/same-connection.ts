/** What two records of one socket say together: whether they are of one connection, and whose it is. */
import { OWNER_SOURCE, ROLE } from '../generated/connection.js';
import type { Connection } from '../sources/connection.js';

/** A socket's address is used again: another opening or other ports, another connection. */
export function isOther(a: Connection, b: Connection): boolean {
  if (a.localPort !== b.localPort || a.peerPort !== b.peerPort) return true;
  if (a.localAddr !== b.localAddr || a.peerAddr !== b.peerAddr) return true;
  return a.openNs !== null && b.openNs !== null && a.openNs !== b.openNs;
}

/** Before accept() at most the listener's owner is known: the process that gets it may be another. */
export function awaitsAccept({ ownerSource, role, openNs }: Connection): boolean {
  // of one that is older than netwatch nobody will tell any more
  if (ownerSource === OWNER_SOURCE.NW_OWNER_NONE)
    return role === ROLE.NW_ROLE_SERVER && openNs !== null;
  return ownerSource === OWNER_SOURCE.NW_OWNER_LISTENER;
}

/** Whose a connection is, without the rest. */
export type OwnerFields = Pick<
  Connection,
  'pid' | 'uid' | 'comm' | 'startNs' | 'cgroup' | 'acceptedBy' | 'acceptedByComm' | 'ownerSource'
>;

/** What accept() told stands, also where a later record does not know it yet: null if that knows it. */
export function ownerToKeep(before: Connection, now: Connection): OwnerFields | null {
  if (before.ownerSource <= now.ownerSource) return null;
  return ownerFields(before, before.ownerSource);
}

/** Whose it is, as `ownerSource` has it. */
export function ownerFields(
  of: Omit<OwnerFields, 'ownerSource'>,
  ownerSource: number,
): OwnerFields {
  const { pid, uid, comm, startNs, cgroup, acceptedBy, acceptedByComm } = of;
  return { pid, uid, comm, startNs, cgroup, acceptedBy, acceptedByComm, ownerSource };
}
