/**
 * Giving up root: what listens to the network needs no right but to read one directory. With the user
 * id go all capabilities.
 */
import type { Stats } from 'node:fs';
import { lstat, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Directory } from '../sinks/directory.js';
import { attempt, errnoOf, explainSinkError } from '../sinks/errors.js';
import { NetwatchError } from '../failure.js';

/** User `nobody` and its group on every distribution, and the kernel's own overflow id. */
const NOBODY = 65_534;
const ROOT = 0;
/** Bits of a mode: its group may read a file, its group and all others may. */
const READ_GROUP = 0o040;
const READ_ALL = 0o044;

/**
 * Opens the directory and, if this is root, becomes nobody: with the groups that the directory and
 * its files belong to, and for good. `open` still runs as root, as the program's own files may be
 * closed to others, too; it gets the path that will do afterwards: `.` if the directory is in one
 * that is closed (a home). Throws NetwatchError if nobody cannot read the directory.
 */
export async function openWithoutRoot<T>(
  directory: string,
  open: (path: string) => Promise<T>,
  say: (message: string) => void,
): Promise<T> {
  if (process.getuid?.() !== ROOT) return open(directory);
  await enter(directory);
  const groups = await groupsOf('.');
  try {
    process.setgroups?.(groups);
    // For the time being: root can come back. The user comes last, only root may change the group.
    process.setegid?.(NOBODY);
    process.seteuid?.(NOBODY);
  } catch (error) {
    // Root in a container that may not change its user has few other rights, too.
    say(
      `stays root, as it cannot become nobody: ${messageOf(error)}\n` +
        '  give it CAP_SETUID and CAP_SETGID, or start it as a user that may read the directory',
    );
    return open(directory);
  }
  const path = await pathForNobody(directory);
  process.seteuid?.(ROOT);
  const opened = await open(path);
  process.setgid?.(NOBODY);
  process.setuid?.(NOBODY);
  return opened;
}

/**
 * The working directory is the very one whose groups are taken, whoever replaces what leads to it
 * meanwhile; a link that another user may have put there is refused.
 */
async function enter(path: string): Promise<void> {
  const opened = await attempt('open the directory', path, () => Directory.open(path));
  if (!opened.ok)
    throw new NetwatchError({
      code: 'directory',
      path,
      reason: explainSinkError(opened.error),
    });
  process.chdir(opened.value.at('.'));
  await opened.value.close();
}

/**
 * The directory's, and those of its files that others cannot read: logs are 0640. A link is not what
 * it leads to, which may be any file of the machine. Root's group opens much that is not ours, so
 * nothing brings it; what root's netwatch makes has another one, see sinks/own-group.ts.
 */
async function groupsOf(directory: string): Promise<number[]> {
  const names = await readdir(directory, { encoding: 'buffer' });
  const found = await Promise.all(
    names.map((name) => lstat(pathOf(directory, name)).catch(() => null)),
  );
  const closed = found.flatMap((file) => (file?.isFile() === true && isClosed(file) ? file : []));
  const groups = new Set(closed.map(({ gid }) => gid));
  groups.add((await stat(directory)).gid);
  groups.delete(ROOT);
  return [...groups];
}

/** To all but its owner and its group. */
const isClosed = ({ mode }: Stats): boolean => (mode & READ_ALL) === READ_GROUP;

/** A name may be any bytes. */
const pathOf = (directory: string, name: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${directory}/`), name]);

async function pathForNobody(directory: string): Promise<string> {
  try {
    return await firstReadable([directory, '.']);
  } catch (error) {
    throw new NetwatchError({
      code: 'environment',
      message: `without root ${directory} cannot be read: ${errnoOf(error) ?? String(error)}`,
      next:
        "make it readable for a group that is not root's (chgrp -R GROUP, chmod g+rxs), " +
        'or start netwatch serve as a user that may read it',
    });
  }
}

async function firstReadable([path = '.', ...others]: readonly string[]): Promise<string> {
  try {
    await readdir(path);
    // Reading needs less than opening what is in it.
    await stat(join(path, '.'));
    return path;
  } catch (error) {
    if (others.length === 0) throw error;
    return firstReadable(others);
  }
}

/** Throws NetwatchError unless the path is a directory that can be listed. */
export async function checkDirectory(directory: string): Promise<void> {
  try {
    await readdir(directory);
  } catch (error) {
    throw new NetwatchError({
      code: 'environment',
      message: `cannot read the directory ${directory}: ${messageOf(error)}`,
      next: 'start the collector first, or name its directory with --data DIR',
    });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
