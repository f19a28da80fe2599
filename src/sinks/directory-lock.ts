/**
 * One writer per file and directory: whoever holds the flock(2) of `.netwatch.lock` writes there as
 * the collector, whoever holds that of `.insight.lock` keeps insight.prom; the file says which
 * process that is. The kernel gives the lock free with the process, however that ends, so nothing
 * has to be cleaned up after a crash; it holds across PID namespaces too.
 */
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { constants as system } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { errno } from '../kernel/ffi.js';
import { c } from '../kernel/libc.js';
import { errnoName } from '../kernel/system-error.js';
import { removeIfThere } from './ageing.js';
import { Directory } from './directory.js';
import { attempt, failure, success, type Result } from './errors.js';
import { openOrCreate, type Opened } from './log-file.js';
import { refuseForeign } from './refusal.js';

/** Who writes `netwatch.prom` and the logs; of a tool it is its name. */
const COLLECTOR = 'netwatch';
const MODE = 0o640;

/** Of flock(2). */
const LOCK = { SHARED: 1, EXCLUSIVE: 2, AT_ONCE: 4, NONE: 8 } as const;

const { EAGAIN } = system.errno;

/** A look of doctor's holds the lock for some microseconds; more than these waits is a collector. */
const TRIES = 5;
const WAIT_MS = 10;

/** Proof that this process is the only writer of its name in the directory. */
export interface DirectoryLock {
  readonly path: string;
  /** Gives the directory free; safe to call twice. */
  readonly release: () => Promise<void>;
}

const lockName = (writer: string): string => `.${writer}.lock`;

/**
 * Takes the lock of the directory at `path`, which must exist, for the writer of WRITER.prom;
 * `already-running` when another process has it.
 */
export async function lockDirectory(
  path: string,
  writer = COLLECTOR,
): Promise<Result<DirectoryLock>> {
  const opened = await attempt('lock', path, () => Directory.open(path));
  if (!opened.ok) return opened;
  const lock = await lockIn(opened.value, lockName(writer));
  if (!lock.ok) await opened.value.close();
  return lock;
}

async function lockIn(directory: Directory, name: string): Promise<Result<DirectoryLock>> {
  const path = directory.pathOf(name);
  for (let tries = 1; ; tries += 1) {
    const opened = await attempt('lock', path, () => openLock(directory, name));
    if (!opened.ok) return opened;
    const { handle: file, created } = opened.value;
    const refusal = flock(file, LOCK.EXCLUSIVE | LOCK.AT_ONCE);
    // Its owner may have removed the file after we opened it: then that lock is of no directory.
    if (refusal === 0 && (await isAt(directory, name, file)))
      return keep(directory, name, { file, created });
    const pid = refusal === EAGAIN ? await pidIn(file) : null;
    await file.close();
    if (refusal === 0) continue;
    if (tries >= TRIES && pid !== null)
      return failure({ code: 'already-running', pid, directory: directory.path });
    if (refusal !== EAGAIN || tries >= 2 * TRIES)
      return failure({ code: 'io', operation: 'lock', path, errno: errnoName(refusal) });
    await sleep(WAIT_MS);
  }
}

/** Pid of the collector that writes to `directory`; null: none does, or it cannot be read. */
export async function lockHolder(path: string): Promise<number | null> {
  const pid = await attempt('read', path, async () => {
    const directory = await Directory.open(path);
    try {
      return await holderIn(directory);
    } finally {
      await directory.close();
    }
  });
  return pid.ok ? pid.value : null;
}

async function holderIn(directory: Directory): Promise<number | null> {
  const file = await directory.open(lockName(COLLECTOR), constants.O_RDONLY);
  try {
    const isHeld = flock(file, LOCK.SHARED | LOCK.AT_ONCE) === EAGAIN;
    return isHeld ? await pidIn(file) : null;
  } finally {
    await file.close();
  }
}

function openLock(directory: Directory, name: string): Promise<Opened<FileHandle>> {
  return openOrCreate((flags) => directory.open(name, flags, MODE), constants.O_RDWR);
}

/** 0 if it was done, else the number of the error; EAGAIN if somebody else has the lock. */
function flock({ fd }: FileHandle, operation: number): number {
  return c.flock(fd, operation) === 0 ? 0 : errno();
}

/** Writes who we are into the file, whose descriptor is the lock from now on. */
async function keep(
  directory: Directory,
  name: string,
  { file, created }: { readonly file: FileHandle; readonly created: boolean },
): Promise<Result<DirectoryLock>> {
  const path = directory.pathOf(name);
  const written = await attempt('lock', path, async () => {
    // What was there is only written to if nobody else can have put it there.
    if (created) await file.chmod(MODE);
    else refuseForeign(path, await file.stat());
    await file.truncate();
    await file.write(`${process.pid}\n`, 0);
  });
  let isOurs = true;
  const release = async (): Promise<void> => {
    if (!isOurs) return;
    isOurs = false;
    // Removed while it is still locked: nobody can have taken it meanwhile.
    if (await isAt(directory, name, file)) await removeIfThere(directory, name);
    await file.close();
    await directory.close();
  };
  if (written.ok) return success({ path, release });
  await file.close();
  return written;
}

/** Whether the file is still the one of that name. */
async function isAt(directory: Directory, name: string, file: FileHandle): Promise<boolean> {
  const own = await file.stat();
  const there = await attempt('look at', name, () => directory.look(name));
  return there.ok && there.value.ino === own.ino && there.value.dev === own.dev;
}

/** Null while its owner has not written it yet. */
async function pidIn(file: FileHandle): Promise<number | null> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(32), 0, 32, 0);
  const pid = Number(buffer.toString('latin1', 0, bytesRead).split(/\s/, 1)[0]);
  return Number.isSafeInteger(pid) && pid > 0 ? pid : null;
}
