/**
 * Replaces a `.prom` file atomically: a reader sees the old version or the new one, whole, never a
 * mixture.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { basename, join } from 'node:path';
import { removeIfThere } from './ageing.js';
import { Directory } from './directory.js';
import { attempt, failure, type Result } from './errors.js';

/** rw-r--r--: node_exporter reads the file under its own user. */
const PROM_MODE = 0o644;
const { O_WRONLY, O_CREAT, O_EXCL } = constants;

/**
 * Writes `bytes` as `path`/`name`: into a temporary file beside it, to the disk, then renamed.
 * Calls may overlap; the last rename wins. On failure the old version stays and no temporary file
 * of this call is left.
 */
export async function writePromFile(
  path: string,
  name: string,
  bytes: Uint8Array,
): Promise<Result<null>> {
  const file = join(path, name);
  if (name === '' || name !== basename(name)) {
    return failure({ code: 'io', operation: 'write', path: file, errno: 'EINVAL' });
  }
  return attempt('write', file, async () => {
    const directory = await Directory.open(path);
    try {
      await replace(directory, name, bytes);
    } finally {
      await directory.close();
    }
    return null;
  });
}

async function replace(directory: Directory, name: string, bytes: Uint8Array): Promise<void> {
  await removeStale(directory, name);
  const temporary = `${ownPrefix(name)}${randomBytes(6).toString('hex')}.tmp`;
  try {
    await writeDurably(directory, temporary, bytes);
    await directory.rename(temporary, name);
  } catch (thrown) {
    await removeIfThere(directory, temporary);
    throw thrown;
  }
}

async function writeDurably(directory: Directory, name: string, bytes: Uint8Array): Promise<void> {
  const handle = await directory.open(name, O_WRONLY | O_CREAT | O_EXCL, PROM_MODE);
  try {
    await handle.chmod(PROM_MODE);
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Temporary files start with a dot and end in `.tmp`, so that nothing that looks for `*.prom` sees
 * them. The start time tells this process from a crashed one with the same pid, which in a
 * container is the rule.
 */
function ownPrefix(name: string): string {
  return `${commonPrefix(name)}${process.pid}-${Math.round(performance.timeOrigin)}-`;
}

function commonPrefix(name: string): string {
  return `.${name}.`;
}

/**
 * Removes what earlier processes left when they crashed; one collector per directory is the rule,
 * so it is nobody else's.
 */
async function removeStale(directory: Directory, name: string): Promise<void> {
  // When the directory cannot be listed, writing says why.
  const listed = await attempt('list', directory.path, () => directory.list());
  if (!listed.ok) return;
  const shape = /^\d+-\d+-[0-9a-f]{12}\.tmp$/;
  const common = commonPrefix(name);
  const stale = listed.value.filter(
    (entry) =>
      entry.startsWith(common) &&
      shape.test(entry.slice(common.length)) &&
      !entry.startsWith(ownPrefix(name)),
  );
  await Promise.all(stale.map((entry) => removeIfThere(directory, entry)));
}
