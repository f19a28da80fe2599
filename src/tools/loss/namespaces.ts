/** The options by which tcpdrop names network namespaces: by inode number, or by a process in them. */
import { InvalidArgumentError } from 'commander';
import { option, type ValuesOf } from '../../cli/options.js';
import * as parse from '../../cli/parse.js';
import { resolveNamespace } from '../../kernel/host.js';

function inodes(text: string, before?: readonly string[]): string[] {
  if (/^[\d,]+$/.test(text)) return parse.names(text, before);
  throw new InvalidArgumentError('It should be the inode number of a network namespace.');
}

/** `--netns-id` or `--pid-netns`, not both. */
export const NAMESPACES = {
  ...option('--netns-id <INODES>', 'network namespaces by inode number', { parse: inodes }),
  ...option('--pid-netns <PIDS>', 'the network namespaces of these processes', {
    parse: parse.pids,
    conflicts: 'netnsId',
  }),
};

/** Inode numbers; throws NetwatchError for a namespace or process that is not there. */
export function namespacesOf({
  netnsId = [],
  pidNetns = [],
}: ValuesOf<typeof NAMESPACES>): number[] {
  const names = [...netnsId, ...pidNetns.map((pid) => `/proc/${pid}/ns/net`)];
  return names.map((name) => resolveNamespace(name).inode);
}
