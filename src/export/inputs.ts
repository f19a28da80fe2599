/**
 * Which files a LOG argument means: the log with all its rotated siblings, or exactly the file that
 * it names.
 */
import { realpath, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { explainSinkError, errnoOf } from '../sinks/errors.js';
import { logFilesOldestFirst } from '../sinks/log-names.js';
import { NetwatchError } from '../failure.js';

export interface LogInput {
  readonly path: string;
  readonly bytes: number;
  readonly gzip: boolean;
}

/** A name that ends like a rotated or compressed file stands for itself. */
const ONE_FILE = /\.(?:\d+|gz)$/;

/** The files of all arguments, oldest first within each log, every file once. */
export async function findLogs(args: readonly string[]): Promise<readonly LogInput[]> {
  const found = new Map<string, LogInput>();
  for (const arg of args) {
    const paths = ONE_FILE.test(arg) ? [arg] : await withRotated(arg);
    for (const path of paths) {
      const { id, input } = await look(path);
      if (!found.has(id)) found.set(id, input);
    }
  }
  return [...found.values()];
}

async function withRotated(log: string): Promise<readonly string[]> {
  const listed = await logFilesOldestFirst(dirname(log), basename(log));
  if (!listed.ok) {
    throw new NetwatchError({
      code: 'environment',
      message: explainSinkError(listed.error),
      next: 'give the path of a log, as data/connects.log',
    });
  }
  // None: look() at the name itself says why.
  return listed.value.length === 0 ? [log] : listed.value;
}

async function look(path: string): Promise<{ id: string; input: LogInput }> {
  try {
    const { size: bytes, ...kind } = await statOf(path);
    if (!kind.isFile) {
      throw new NetwatchError({
        code: 'usage',
        message: `${path} is not a file`,
        next: 'name the logs in it, as data/connects.log',
      });
    }
    return { id: await realpath(path), input: { path, bytes, gzip: path.endsWith('.gz') } };
  } catch (thrown) {
    const errno = errnoOf(thrown);
    if (errno === null) throw thrown;
    if (errno === 'ENOENT') {
      throw new NetwatchError({
        code: 'usage',
        message: `there is no file ${path}`,
        next: `see what is there: ls ${dirname(path)}`,
      });
    }
    throw new NetwatchError({
      code: 'environment',
      message: `cannot read ${path}: ${errno}`,
      next: 'run as the user that wrote it, or as root',
    });
  }
}

async function statOf(path: string): Promise<{ size: number; isFile: boolean }> {
  const found = await stat(path);
  return { size: found.size, isFile: found.isFile() };
}
