/** Options that many tools share, with the letters of bcc's, and the filter they make. */
import { Option, type Command } from 'commander';
import { NO_FILTER, type Filter } from '../sources/filter.js';
import type { PinnedMaps } from '../sources/pinned.js';
import type { Scope } from './common.js';
import * as parse from '../cli/parse.js';

export interface FamilyOptions {
  readonly ipv4: boolean;
  readonly ipv6: boolean;
}

/** `-4` or `-6`, not both. */
export function addFamily(command: Command): void {
  command.addOption(new Option('-4, --ipv4', 'IPv4 only').default(false).conflicts('ipv6'));
  command.addOption(new Option('-6, --ipv6', 'IPv6 only').default(false).conflicts('ipv4'));
}

export function familyOf({ ipv4, ipv6 }: FamilyOptions): Filter['family'] {
  return ipv4 ? 4 : ipv6 ? 6 : null;
}

export interface PidOptions {
  readonly pid?: readonly number[];
}

/** `-p`, one or more. */
export function addPids(command: Command): void {
  command.addOption(
    new Option('-p, --pid <PIDS>', 'these processes only').argParser<number[]>(parse.pids),
  );
}

export interface PortOptions {
  readonly port?: readonly number[];
}

/** `--port`, of either end. */
export function addEitherPort(command: Command): void {
  command.addOption(
    new Option('--port <PORTS>', 'these ports only, at either end').argParser<number[]>(
      parse.ports,
    ),
  );
}

export interface SidedPortOptions extends PortOptions {
  readonly eitherPort?: readonly number[];
}

/**
 * `-P, --port` of one end, as the original has it, with `text` to say which; and `--either-port`,
 * which is `--port` elsewhere.
 */
export function addSidedPort(command: Command, text: string): void {
  command
    .addOption(new Option('-P, --port <PORTS>', text).argParser<number[]>(parse.ports))
    .addOption(
      new Option('--either-port <PORTS>', 'these ports only, at either end').argParser<number[]>(
        parse.ports,
      ),
    );
}

export interface PinnedOptions {
  readonly cgroupmap?: string;
  readonly mntnsmap?: string;
}

/** `--cgroupmap` and `--mntnsmap`, as bcc's tools have them. */
export function addPinnedMaps(command: Command): void {
  command
    .option('--cgroupmap <PATH>', 'cgroups in this pinned BPF map only')
    .option('--mntnsmap <PATH>', 'mount namespaces in this pinned BPF map only');
}

export function pinnedMapsOf({ cgroupmap, mntnsmap }: PinnedOptions): PinnedMaps {
  return { cgroups: cgroupmap ?? null, mountNamespaces: mntnsmap ?? null };
}

/** What a tool filters by, within what its common options allow. */
export function filterOf(scope: Scope, filter: Partial<Filter>): Filter {
  return { ...NO_FILTER, ...scope, ...filter };
}
