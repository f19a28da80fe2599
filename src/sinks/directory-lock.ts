/**
 * One collector per directory: `.netwatch.lock` says which process writes there. A lock whose
 * process is gone is taken over silently, so nothing has to be cleaned up after a crash.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, link, open, readFile, stat, unlink } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { removeIfThere } from './ageing.js';
import { attempt, errnoOf, failure, success, type Result, type SinkError } from './errors.js';

/** Name of the lock file inside the directory. */
const LOCK_NAME = '.netwatch.lock';

/**
 * Takers of one stale lock that lose to each other start again; so many in a row mean something
 * else is wrong.
 */
const MOST_TRIES = 10;

/** Milliseconds between two looks whether another taker is done, and how many are worth it. */
const GUARD_WAIT_MS = 5;
const GUARD_TRIES = 1000;

/** Proof that this process owns the directory. */
export interface DirectoryLock {
  readonly path: string;
  /**
   * Gives the directory free; safe to call twice. A lock that meanwhile belongs to somebody else is
   * left alone.
   */
  readonly release: () => Promise<void>;
}

/**
 * Takes the lock of `directory`, which must exist; `already-running` when another living process
 * has it.
 */
export async function lockDirectory(directory: string): Promise<Result<DirectoryLock>> {
  const path = join(resolve(directory), LOCK_NAME);
  const own = await ownContent();
  for (let tries = 0; tries < MOST_TRIES; tries += 1) {
    const created = await attempt('lock', path, () => createLock(path, own));
    if (created.ok) return success({ path, release: () => releaseLock(path, own) });
    if (created.error.code !== 'io' || created.error.errno !== 'EEXIST') return created;
    const blocker = await alone(resolve(directory), () => removeIfStale(path, resolve(directory)));
    if (blocker !== null) return failure(blocker);
  }
  return failure({ code: 'io', operation: 'lock', path, errno: 'EBUSY' });
}

/** Pid of the living process that has the lock of `directory`; null: nobody, or it cannot be read. */
export async function lockHolder(directory: string): Promise<number | null> {
  const found = await readLock(join(resolve(directory), LOCK_NAME));
  return found.ok ? livingOwner(found.value) : null;
}

/**
 * The lock appears with its content in it: nobody ever reads an empty one and takes it for a stale
 * one.
 */
async function createLock(path: string, content: string): Promise<void> {
  const draft = besides(path);
  const handle = await open(draft, 'wx', 0o640);
  try {
    await handle.chmod(0o640);
    await handle.writeFile(content);
    await linkOrCopy(draft, path);
  } finally {
    await handle.close();
    await removeIfThere(draft);
  }
}

/** A name nobody else uses, in the same directory. */
function besides(path: string): string {
  return `${path}.${randomBytes(6).toString('hex')}`;
}

async function linkOrCopy(draft: string, path: string): Promise<void> {
  try {
    await link(draft, path);
  } catch (thrown) {
    if (errnoOf(thrown) === 'EEXIST') throw thrown;
    // Some shared and FAT file systems have no hard links; there the lock is empty for an instant.
    await copyFile(draft, path, constants.COPYFILE_EXCL);
  }
}

/**
 * Removes the lock if its process is gone. Returns null when it is worth trying again, else what
 * stands in the way.
 */
async function removeIfStale(path: string, directory: string): Promise<SinkError | null> {
  const found = await readLock(path);
  if (!found.ok) return isMissing(found.error) ? null : found.error;
  const pid = await livingOwner(found.value);
  if (pid !== null) return { code: 'already-running', pid, directory };
  const removed = await attempt('take over', path, () => unlink(path));
  return removed.ok || isMissing(removed.error) ? null : removed.error;
}

/**
 * Runs `action` while no other taker does: one that judged a lock must not remove the one that came
 * after it. An abstract socket is the guard, as the kernel frees it with the process.
 */
async function alone<T>(directory: string, action: () => Promise<T>): Promise<T> {
  const guard = await listenAlone(`\0${await guardName(directory)}`);
  try {
    return await action();
  } finally {
    guard?.close();
  }
}

/** The same for all names of a directory. */
async function guardName(directory: string): Promise<string> {
  const found = await attempt('look at', directory, () => stat(directory));
  return found.ok ? `netwatch-${found.value.dev}-${found.value.ino}` : `netwatch-${directory}`;
}

/** Null where there are no such sockets: better without a guard than not at all. */
async function listenAlone(path: string): Promise<Server | null> {
  for (let tries = 0; tries < GUARD_TRIES; tries += 1) {
    const server = createServer();
    const errno = await new Promise<string | null>((done) => {
      server.once('error', (error) => done(errnoOf(error) ?? 'EIO'));
      server.listen({ path }, () => done(null));
    });
    if (errno === null) return server;
    if (errno !== 'EADDRINUSE') return null;
    await sleep(GUARD_WAIT_MS);
  }
  return null;
}

async function releaseLock(path: string, own: string): Promise<void> {
  if (await holds(path, own)) await attempt('unlock', path, () => unlink(path));
}

async function holds(path: string, own: string): Promise<boolean> {
  const found = await readLock(path);
  return found.ok && found.value === own;
}

function readLock(path: string): Promise<Result<string>> {
  const flag = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  return attempt('read', path, () => readFile(path, { encoding: 'utf8', flag }));
}

function isMissing(error: SinkError): boolean {
  return error.code === 'io' && error.errno === 'ENOENT';
}

/**
 * The pid in a lock if exactly that process still lives, else null: no such pid, or the pid was
 * given to another process.
 */
async function livingOwner(content: string): Promise<number | null> {
  const pid = Number(content.split(' ', 1)[0]);
  if (!Number.isSafeInteger(pid) || pid <= 0) return null;
  const identity = await identityOf(pid);
  return identity !== null && content.startsWith(`${identity} `) ? pid : null;
}

/** One line: pid, start time, boot id and a token that tells two locks of one process apart. */
async function ownContent(): Promise<string> {
  const identity = (await identityOf(process.pid)) ?? `${process.pid} 0 unknown`;
  return `${identity} ${randomBytes(6).toString('hex')}\n`;
}

/**
 * Pid, start time in clock ticks since boot, and boot id, as start times repeat from one boot to
 * the next. Null when there is no such process.
 */
async function identityOf(pid: number): Promise<string | null> {
  const read = (path: string): Promise<Result<string>> =>
    attempt('read', path, () => readFile(path, 'utf8'));
  const stat = await read(`/proc/${pid}/stat`);
  if (!stat.ok) return null;
  // The command name, field 2, is in parentheses and may itself hold spaces and parentheses.
  const fields = stat.value.slice(stat.value.lastIndexOf(')') + 2).split(' ');
  const [state, startTicks] = [fields[0], fields[19]];
  if (startTicks === undefined || state === 'Z') return null;
  const boot = await read('/proc/sys/kernel/random/boot_id');
  return `${pid} ${startTicks} ${boot.ok ? boot.value.trim() : 'unknown'}`;
}
