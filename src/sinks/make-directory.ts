/**
 * Creates the directory the logs live in, whatever the umask, and refuses the kernel's own file
 * systems.
 */
import { chmod, mkdir, stat, statfs } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { attempt, errnoOf, failure, type Result, type SinkError } from './errors.js';

/** rwxr-x---: addresses and process names are nobody else's business. */
const DIRECTORY_MODE = 0o750;

/** Superblock magics from linux/magic.h of file systems that are interfaces, not storage. */
const INTERFACE_FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0x9fa0, 'proc'],
  [0x62656572, 'sysfs'],
  [0x27e0eb, 'cgroup'],
  [0x63677270, 'cgroup2'],
  [0x64626720, 'debugfs'],
  [0x74726163, 'tracefs'],
  [0xcafe4a11, 'bpf'],
  [0x73636673, 'securityfs'],
]);

/**
 * Makes sure `directory` exists and is a directory on a real file system. Missing levels are
 * created with mode 0750; existing ones are left as they are. Safe to call again and again.
 */
export async function makeDirectory(directory: string): Promise<Result<null>> {
  const path = resolve(directory);
  // Before any mkdir: Node's recursive mkdir spins for ever below /proc.
  const unsuitable = await unsuitableReason(path);
  if (unsuitable !== null) return failure(unsuitable);
  return attempt('create the directory', path, async () => {
    await makeLevel(path);
    return null;
  });
}

async function makeLevel(path: string): Promise<void> {
  try {
    await mkdir(path, DIRECTORY_MODE);
    await chmod(path, DIRECTORY_MODE);
  } catch (thrown) {
    const errno = errnoOf(thrown);
    // The parent of "/" is "/": a root that does not exist must not recurse for ever.
    if (errno === 'ENOENT' && dirname(path) !== path) {
      await makeLevel(dirname(path));
      return makeLevel(path);
    }
    // A read-only file system answers EROFS even when the directory is already there.
    const exists = await isDirectory(path);
    if (exists === true) return;
    if (errno === 'EEXIST' && exists === false) {
      throw Object.assign(new Error(`${path} is not a directory`), { code: 'ENOTDIR' });
    }
    throw thrown;
  }
}

/** True or false for what is there, null when nothing is, or nothing can be seen. */
async function isDirectory(path: string): Promise<boolean | null> {
  const found = await attempt('look at', path, () => stat(path));
  return found.ok ? found.value.isDirectory() : null;
}

async function unsuitableReason(path: string): Promise<SinkError | null> {
  const found = await attempt('look at', path, () => statfs(path));
  if (!found.ok) {
    const parent = dirname(path);
    return parent === path ? null : unsuitableReason(parent);
  }
  const fileSystem = INTERFACE_FILE_SYSTEMS.get(found.value.type);
  return fileSystem === undefined ? null : { code: 'unsuitable-directory', path, fileSystem };
}
