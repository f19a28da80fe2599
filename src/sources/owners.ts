/**
 * Whose a socket is: the programs of bpf/include/socket_life.bpf.h that tell, for sources that need
 * them only where the filter asks for a process, and the look at start at who has what open.
 */
import { readIterator } from '../kernel/iterator.js';
import { hasSocketStorage } from '../kernel/kernel-btf.js';
import type { Attached } from '../kernel/source.js';
import type { Filter } from './filter.js';
import type { Gain } from './plan.js';

/** Run once, it writes the owners of sockets that existed before into their storage. */
const HOLDERS = 'task_file';
/** Removes a closed socket from the table that stands in for socket storage. */
const FORGET = 'forget_socket';

const ACCEPTER: Gain = {
  gives: 'the process that accepts a connection, where it is not the one that listens',
  options: ['pid', 'comm', 'cgroup'],
};

/** What these programs are good for. */
export const OWNER_GAINS: Readonly<Record<string, Gain>> = {
  sys_exit_accept: ACCEPTER,
  sys_exit_accept4: ACCEPTER,
  [HOLDERS]: {
    gives: 'the owners of connections older than netwatch',
    options: ['pid', 'comm', 'cgroup'],
  },
  [FORGET]: { gives: 'room for more sockets than 65,536 in all' },
};

/** True if the filter asks for a process: by its number, its name or its cgroup. */
export function asksForOwner({ pids, comm, cgroup }: Filter): boolean {
  return pids.length > 0 || comm !== null || cgroup !== null;
}

/** Whether one of these programs is wanted by a source that needs them for the filter alone. */
export function isOwnerProgramWanted(program: string, filter: Filter): boolean {
  return asksForOwner(filter) && (program !== FORGET || !hasSocketStorage());
}

/** Writes the owners of sockets that existed before into their storage. */
export function seedOwners({ object, programs }: Attached): void {
  if (!programs.some(({ program, attached }) => program === HOLDERS && attached)) return;
  readIterator(object.linkFd(HOLDERS), null, 1, () => undefined);
  object.detach(HOLDERS);
}
