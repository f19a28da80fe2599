/**
 * solisten and sofdsnoop without a kernel: their columns as bcc and libbpf-tools print them, what
 * programs are told, the names of files that other processes have open.
 */
import { closeSync, mkdtempSync, openSync, rmSync, statSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { decodeFdPass, FD_PASS } from '../src/generated/fdpass.js';
import { decodeListen, LISTEN } from '../src/generated/listen.js';
import { fdPassColumns } from '../src/tools/sockets/fdpass-columns.js';
import { nameOfFile } from '../src/sources/file-name.js';
import { listenColumns } from '../src/tools/sockets/listen-columns.js';
import type { FdPassRecord } from '../src/sources/fdpass.js';
import type { ListenRecord } from '../src/sources/listen.js';
import type { Column } from '../src/terminal/column.js';
import { formatter, type Format } from '../src/terminal/format.js';

/** 13:07:09 of some day, wherever the clock is. */
const WALL_MS = new Date(2026, 10, 21, 13, 7, 9).getTime();
const wallMs = (tsNs: number): number => WALL_MS + tsNs / 1e6;

function shown<R>(columns: readonly Column<R>[], records: readonly R[], format: Format): string[] {
  const { head, line } = formatter(format, columns);
  return [head, ...records.map(line)].map((text) => text.replace(/\n$/, ''));
}

const objects = <R>(columns: readonly Column<R>[], record: R): unknown =>
  JSON.parse(shown(columns, [record], 'json')[1] ?? '');

const LISTENS: ListenRecord = {
  ...decodeListen(new DataView(new ArrayBuffer(LISTEN.size)), 0),
  pid: 4711,
  comm: 'nginx: worker pr',
  netns: 4_026_531_840,
  family: 2,
  localAddr: '0.0.0.0',
  localPort: 80,
  backlog: 511,
  requested: 511,
};
const FAILS: ListenRecord = {
  ...LISTENS,
  comm: 'node',
  family: 10,
  localAddr: '::1',
  backlog: 4096,
  requested: 0xffff_ffff,
  error: 98,
};

const LISTEN_OPTIONS = {
  output: 'table',
  libbpfLog: false,
  showNetns: false,
  timestamp: false,
  ret: false,
} as const;

t.test('solisten prints as bcc does, with --ret as libbpf-tools does', (t) => {
  const table = (options: Partial<Record<'showNetns' | 'timestamp' | 'ret', boolean>>): string[] =>
    shown(listenColumns({ ...LISTEN_OPTIONS, ...options }, wallMs), [LISTENS, FAILS], 'table');
  t.strictSame(table({}), [
    `PID     COMM         PROTO  BACKLOG  PORT  ${'ADDR'.padEnd(39)}`,
    `4711    nginx: worke TCPv4  511      80    ${'0.0.0.0'.padEnd(39)}`,
    `4711    node         TCPv6  4096     80    ${'::1'.padEnd(39)}`,
  ]);
  t.strictSame(table({ showNetns: true }).slice(0, 2), [
    `PID     COMM         NETNS        PROTO  BACKLOG  PORT  ${'ADDR'.padEnd(39)}`,
    `4711    nginx: worke 4026531840   TCPv4  511      80    ${'0.0.0.0'.padEnd(39)}`,
  ]);
  t.strictSame(table({ timestamp: true, ret: true }), [
    `TIME(s)  PID     COMM             RET BACKLOG PROTO PORT  ${'ADDR'.padEnd(32)}`,
    `13:07:09 4711    nginx: worker pr 0   511     TCPv4 80    ${'0.0.0.0'.padEnd(32)}`,
    `13:07:09 4711    node             -98 4096    TCPv6 80    ${'::1'.padEnd(32)}`,
  ]);
  t.end();
});

t.test('solisten tells programs the result, and what was asked for', (t) => {
  const columns = listenColumns({ ...LISTEN_OPTIONS, output: 'json' }, wallMs);
  t.strictSame(objects(columns, FAILS), {
    time: new Date(WALL_MS).toISOString(),
    pid: 4711,
    process: 'node',
    netns: 4_026_531_840,
    network_transport: 'tcp',
    network_type: 'ipv6',
    backlog: 4096,
    network_local_port: 80,
    network_local_address: '::1',
    error: 'EADDRINUSE',
    backlog_requested: -1,
    sock: '-',
  });
  t.match(objects(columns, LISTENS), { error: null, backlog_requested: 511 });
  t.end();
});

const SENDS: FdPassRecord = {
  ...decodeFdPass(new DataView(new ArrayBuffer(FD_PASS.size)), 0),
  tsNs: 5e9,
  action: 'SEND',
  pid: 2500,
  comm: 'firefox',
  tid: 2576,
  threadComm: 'Web Content',
  socketFd: 24,
  socketInode: 39_763,
  fd: 51,
  file: '/dev/dri/card0',
};
const RECEIVES: FdPassRecord = { ...SENDS, tsNs: 5_000_250_000, action: 'RECV', fd: 7 };

t.test('sofdsnoop prints as bcc does, with time if asked', (t) => {
  const table = (timestamp: boolean): string[] =>
    shown(
      fdPassColumns({ output: 'table', libbpfLog: false, timestamp }, wallMs),
      [SENDS, RECEIVES, { ...SENDS, file: null }],
      'table',
    );
  t.strictSame(table(false), [
    'ACTION TID    COMM             SOCKET                    FD    NAME',
    'SEND   2576   Web Content      24:socket:[39763]         51    /dev/dri/card0',
    'RECV   2576   Web Content      24:socket:[39763]         7     ',
    'SEND   2576   Web Content      24:socket:[39763]         51    N/A',
  ]);
  t.strictSame(table(true).slice(0, 3), [
    'TIME(s)       ACTION TID    COMM             SOCKET                    FD    NAME',
    '0.000000000   SEND   2576   Web Content      24:socket:[39763]         51    /dev/dri/card0',
    '0.000250000   RECV   2576   Web Content      24:socket:[39763]         7     ',
  ]);
  const columns = fdPassColumns({ output: 'json', libbpfLog: false, timestamp: false }, wallMs);
  t.strictSame(objects(columns, RECEIVES), {
    time: new Date(WALL_MS + 5000.25).toISOString(),
    action: 'RECV',
    tid: 2576,
    thread: 'Web Content',
    socket_fd: 24,
    socket_inode: 39_763,
    fd: 7,
    file: '/dev/dri/card0',
    pid: 2500,
    process: 'firefox',
    netns: 0,
  });
  t.end();
});

t.test('a file that a process still has open has its whole path', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'nwtest-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'passed');
  const fd = openSync(path, 'w');
  const { ino: inode, mode } = statSync(path);
  const known = { tid: process.pid, fd, inode, mode, name: 'passed' };
  t.equal(nameOfFile(known), path);
  t.equal(
    nameOfFile({ ...known, inode: inode + 1 }),
    'passed',
    'the number is of another file now',
  );
  unlinkSync(path);
  t.equal(nameOfFile(known), `${path} (deleted)`);
  closeSync(fd);
  t.equal(nameOfFile(known), 'passed', 'closed');
  const device = { ...known, inode: statSync('/dev/null').ino, mode: 0o020666, name: 'null' };
  t.equal(nameOfFile(device), '/dev/null', 'a device, as no word for nothing');
  t.equal(nameOfFile({ ...device, inode: 1 }), 'null', 'a node of another directory');
  t.equal(nameOfFile({ ...device, mode: 0o100666 }), 'null', 'a file that is called so');
  t.equal(nameOfFile({ ...known, inode: 0 }), null, 'closed before anybody looked');
  t.equal(nameOfFile({ ...known, mode: 0o140777 }), `socket:[${inode}]`);
  t.equal(nameOfFile({ ...known, mode: 0o010600, name: '' }), `pipe:[${inode}]`);
  t.equal(nameOfFile({ ...known, mode: 0, name: '' }), null);
  t.end();
});
