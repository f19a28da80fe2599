/**
 * The names of one log's files: `packets.log` is being written, `.0` was just rotated and waits to
 * be aged (`.0.gz` while it is being compressed), `.1` … `.N` or `.1.gz` … `.N.gz` are history, the
 * highest number the oldest.
 */
import type { Stats } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { attempt, success, type Result } from './errors.js';

/** Where the files of a log are: an open directory, or for readers a path. */
export interface Place {
  readonly path: string;
  /** Names of all that is there. */
  list(): Promise<string[]>;
  /** What is under a name, the link itself if it is one. */
  look(name: string): Promise<Stats>;
}

const placeAt = (path: string): Place => ({
  path,
  list: () => readdir(path),
  look: (name) => lstat(join(path, name)),
});

/** One rotated file on disk. */
export interface RotatedFile {
  readonly name: string;
  /** 0 for the file that waits to be aged. */
  readonly index: number;
  readonly compressed: boolean;
  /** False for a directory or link that somebody put under this name. */
  readonly regular: boolean;
  readonly bytes: number;
  readonly modifiedMs: number;
}

/** The name under which the file that was just rotated waits to be compressed and aged. */
export function stagingName(name: string): string {
  return `${name}.0`;
}

/** The suffix a rotated file carries after its number. */
export function suffixOf(compressed: boolean): '' | '.gz' {
  return compressed ? '.gz' : '';
}

/** Everything in a place that carries the name of a rotated file of `name`, oldest first. */
export async function listRotated(
  place: Place,
  name: string,
): Promise<Result<readonly RotatedFile[]>> {
  const listed = await attempt('list', place.path, () => place.list());
  if (!listed.ok) return listed;
  const files: RotatedFile[] = [];
  for (const entry of listed.value) {
    const parsed = parseName(entry, name);
    if (parsed === null) continue;
    const found = await attempt('look at', entry, () => place.look(entry));
    // Gone between the listing and the look: somebody cleaned up, nothing to report.
    if (!found.ok) continue;
    const { size: bytes, mtimeMs: modifiedMs } = found.value;
    files.push({ ...parsed, name: entry, regular: found.value.isFile(), bytes, modifiedMs });
  }
  return success(oldestFirst(files));
}

/**
 * The paths of every complete file of the log, oldest first, the one being written last; each
 * record is in exactly one of them. For readers of the history such as `netwatch export`.
 */
export async function logFilesOldestFirst(
  directory: string,
  name: string,
): Promise<Result<readonly string[]>> {
  const place = placeAt(directory);
  const rotated = await listRotated(place, name);
  if (!rotated.ok) return rotated;
  // An empty file is one that ageing is about to remove.
  const regular = rotated.value.filter((file) => file.regular && file.bytes > 0);
  const halfCompressed = regular.some((file) => file.index === 0 && !file.compressed);
  const complete = regular.filter(
    (file) => !(file.index === 0 && file.compressed && halfCompressed),
  );
  const found = await attempt('look at', name, () => place.look(name));
  const names = complete.map((file) => file.name);
  const all = found.ok && found.value.isFile() ? [...names, name] : names;
  return success(all.map((file) => join(directory, file)));
}

function parseName(entry: string, name: string): { index: number; compressed: boolean } | null {
  if (!entry.startsWith(`${name}.`)) return null;
  const match = /^(0|[1-9]\d{0,5})(\.gz)?$/.exec(entry.slice(name.length + 1));
  if (match === null) return null;
  return { index: Number(match[1]), compressed: match[2] !== undefined };
}

/**
 * By number, which no change of the clock and no copying disturbs. Only plain against compressed,
 * whose numbers overlap after compression was switched on or off, is decided by time. What was just
 * rotated is the newest, whatever its time says against one that was compressed later.
 */
function oldestFirst(files: readonly RotatedFile[]): readonly RotatedFile[] {
  const staged = files.filter((file) => file.index === 0);
  const descending = files.filter((file) => file.index > 0).sort((a, b) => b.index - a.index);
  const plain = descending.filter((file) => !file.compressed);
  const merged: RotatedFile[] = [];
  for (const packed of descending.filter((file) => file.compressed)) {
    while (plain[0] !== undefined && plain[0].modifiedMs <= packed.modifiedMs) {
      merged.push(...plain.splice(0, 1));
    }
    merged.push(packed);
  }
  return [...merged, ...plain, ...staged];
}
