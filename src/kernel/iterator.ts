/**
 * Reads BPF iterators (iter/tcp, iter/task_file) as binary records. iter/tcp
 * walks the sockets of the network namespace in which it is opened, so the
 * thread enters each watched namespace for the moment of opening.
 */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { errno } from './ffi.js';
import { libbpf } from './libbpf.js';
import { c } from './libc.js';
import { NetwatchError } from '../failure.js';
import { describeErrno } from './system-error.js';

const CLONE_NEWNET = 0x40000000;
/** Few large reads: each walks the socket table from where it left off. */
const READ_BYTES = 1 << 20;

function fail(what: string): never {
  throw new NetwatchError({ code: 'system', what, reason: describeErrno(errno()) });
}

/**
 * Runs `action` with this thread in another network namespace. To enter one needs CAP_SYS_ADMIN,
 * unless the thread is there already.
 */
export function inNamespace<T>(path: string | null, action: () => T): T {
  if (path === null) return action();
  const home = openSync('/proc/thread-self/ns/net', 'r');
  try {
    const target = openSync(path, 'r');
    try {
      if (fstatSync(target).ino === fstatSync(home).ino) return action();
      if (c.setns(target, CLONE_NEWNET) !== 0) fail(`cannot enter the network namespace ${path}`);
    } finally {
      closeSync(target);
    }
    try {
      return action();
    } finally {
      if (c.setns(home, CLONE_NEWNET) !== 0) fail('cannot leave a network namespace');
    }
  } finally {
    closeSync(home);
  }
}

const buffer = Buffer.alloc(READ_BYTES);
const view = new DataView(buffer.buffer, buffer.byteOffset, READ_BYTES);

/**
 * Runs an iterator to its end in the namespace at `path` (null = this one) and
 * hands every record of `recordBytes` to `take`. The view is only good inside
 * the call. Returns the number of records.
 */
export function readIterator(
  linkFd: number,
  path: string | null,
  recordBytes: number,
  take: (view: DataView, at: number) => void,
): number {
  const fd = inNamespace(path, () => libbpf.iteratorCreate(linkFd));
  if (fd < 0) fail('cannot create a BPF iterator');
  let kept = 0;
  let records = 0;
  try {
    for (;;) {
      const length = c.read(fd, buffer.subarray(kept), READ_BYTES - kept);
      if (length < 0) fail('cannot read a BPF iterator');
      if (length === 0) return records;
      const total = kept + length;
      let at = 0;
      for (; at + recordBytes <= total; at += recordBytes) {
        take(view, at);
        records++;
      }
      buffer.copyWithin(0, at, total);
      kept = total - at;
    }
  } finally {
    closeSync(fd);
  }
}
