/** How a program that writes files begins: with a directory in which nobody else writes the same. */
import { NetwatchError } from '../failure.js';
import { lockDirectory, type DirectoryLock } from './directory-lock.js';
import { Directory } from './directory.js';
import { attempt, explainSinkError, type Result } from './errors.js';
import { leaveRootGroup } from './own-group.js';

/** The value, or a throw of the NetwatchError that says why `directory` cannot be used. */
export function usable<T>(result: Result<T>, directory: string, tool?: string): T {
  if (result.ok) return result.value;
  const { error } = result;
  if (error.code === 'already-running')
    throw new NetwatchError({ code: 'already-running', pid: error.pid, directory, tool });
  throw new NetwatchError({ code: 'directory', path: directory, reason: explainSinkError(error) });
}

/**
 * Makes the directory if it is missing and takes its lock, for the collector or for a tool. Throws
 * NetwatchError, also while another process of the same name writes there.
 */
export async function ownDirectory(directory: string, tool?: string): Promise<DirectoryLock> {
  leaveRootGroup();
  const make = async (): Promise<void> => (await Directory.make(directory)).close();
  usable(await attempt('create the directory', directory, make), directory);
  return usable(await lockDirectory(directory, tool), directory, tool);
}
