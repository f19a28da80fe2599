/** How much files take together while somebody writes, renames and removes them. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Inode and size of each, a file that has two names meanwhile once. */
function look(folder: string, prefix: string): ReadonlyMap<number, number> {
  const sizes = new Map<number, number>();
  for (const name of readdirSync(folder)) {
    if (!name.startsWith(prefix)) continue;
    const found = statSync(join(folder, name), { throwIfNoEntry: false });
    if (found !== undefined) sizes.set(found.ino, found.size);
  }
  return sizes;
}

/**
 * Bytes that all files with this beginning took at one moment; null if they changed during the look.
 * One file after the other adds up what never was there together.
 */
export function diskUse(folder: string, prefix = ''): number | null {
  const before = [...look(folder, prefix)];
  const after = look(folder, prefix);
  const same =
    before.length === after.size && before.every(([ino, size]) => after.get(ino) === size);
  return same ? before.reduce((sum, [, size]) => sum + size, 0) : null;
}
