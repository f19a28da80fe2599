/** Connections by their ends and by whose they are, which the collector and every tool choose alike. */
import { NetwatchError } from '../failure.js';
import { FILTER_LIST_LIMIT, type Filter } from '../sources/filter.js';
import { option } from './options.js';
import * as parse from './parse.js';

const ADDRESSES = { parse: parse.addresses };
const PORTS = { parse: parse.ports };

export const COMM = option('--comm <NAME>', 'processes of this name only (first 15 characters)', {
  parse: parse.name,
});

export const OWN_PORT_TEXT = "the socket's own port: 80 or 80,8000-8099";
export const PEER_PORT_TEXT = "the other end's port";

export const LOCAL_ADDRESS = option(
  '--saddr <ADDRESSES>',
  "the socket's own addresses or prefixes",
  ADDRESSES,
);
export const PEER_ADDRESS = option(
  '--daddr <ADDRESSES>',
  "the other end's addresses or prefixes",
  ADDRESSES,
);
export const LOCAL_PORT = option('--sport <PORTS>', OWN_PORT_TEXT, PORTS);
export const PEER_PORT = option('--dport <PORTS>', PEER_PORT_TEXT, PORTS);

const AT_EITHER_END = 'the port of either end';

export const PORT = option('--port <PORTS>', AT_EITHER_END, PORTS);

/** `--either-port` too, for who is used to it: some tools have a `--port` of one end. */
export const EITHER_PORT = {
  ...PORT,
  ...option('--either-port <PORTS>', AT_EITHER_END, { ...PORTS, hidden: true }),
};

/** The only one where `--port` is taken. */
export const ONLY_EITHER_PORT = option('--either-port <PORTS>', AT_EITHER_END, PORTS);

/**
 * The same filter. Throws NetwatchError where options that mean the same have more entries together
 * than the kernel side has room for: each alone was checked as it was typed.
 */
export function withinLimits(filter: Filter): Filter {
  const { localPorts, peerPorts, ports, localAddresses, peerAddresses, namespaces } = filter;
  const lists = {
    ports: [localPorts, peerPorts, ports],
    addresses: [localAddresses, peerAddresses],
  };
  for (const [what, all] of Object.entries({ ...lists, 'network namespaces': [namespaces] }))
    for (const { length } of all)
      if (length > FILTER_LIST_LIMIT)
        throw new NetwatchError({
          code: 'usage',
          message: `${length} ${what} to choose by, and at most ${FILTER_LIST_LIMIT} are possible`,
          next: what === 'ports' ? 'write ports in a row as one: 8000-8099' : 'leave some out',
        });
  return filter;
}
