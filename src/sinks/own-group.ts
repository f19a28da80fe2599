/**
 * The group of what root's netwatch makes. The endpoint gives up root and reads with the groups of the
 * directory and its files; root's own group opens much of the machine besides, so the files of root's
 * netwatch get another one from the start: no chgrp, which would take a name.
 */
import { readFileSync } from 'node:fs';
import { errnoOf } from './errors.js';

const ROOT = 0;
/** As the package makes it: who is in it may read the files. */
const GROUP_NAME = 'netwatch';
/** Ids that no distribution and no service manager gives away; 65534 and 65535 mean "none". */
const UNUSED = { first: 65_520, last: 65_533 } as const;

/**
 * The group `netwatch` of an /etc/group, else an id in which nobody is; null if all of those are taken.
 * @param text name:password:gid:members, one a line
 */
export function ownGroupIn(text: string): number | null {
  const gids = new Map<number, string>();
  for (const line of text.split('\n')) {
    const [name = '', , gid = ''] = line.split(':');
    if (/^[1-9]\d*$/.test(gid)) gids.set(Number(gid), name);
  }
  for (const [gid, name] of gids) if (name === GROUP_NAME) return gid;
  for (let gid: number = UNUSED.first; gid <= UNUSED.last; gid++) if (!gids.has(gid)) return gid;
  return null;
}

/**
 * What root makes from now on is of that group; who is in another group than root's stays there. Where
 * the group may not be changed (some containers) it stays root's, and the endpoint says so.
 */
export function leaveRootGroup(): void {
  if (process.geteuid?.() !== ROOT || process.getegid?.() !== ROOT) return;
  const gid = ownGroupIn(groupFile());
  if (gid === null) return;
  try {
    process.setgid?.(gid);
  } catch (thrown) {
    if (errnoOf(thrown) === null) throw thrown;
  }
}

function groupFile(): string {
  try {
    return readFileSync('/etc/group', 'utf8');
  } catch (thrown) {
    if (errnoOf(thrown) === null) throw thrown;
    return '';
  }
}
