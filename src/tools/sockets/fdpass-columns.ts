/** The columns of sofdsnoop. Pure. */
import type { FdPassRecord } from '../../sources/fdpass.js';
import { column, columnWith, type Column } from '../../terminal/column.js';
import type { CommonOptions } from '../../terminal/common.js';
import { jsonFields } from '../../terminal/record-columns.js';

type R = FdPassRecord;

export interface FdPassColumns extends CommonOptions {
  readonly timestamp: boolean;
}

const NS_PER_S = 1e9;

/** Seconds since the first event that was shown, with the nine decimals that they have. */
function secondsColumn(): Column<R> {
  let firstNs: number | null = null;
  const seconds = ({ tsNs }: R): string => {
    firstNs ??= tsNs;
    return ((tsNs - firstNs) / NS_PER_S).toFixed(9);
  };
  return columnWith('TIME(s)', 14, seconds, () => ({}));
}

/** `24:socket:[39763]`: the socket as the process numbers it, and which one that is. */
const SOCKET: Column<R> = columnWith(
  'SOCKET',
  25,
  ({ socketFd, socketInode }) => `${socketFd}:socket:[${socketInode}]`,
  ({ socketFd, socketInode }) => ({ socket_fd: socketFd, socket_inode: socketInode }),
);

/** For a person only where a file is sent: its receiver gets the same. */
const NAME: Column<R> = columnWith(
  'NAME',
  0,
  ({ action, file }) => (action === 'SEND' ? file : ''),
  ({ file }) => ({ file }),
);

export function fdPassColumns(
  { timestamp, output }: FdPassColumns,
  wallMs: (tsNs: number) => number,
): readonly Column<R>[] {
  const action: Column<R> = column('ACTION', 6, 'action', (r) => r.action);
  return [
    ...jsonFields<R>(output === 'json', ({ tsNs }) => ({
      time: new Date(wallMs(tsNs)).toISOString(),
    })),
    ...(timestamp ? [secondsColumn(), { ...action, before: '' }] : [action]),
    column('TID', 6, 'tid', ({ tid }) => tid),
    column('COMM', 16, 'thread', ({ threadComm }) => threadComm),
    SOCKET,
    column('FD', 5, 'fd', ({ fd }) => fd),
    NAME,
    ...jsonFields<R>(output === 'json', ({ pid, comm, netns }) => ({ pid, process: comm, netns })),
  ];
}
