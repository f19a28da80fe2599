/** Options that many tools share, with the letters of bcc's, and the filter they make. */
import {
  COMM,
  EITHER_PORT,
  LOCAL_ADDRESS,
  LOCAL_PORT,
  ONLY_EITHER_PORT,
  PEER_ADDRESS,
  PEER_PORT,
  withinLimits,
} from '../cli/ends.js';
import { FAMILY, familyOf } from '../cli/family.js';
import { argument, option, under, type OptionOf, type ValuesOf } from '../cli/options.js';
import * as parse from '../cli/parse.js';
import { NO_FILTER, type Filter } from '../sources/filter.js';
import type { PinnedMaps } from '../sources/pinned.js';
import type { Scope } from './common.js';

const WHICH = 'Which connections:';

const PIDS = { parse: parse.pids };
const PIDS_TEXT = 'these processes only';

/** Processes, by id or by name. */
export const PROCESSES = under(WHICH, {
  ...option('-p, --pid <PIDS>', PIDS_TEXT, PIDS),
  ...COMM,
});

const OWN_END = { ...LOCAL_ADDRESS, ...LOCAL_PORT };
const ENDS = { ...OWN_END, ...PEER_ADDRESS, ...PEER_PORT };

/** What listening sockets are chosen by: they have no other end. */
export const LISTENERS = {
  ...PROCESSES,
  ...under(WHICH, { ...OWN_END, ...EITHER_PORT, ...FAMILY }),
};

/** What every tool that watches connections chooses them by. */
export const CONNECTIONS = {
  ...PROCESSES,
  ...under(WHICH, { ...ENDS, ...EITHER_PORT, ...FAMILY }),
};

/** The same, where the original has taken `-p`. */
export const CONNECTIONS_WITHOUT_P = {
  ...CONNECTIONS,
  ...under(WHICH, option('--pid <PIDS>', PIDS_TEXT, PIDS)),
};

const SIDED = {
  ...PROCESSES,
  ...under(WHICH, { ...ENDS, ...ONLY_EITHER_PORT, ...FAMILY }),
};
const PORTS = { parse: parse.ports };

/**
 * The same, where `-P, --port` is of one end, as the original has it, with `text` to say which: either
 * end is `--either-port` there.
 */
export function sidedConnections(
  text: string,
): OptionOf<'-P, --port <PORTS>', typeof PORTS> & typeof SIDED {
  return { ...option('-P, --port <PORTS>', text, PORTS), ...SIDED };
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

type Filtering = Partial<ValuesOf<typeof CONNECTIONS>>;

/**
 * What the options above filter by, and what else, within what the common options allow. A list of
 * `more` adds to what was typed for the same.
 */
export function filterOf(scope: Scope, typed: Filtering, more: Partial<Filter> = {}): Filter {
  const { pid = [], port = [], eitherPort = [], sport = [], dport = [] } = typed;
  const { saddr = [], daddr = [], comm = null } = typed;
  return withinLimits({
    ...NO_FILTER,
    ...scope,
    pids: pid,
    comm,
    family: familyOf(typed),
    ...more,
    localPorts: [...sport, ...(more.localPorts ?? [])],
    peerPorts: [...dport, ...(more.peerPorts ?? [])],
    ports: [...port, ...eitherPort],
    localAddresses: [...saddr, ...(more.localAddresses ?? [])],
    peerAddresses: [...daddr, ...(more.peerAddresses ?? [])],
  });
}

/** The same where `--port` is of one end. */
export function sidedFilterOf(
  scope: Scope,
  { port = [], ...typed }: Filtering,
  side: 'localPorts' | 'peerPorts',
): Filter {
  return filterOf(scope, typed, { [side]: port });
}
