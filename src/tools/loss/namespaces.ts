/** The options by which tcpdrop names network namespaces: by inode number, or by a process in them. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import * as parse from '../../cli/parse.js';
import { resolveNamespace } from '../../kernel/host.js';

export interface NamespaceOptions {
  readonly netnsId?: readonly string[];
  readonly pidNetns?: readonly number[];
}

function inodes(text: string, before?: readonly string[]): string[] {
  if (/^[\d,]+$/.test(text)) return parse.names(text, before);
  throw new InvalidArgumentError('It should be the inode number of a network namespace.');
}

/** `--netns-id` or `--pid-netns`, not both. */
export function addNamespaces(command: Command): void {
  command
    .addOption(
      new Option('--netns-id <INODES>', 'network namespaces by inode number').argParser(inodes),
    )
    .addOption(
      new Option('--pid-netns <PIDS>', 'the network namespaces of these processes')
        .argParser<number[]>(parse.pids)
        .conflicts('netnsId'),
    );
}

/** Inode numbers; throws NetwatchError for a namespace or process that is not there. */
export function namespacesOf({ netnsId = [], pidNetns = [] }: NamespaceOptions): number[] {
  const names = [...netnsId, ...pidNetns.map((pid) => `/proc/${pid}/ns/net`)];
  return names.map((name) => resolveNamespace(name).inode);
}
