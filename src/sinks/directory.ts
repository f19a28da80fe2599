/**
 * A directory as an open descriptor: what is done to its files is done in this very directory,
 * whoever renames or replaces it, or what leads to it, meanwhile.
 *
 * `/proc/self/fd/N/NAME` is what openat(N, NAME) is, and renameat, unlinkat and so on: the kernel
 * begins at the descriptor, not at the root. Node.js has no functions for these, and calls of libc
 * would hold up all else while a disk does not answer. NAME has no slash, and no link of that name
 * is followed.
 */
import { constants, mkdirSync, type Stats } from 'node:fs';
import {
  lstat,
  open,
  readdir,
  readlink,
  rename,
  stat,
  statfs,
  unlink,
  rmdir,
  type FileHandle,
} from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { errnoOf } from './errors.js';
import { isOurs, Refusal, UnsuitableDirectory } from './refusal.js';

/** rwxr-x---: addresses and process names are nobody else's business. */
const DIRECTORY_MODE = 0o750;
const PRIVATE_MODE = 0o700;
/** Leaves the modes above as they are. */
const MASK = 0o022;

/** Opens anything without touching it, a link itself too; Node.js has no name for it. */
const O_PATH = 0o10000000;
const { O_NOFOLLOW, O_NONBLOCK, O_DIRECTORY } = constants;

/** As the kernel. */
const MOST_LINKS = 40;

const STICKY = 0o1000;
const GROUP_WRITES = 0o020;
const OTHERS_WRITE = 0o002;

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

/** Throws like the functions of node:fs, and {@link Refusal}. `close()` waits for what is under way. */
export class Directory {
  /** For messages. */
  readonly path: string;
  readonly #handle: FileHandle;
  readonly #underWay = new Set<Promise<unknown>>();
  #closing: Promise<void> | null = null;

  /** The directory at `path`, which may be relative; ENOENT if there is none. */
  static async open(path: string): Promise<Directory> {
    const whole = resolve(path);
    return new Directory(whole, await walk(whole, false));
  }

  /**
   * The same; missing levels are made with mode 0750, whatever the umask, existing ones left as they
   * are. Throws UnsuitableDirectory on the kernel's own file systems.
   */
  static async make(path: string): Promise<Directory> {
    const whole = resolve(path);
    return new Directory(whole, await walk(whole, true));
  }

  private constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.#handle = handle;
  }

  /** Where a file of this directory is, for what takes a path. */
  at(name: string): string {
    if (name === '' || name.includes('/')) throw new Error(`${name} is not a file name`);
    if (this.#closing !== null) throw new Error(`${this.path} is closed`);
    return `${below(this.#handle)}/${name}`;
  }

  /** How a file is called in messages. */
  pathOf(name: string): string {
    return join(this.path, name);
  }

  /** Opens a file, never through a link and never waiting for the other end of a pipe. */
  open(name: string, flags: number, mode?: number): Promise<FileHandle> {
    return this.#run(open(this.at(name), flags | O_NOFOLLOW | O_NONBLOCK, mode));
  }

  /** What is there, the link itself if it is one. */
  look(name: string): Promise<Stats> {
    return this.#run(lstat(this.at(name)));
  }

  /** Where a link leads; refused if another user may have put it there. */
  async readOwnLink(name: string): Promise<string> {
    const [link, here] = [await this.look(name), await this.#handle.stat()];
    refuseOthersLink(this.pathOf(name), link, here);
    return this.#run(readlink(this.at(name)));
  }

  list(): Promise<string[]> {
    return this.#run(readdir(below(this.#handle)));
  }

  rename(from: string, to: string): Promise<void> {
    return this.#run(rename(this.at(from), this.at(to)));
  }

  unlink(name: string): Promise<void> {
    return this.#run(unlink(this.at(name)));
  }

  /** Removes an empty directory. */
  removeDirectory(name: string): Promise<void> {
    return this.#run(rmdir(this.at(name)));
  }

  /** A directory in this one that nobody else can look or write into; one that is left over too. */
  async makePrivate(name: string): Promise<Directory> {
    try {
      mkdirMasked(this.at(name), PRIVATE_MODE);
    } catch (thrown) {
      if (errnoOf(thrown) !== 'EEXIST') throw thrown;
    }
    const handle = await this.open(name, O_PATH | O_DIRECTORY);
    const path = this.pathOf(name);
    const { uid, mode } = await handle.stat();
    if (uid === process.geteuid?.() && (mode & 0o077) === 0) return new Directory(path, handle);
    await handle.close();
    throw new Refusal(path, 'is not the private directory it should be; remove it');
  }

  /** False after the directory was renamed, removed or covered by a mount. */
  async isAtPath(): Promise<boolean> {
    try {
      const [there, here] = await this.#run(Promise.all([stat(this.path), this.#handle.stat()]));
      return there.ino === here.ino && there.dev === here.dev;
    } catch (thrown) {
      if (errnoOf(thrown) === null) throw thrown;
      return false;
    }
  }

  /** Safe to call twice. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#underWay);
    this.#closing ??= this.#handle.close();
    await this.#closing;
  }

  async #run<T>(work: Promise<T>): Promise<T> {
    this.#underWay.add(work);
    try {
      return await work;
    } finally {
      this.#underWay.delete(work);
    }
  }
}

const below = ({ fd }: FileHandle): string => `/proc/self/fd/${fd}`;

/** Sets the umask for no other turn of the event loop than this; no chmod, which takes a name. */
function mkdirMasked(path: string, mode: number): void {
  const before = process.umask(MASK);
  try {
    mkdirSync(path, mode);
  } finally {
    process.umask(before);
  }
}

/** One step after the other from the root, each from the descriptor of the one before. */
async function walk(path: string, make: boolean): Promise<FileHandle> {
  let here = await open('/', O_PATH | O_DIRECTORY);
  const done: string[] = [];
  const rest = path.split('/').filter((name) => name !== '');
  let links = 0;
  try {
    for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
      const at = `/${done.join('/')}`;
      const next = await step(here, { name, at, make });
      if (typeof next === 'string') {
        if (++links > MOST_LINKS) throw Object.assign(new Error('links'), { code: 'ELOOP' });
        rest.unshift(...next.split('/').filter((part) => part !== '' && part !== '.'));
        if (!next.startsWith('/')) continue;
        done.length = 0;
      } else if (name === '..') done.pop();
      else done.push(name);
      const before = here;
      here = typeof next === 'string' ? await open('/', O_PATH | O_DIRECTORY) : next;
      await before.close();
    }
    if (make) await refuseInterface(here, path);
    return here;
  } catch (thrown) {
    await here.close();
    throw thrown;
  }
}

interface Step {
  readonly name: string;
  /** The path of the directory that it is taken in, for messages. */
  readonly at: string;
  readonly make: boolean;
}

/** The next directory, or where a link leads. */
async function step(here: FileHandle, { name, at, make }: Step): Promise<FileHandle | string> {
  const place = `${below(here)}/${name}`;
  const { next, isNew } = await openOrMake(here, place, { at, make });
  try {
    const found = await next.stat();
    if (found.isDirectory()) {
      if (!isNew || found.uid === process.geteuid?.()) return next;
      throw new Refusal(join(at, name), 'was replaced while it was made');
    }
    if (!found.isSymbolicLink()) throw Object.assign(new Error(place), { code: 'ENOTDIR' });
    refuseOthersLink(join(at, name), found, await here.stat());
    const target = await readlink(place);
    await next.close();
    return target;
  } catch (thrown) {
    await next.close();
    throw thrown;
  }
}

async function openOrMake(
  here: FileHandle,
  place: string,
  { at, make }: Pick<Step, 'at' | 'make'>,
): Promise<{ next: FileHandle; isNew: boolean }> {
  try {
    return { next: await open(place, O_PATH | O_NOFOLLOW), isNew: false };
  } catch (thrown) {
    if (!make || errnoOf(thrown) !== 'ENOENT') throw thrown;
  }
  await refuseInterface(here, at);
  try {
    mkdirMasked(place, DIRECTORY_MODE);
  } catch (thrown) {
    // Somebody else was quicker: then it is one that was there.
    if (errnoOf(thrown) !== 'EEXIST') throw thrown;
    return { next: await open(place, O_PATH | O_NOFOLLOW), isNew: false };
  }
  return { next: await open(place, O_PATH | O_NOFOLLOW), isNew: true };
}

function refuseOthersLink(path: string, link: Stats, directory: Stats): void {
  if (isOurs(link) && !mayOthersReplaceIn(directory)) return;
  const reason = 'is a link that another user may have put there; name what it leads to';
  throw new Refusal(path, reason);
}

/** Whether others can put another link in the place of one that is ours. */
function mayOthersReplaceIn(directory: Stats): boolean {
  if (!isOurs(directory)) return true;
  if ((directory.mode & STICKY) !== 0) return false;
  const isOwnGroup = directory.gid === 0 || directory.gid === process.getegid?.();
  const writers = isOwnGroup ? OTHERS_WRITE : OTHERS_WRITE | GROUP_WRITES;
  return (directory.mode & writers) !== 0;
}

async function refuseInterface(here: FileHandle, path: string): Promise<void> {
  const fileSystem = INTERFACE_FILE_SYSTEMS.get((await statfs(below(here))).type);
  if (fileSystem !== undefined) throw new UnsuitableDirectory(path, fileSystem);
}
