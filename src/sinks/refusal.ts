/**
 * What is there, but is not to be used: a name in a directory that other users may write to can
 * lead to anything, and root would write there.
 */
import type { Stats } from 'node:fs';

/** Thrown inside of a file operation; `attempt()` makes it a value. */
export class Refusal extends Error {
  readonly path: string;
  readonly reason: string;

  /** @param reason goes on after the path: "belongs to user 1000" */
  constructor(path: string, reason: string) {
    super(`${path} ${reason}`);
    this.path = path;
    this.reason = reason;
  }
}

/** The path is on a file system of the kernel's own, which holds no ordinary files. */
export class UnsuitableDirectory extends Error {
  readonly path: string;
  readonly fileSystem: string;

  constructor(path: string, fileSystem: string) {
    super(`${path} is on a ${fileSystem} file system`);
    this.path = path;
    this.fileSystem = fileSystem;
  }
}

/** Nobody but root and the user that we are could have made it. */
export function isOurs({ uid }: Pick<Stats, 'uid'>): boolean {
  return uid === 0 || uid === process.geteuid?.();
}

const OTHERS_WRITE = 0o002;

/**
 * Throws unless the open file is one that nobody else can have put there, or still has a hand on:
 * regular, ours, under one name only (a second one could be that of a file that matters) and not
 * writable by everybody.
 */
export function refuseForeign(path: string, found: Stats): void {
  if (!found.isFile()) throw new Refusal(path, 'is not a regular file; remove it');
  if (!isOurs(found)) throw new Refusal(path, `belongs to user ${found.uid}; remove it`);
  if (found.nlink > 1)
    throw new Refusal(path, `has ${found.nlink} names (hard links); leave it one, or remove it`);
  if ((found.mode & OTHERS_WRITE) !== 0)
    throw new Refusal(path, 'may be written to by everybody; chmod o-w, or remove it');
}
