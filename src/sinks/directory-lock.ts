/**
 * One writer per file and directory: whoever holds the flock(2) of `.netwatch.lock` writes there as
 * the collector, whoever holds that of `.insight.lock` keeps insight.prom; the file says which
 * process that is. The kernel gives the lock free with the process, however that ends, so nothing
 * has to be cleaned up after a crash; it holds across PID namespaces too.
 */
import { constants } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { constants as system } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { errno } from '../kernel/ffi.js';
import { c } from '../kernel/libc.js';
import { errnoName } from '../kernel/system-error.js';
import { removeIfThere } from './ageing.js';
import { attempt, failure, success, type Result } from './errors.js';

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

const lockPath = (directory: string, writer: string): string =>
  join(resolve(directory), `.${writer}.lock`);

/**
 * Takes the lock of `directory`, which must exist, for the writer of WRITER.prom;
 * `already-running` when another process has it.
 */
export async function lockDirectory(
  directory: string,
  writer = COLLECTOR,
): Promise<Result<DirectoryLock>> {
  const path = lockPath(directory, writer);
  const { O_RDWR, O_CREAT } = constants;
  for (let tries = 1; ; tries += 1) {
    const opened = await attempt('lock', path, () => openLock(path, O_RDWR | O_CREAT));
    if (!opened.ok) return opened;
    const file = opened.value;
    const refusal = flock(file, LOCK.EXCLUSIVE | LOCK.AT_ONCE);
    // Its owner may have removed the file after we opened it: then that lock is of no directory.
    if (refusal === 0 && (await isAt(path, file))) return keep(path, file);
    const pid = refusal === EAGAIN ? await pidIn(file) : null;
    await file.close();
    if (refusal === 0) continue;
    if (tries >= TRIES && pid !== null)
      return failure({ code: 'already-running', pid, directory: resolve(directory) });
    if (refusal !== EAGAIN || tries >= 2 * TRIES)
      return failure({ code: 'io', operation: 'lock', path, errno: errnoName(refusal) });
    await sleep(WAIT_MS);
  }
}

/** Pid of the collector that writes to `directory`; null: none does, or it cannot be read. */
export async function lockHolder(directory: string): Promise<number | null> {
  const path = lockPath(directory, COLLECTOR);
  const opened = await attempt('read', path, () => openLock(path, constants.O_RDONLY));
  if (!opened.ok) return null;
  const isHeld = flock(opened.value, LOCK.SHARED | LOCK.AT_ONCE) === EAGAIN;
  const pid = isHeld ? await pidIn(opened.value) : null;
  await opened.value.close();
  return pid;
}

/** Never through a link, and never waiting for the other end of a pipe. */
function openLock(path: string, flags: number): Promise<FileHandle> {
  return open(path, flags | constants.O_NOFOLLOW | constants.O_NONBLOCK, MODE);
}

/** 0 if it was done, else the number of the error; EAGAIN if somebody else has the lock. */
function flock({ fd }: FileHandle, operation: number): number {
  return c.flock(fd, operation) === 0 ? 0 : errno();
}

/** Writes who we are into the file, whose descriptor is the lock from now on. */
async function keep(path: string, file: FileHandle): Promise<Result<DirectoryLock>> {
  const written = await attempt('lock', path, async () => {
    await file.chmod(MODE);
    await file.truncate();
    await file.write(`${process.pid}\n`, 0);
  });
  let isOurs = true;
  const release = async (): Promise<void> => {
    if (!isOurs) return;
    isOurs = false;
    // Removed while it is still locked: nobody can have taken it meanwhile.
    if (await isAt(path, file)) await attempt('unlock', path, () => removeIfThere(path));
    await file.close();
  };
  if (written.ok) return success({ path, release });
  await release();
  return written;
}

/** Whether the file is still what the path names. */
async function isAt(path: string, file: FileHandle): Promise<boolean> {
  const [own, there] = [await file.stat(), await attempt('look at', path, () => stat(path))];
  return there.ok && there.value.ino === own.ino && there.value.dev === own.dev;
}

/** Null while its owner has not written it yet. */
async function pidIn(file: FileHandle): Promise<number | null> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(32), 0, 32, 0);
  const pid = Number(buffer.toString('latin1', 0, bytesRead).split(/\s/, 1)[0]);
  return Number.isSafeInteger(pid) && pid > 0 ? pid : null;
}
