/** Options that many tools share, with the letters of bcc's, and the filter they make. */
import { FAMILY, familyOf } from '../cli/family.js';
import { argument, option, type OptionOf, type ValuesOf } from '../cli/options.js';
import * as parse from '../cli/parse.js';
import { NO_FILTER, type Filter } from '../sources/filter.js';
import type { PinnedMaps } from '../sources/pinned.js';
import type { Scope } from './common.js';

export { FAMILY };

export const PIDS = option('-p, --pid <PIDS>', 'these processes only', { parse: parse.pids });

const AT_EITHER_END = 'these ports only, at either end';

export const EITHER_PORT = option('--port <PORTS>', AT_EITHER_END, { parse: parse.ports });

const PORTS = { parse: parse.ports };
type SidedPort = OptionOf<'-P, --port <PORTS>', typeof PORTS> &
  OptionOf<'--either-port <PORTS>', typeof PORTS>;

/**
 * `-P, --port` of one end, as the original has it, with `text` to say which; and `--either-port`,
 * which is `--port` elsewhere.
 */
export function sidedPort(text: string): SidedPort {
  return {
    ...option('-P, --port <PORTS>', text, PORTS),
    ...option('--either-port <PORTS>', AT_EITHER_END, PORTS),
  };
}

/** `--cgroupmap` and `--mntnsmap`, as bcc's tools have them. */
export const PINNED_MAPS = {
  ...option('--cgroupmap <PATH>', 'cgroups in this pinned BPF map only'),
  ...option('--mntnsmap <PATH>', 'mount namespaces in this pinned BPF map only'),
};

export function pinnedMapsOf({ cgroupmap, mntnsmap }: ValuesOf<typeof PINNED_MAPS>): PinnedMaps {
  return { cgroups: cgroupmap ?? null, mountNamespaces: mntnsmap ?? null };
}

/** Every second unless asked otherwise. */
export const INTERVAL = option('-i, --interval <SECONDS>', 'between two reports', {
  parse: parse.seconds,
  default: 1,
});

export const COUNT = option('-c, --count <REPORTS>', 'number of reports', { parse: parse.count });

/** Arguments: seconds between reports. */
export const INTERVAL_ARGUMENT = argument(
  '[interval]',
  'seconds between two reports; without it one at the end',
  { parse: parse.seconds },
);

export const COUNT_ARGUMENT = argument('[count]', 'number of reports', { parse: parse.count });

/** `-T` of tools that show reports. */
export const REPORT_TIME = option('-T, --timestamp', 'show the time of each report');

type Filtering = ValuesOf<typeof PIDS & typeof EITHER_PORT> & Partial<ValuesOf<typeof FAMILY>>;

/** What the options above filter by, and what else, within what the common options allow. */
export function filterOf(scope: Scope, typed: Filtering, more: Partial<Filter> = {}): Filter {
  const { pid: pids = [], port: ports = [] } = typed;
  return { ...NO_FILTER, ...scope, pids, ports, family: familyOf(typed), ...more };
}

/** The same where `--port` is of one end. */
export function sidedFilterOf(
  scope: Scope,
  typed: Filtering & ValuesOf<SidedPort>,
  side: 'localPorts' | 'peerPorts',
): Filter {
  const { port = [], eitherPort = [] } = typed;
  return filterOf(scope, typed, { [side]: port, ports: eitherPort });
}
