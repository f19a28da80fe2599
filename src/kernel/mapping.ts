/** Memory from mmap(2). */
import { NetwatchError } from '../failure.js';
import { errno, MAP_FAILED, type Pointer } from './ffi.js';
import { c } from './libc.js';
import { describeErrno } from './system-error.js';

export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const MAP_SHARED = 1;
export const MAP_PRIVATE = 2;
export const MAP_ANONYMOUS = 0x20;

export interface Mapping {
  /** For the message if the kernel refuses. */
  readonly what: string;
  /** In bytes. */
  readonly length: number;
  readonly protection: number;
  readonly flags: number;
  /** -1: none. */
  readonly fd: number;
  readonly offset: number;
}

/** Where it is. Throws NetwatchError if the kernel refuses. */
export function mapMemory({ what, length, protection, flags, fd, offset }: Mapping): Pointer {
  const at = c.mmap(null, length, protection, flags, fd, offset);
  if (at === null || at === MAP_FAILED)
    throw new NetwatchError({
      code: 'system',
      what: `cannot map ${what}`,
      reason: describeErrno(errno()),
    });
  return at;
}
