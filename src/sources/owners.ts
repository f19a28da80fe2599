/**
 * Whose a socket is: the programs of bpf/include/socket_life.bpf.h that tell, for sources that need
 * them only where the filter asks for a process, and the look at start at who has what open.
 */
import { readIterator } from '../kernel/iterator.js';
import { hasSocketStorage, hasTracepoint } from '../kernel/kernel-btf.js';
import type { Attached } from '../kernel/source.js';
import type { Filter } from './filter.js';
import type { Gain } from './plan.js';

/** Run once, it writes the owners of sockets that existed before into their storage. */
const HOLDERS = 'task_file';
/** Removes a closed socket from the table that stands in for socket storage. */
const FORGET = 'forget_socket';

/** At every call that sends or receives; before 6.3 only where a process has read. */
const BY_CALL = ['user_sends', 'user_receives'];
const BY_READING = 'user_reads';

/** The programs that see which process reads and writes a connection. */
export const USER_PROGRAMS: readonly string[] = [...BY_CALL, BY_READING];

/** Those of them that this kernel needs. */
export function isUserProgramWanted(program: string): boolean {
  const isByCall = hasTracepoint('sock_send_length');
  return isByCall ? BY_CALL.includes(program) : program === BY_READING;
}

/** They choose by the process. */
const OWNER_OPTIONS = ['pid', 'comm', 'cgroup', 'unit', 'container'] as const;

const USER: Gain = {
  gives: 'the process that reads and writes a connection, where another one accepted it',
  options: OWNER_OPTIONS,
};

const ACCEPTER: Gain = {
  gives: 'the process that accepts a connection, where it is not the one that listens',
  options: OWNER_OPTIONS,
};

/** The programs that see accept(), also through io_uring. */
export const ACCEPT_PROGRAMS = [
  'sys_exit_accept',
  'sys_exit_accept4',
  'ring_submitted',
  'ring_submitted_sqe',
  'ring_completed',
] as const;

/** The tracepoint of a request to io_uring was renamed in 6.4. */
const SUBMITTED: Readonly<Partial<Record<string, string>>> = {
  ring_submitted: 'io_uring_submit_req',
  ring_submitted_sqe: 'io_uring_submit_sqe',
};

/** False for the twin of a program that is for other kernels. */
export function isAcceptProgramWanted(program: string): boolean {
  const tracepoint = SUBMITTED[program];
  return tracepoint === undefined || hasTracepoint(tracepoint);
}

/** The Linux that brought them, where that is not the oldest. */
const SINCE: Readonly<Partial<Record<string, string>>> = {
  ring_completed: '5.19',
};

function gainsOfAccept(gain: Gain): Readonly<Record<string, Gain>> {
  return Object.fromEntries(
    ACCEPT_PROGRAMS.map((program) => {
      const since = SINCE[program];
      return [program, since === undefined ? gain : { ...gain, since }];
    }),
  );
}

/** What they are good for, to a source for which accept() is more than an owner. */
export const acceptGains = (gives: string): Readonly<Record<string, Gain>> =>
  gainsOfAccept({ gives });

/** What these programs are good for. */
export const OWNER_GAINS: Readonly<Record<string, Gain>> = {
  ...gainsOfAccept(ACCEPTER),
  user_sends: { ...USER, since: '6.3' },
  user_receives: { ...USER, since: '6.3' },
  user_reads: USER,
  [HOLDERS]: {
    gives: 'the owners of connections older than netwatch',
    options: OWNER_OPTIONS,
  },
  [FORGET]: { gives: 'room for more sockets than 65,536 in all' },
};

/** To the sources that name who listens where a packet was bound for. */
export const LISTEN_GAINS: Readonly<Record<string, Gain>> = {
  sys_exit_listen: { gives: 'the process that listens where listen() has chosen the port' },
};

/** True if the filter asks for a process: by its number, its name, its cgroup or what that is called. */
export function asksForOwner({ pids, comm, cgroup, isNamed = false }: Filter): boolean {
  return pids.length > 0 || comm !== null || cgroup !== null || isNamed;
}

/** Whether one of these programs is wanted by a source that needs them for the filter alone. */
export function isOwnerProgramWanted(program: string, filter: Filter): boolean {
  return asksForOwner(filter) && fitsKernel(program);
}

/** Whether this kernel needs it, of programs of owners and others. */
export function fitsKernel(program: string): boolean {
  if (program === FORGET) return !hasSocketStorage();
  if (USER_PROGRAMS.includes(program)) return isUserProgramWanted(program);
  return isAcceptProgramWanted(program);
}

/** Writes the owners of sockets that existed before into their storage. */
export function seedOwners({ object, programs }: Attached): void {
  if (!programs.some(({ program, attached }) => program === HOLDERS && attached)) return;
  readIterator(object.linkFd(HOLDERS), null, 1, () => undefined);
  object.detach(HOLDERS);
}
