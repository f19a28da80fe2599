/** The collector's options: how they are typed, and what they mean. */
import type { Command } from 'commander';
import {
  COMM,
  LOCAL_ADDRESS,
  OWN_PORT_TEXT,
  PEER_ADDRESS,
  PEER_PORT_TEXT,
  PORT,
  withinLimits,
} from '../cli/ends.js';
import { FAMILY, familyOf } from '../cli/family.js';
import { DEFAULT_LISTEN, listenAddress } from '../cli/listen.js';
import { NAMED, namesWantedOf } from '../cli/named.js';
import { addOptions, option, valuesOf, type ValuesOf } from '../cli/options.js';
import * as parse from '../cli/parse.js';
import { TARGETS } from '../http/targets.js';
import { findCgroup, resolveNamespace, type NetworkNamespace } from '../kernel/host.js';

import type { Filter } from '../sources/filter.js';
import { TOLD_PACKETS } from '../sources/told-packets.js';
import { CONNECT_LINES } from './connection-news.js';

/** The table of netwatch, or that of lmp's net_watcher. */
const TABLE_FORMATS = ['table', 'lmp'] as const;
export type TableFormat = (typeof TABLE_FORMATS)[number];

const EXAMPLES = `
Examples:
  sudo netwatch                      # every connection and packet of this host
  sudo netwatch -x -r -t -i          # with TCP state, retransmits, layer times and HTTP
  sudo netwatch -t -d 443,8443       # layer times of connections to these ports
  sudo netwatch -i -s 80 --quiet     # HTTP on the local port 80, files only
  sudo netwatch -x -r -i --packets none   # connections, requests and totals: no line per packet
  sudo netwatch --netns web -x       # one network namespace (ip netns list)
  sudo netwatch -r --comm nginx --duration 60
  sudo netwatch -x -i -q --listen    # and a live page on http://127.0.0.1:41420/
  tail -F data/*.log                 # watch the files (-F follows rotation)
`;

/** What is watched: the options that sources know. */
const WATCH = {
  ...option('-x, --extra', 'TCP state of every connection: cwnd, srtt, queues, bytes …'),
  ...option('-r, --retrans', 'retransmits, by cause'),
  ...option('-t, --time', 'time each packet spends in MAC, IP and TCP'),
  ...option('-i, --http', 'HTTP/1.0 and 1.1 request and status lines, and durations'),
  ...option('-e, --err', 'bad sequence numbers and checksums, drops and resets, to err.log'),
  ...option('-a, --all', 'also failed and closed connections and listening sockets'),
};
export type WatchedOptions = ValuesOf<typeof WATCH>;

const PORTS = { parse: parse.ports };

/** Which connections. */
const FILTER = {
  ...option('-s, --sport <PORTS>', OWN_PORT_TEXT, PORTS),
  ...option('-d, --dport <PORTS>', PEER_PORT_TEXT, PORTS),
  ...PORT,
  ...option('-p, --pid <PIDS>', 'process ids', { parse: parse.pids }),
  ...COMM,
  ...LOCAL_ADDRESS,
  ...PEER_ADDRESS,
  ...option('--netns <NAMES>', 'network namespaces: name, path or inode number', {
    parse: parse.names,
  }),
  ...option('--cgroup <PATH>', 'a cgroup v2 directory and what is below it'),
  ...NAMED,
  ...FAMILY,
};
export type FilterOptions = ValuesOf<typeof FILTER>;

const DIRECTORY = option('--data <DIR>', 'directory of the files', { default: 'data' });
const PACE = {
  ...option('--interval <SECONDS>', 'how often state is pulled and netwatch.prom written', {
    parse: parse.seconds,
    default: 5,
  }),
  ...option('--duration <SECONDS>', 'stop after this time', { parse: parse.seconds }),
};
/** How packets look on the screen, and in the files. */
const TABLE = {
  ...option('-q, --quiet', 'no packet table; a status line instead'),
  ...option('--format <NAME>', "the packet table: netwatch's own, or that of lmp", {
    choices: TABLE_FORMATS,
    default: 'table',
  }),
  ...option('-v, --numbers', 'with SEQ and ACK in the packet table'),
  ...option('--targets <HOW>', 'how much of the target of an HTTP request is shown and written', {
    choices: TARGETS,
    default: 'full',
  }),
};
export type TableOptions = ValuesOf<typeof TABLE>;

const PACKETS = option(
  '--packets <WHICH>',
  'packets with a line in packets.log and a row: all, those with an HTTP line, none (totals count all)',
  { choices: TOLD_PACKETS, default: 'all' },
);
export type PacketsOptions = ValuesOf<typeof PACKETS>;

const CONNECTIONS = {
  ...option(
    '--max-connections <N>',
    'connections in netwatch.prom with -x: the busiest, then the newest',
    { parse: parse.count, default: 1000 },
  ),
  ...option(
    '--connects <WHAT>',
    'values in connects.log with -x and -r: those that moved by 10 %, totals at close; or all',
    { choices: CONNECT_LINES, default: 'changes' },
  ),
};
export type ConnectionsOptions = ValuesOf<typeof CONNECTIONS>;

const ROTATION = {
  ...option('--rotate-size <BYTES>', 'start a new log file at this size', {
    parse: parse.bytes,
    default: 64 * 2 ** 20,
  }),
  ...option('--rotate-interval <TIME>', 'and at these times: 15m, 1h, 1d', {
    parse: parse.interval,
  }),
  ...option('--keep-files <N>', 'rotated files kept of each log', {
    parse: parse.count,
    default: 8,
  }),
  ...option('--keep-bytes <BYTES>', 'most bytes of each log, all files together', {
    parse: parse.bytes,
    default: 2 ** 30,
  }),
  ...option('--gzip', 'compress rotated files'),
  ...option('--ndjson', 'also write the logs as JSON lines, *.ndjson; 4 µs more per record'),
};
/** Which files are written, and how they rotate. */
export type FileOptions = ValuesOf<typeof DIRECTORY & typeof ROTATION> &
  Pick<WatchedOptions, 'err' | 'http'>;

const RINGS = {
  ...option('--ring <BYTES>', 'ring buffer for packets, a power of two', {
    parse: parse.ringBytes,
    default: 2 ** 23,
  }),
  ...option('--simulate-drops <N>', 'lose one record of N on purpose, to try alerts', {
    parse: parse.count,
  }),
};
/** Of the kernel side's rings. */
export type RingsOptions = ValuesOf<typeof RINGS>;

const TROUBLE = {
  ...option('--strict', 'exit if any program cannot be attached'),
  ...option('--verbose', 'show what libbpf and the kernel say'),
};

const OUTPUT = {
  ...DIRECTORY,
  ...PACE,
  ...TABLE,
  ...PACKETS,
  ...CONNECTIONS,
  ...ROTATION,
  ...RINGS,
  ...TROUBLE,
};

/** As it was typed: `netwatch serve` reads it again. */
function checkedListen(text: string): string {
  listenAddress(text);
  return text;
}

const ENDPOINT = {
  ...option('--listen [ADDR]', `also serve the files, on ${DEFAULT_LISTEN} or ADDR`, {
    parse: checkedListen,
    preset: DEFAULT_LISTEN,
  }),
  ...option(
    '--web-config <FILE>',
    'TLS and passwords for --listen, as for the Prometheus exporters',
  ),
};
export type EndpointOptions = ValuesOf<typeof DIRECTORY & typeof ENDPOINT>;

/** Everything; a part of the collector gets what it needs of it. */
const ALL = { ...WATCH, ...FILTER, ...OUTPUT, ...ENDPOINT };
export type CollectorOptions = ValuesOf<typeof ALL>;

/** Adds the collector's options and help to a command. */
export function addCollectorOptions(command: Command): Command {
  addOptions(command, WATCH, 'What to watch:');
  addOptions(command, FILTER, 'Which connections:');
  addOptions(command, OUTPUT, 'Where it goes:');
  addOptions(command, ENDPOINT, 'Over HTTP (netwatch serve -h says what is there):');
  return command.addHelpText('after', EXAMPLES);
}

/** What was typed, once the command has been parsed. */
export function collectorOptionsOf(command: Command): CollectorOptions {
  return valuesOf(command, ALL);
}

/** The namespaces asked for; empty = all. Throws if one does not exist. */
export function namespacesOf(options: FilterOptions): NetworkNamespace[] {
  return (options.netns ?? []).map(resolveNamespace);
}

/** What the kernel side filters by. Throws if the cgroup does not exist. */
export function filterOf(options: FilterOptions, namespaces: readonly NetworkNamespace[]): Filter {
  const { units, containers } = namesWantedOf(options);
  return withinLimits({
    pids: options.pid ?? [],
    comm: options.comm ?? null,
    localPorts: options.sport ?? [],
    peerPorts: options.dport ?? [],
    ports: options.port ?? [],
    localAddresses: options.saddr ?? [],
    peerAddresses: options.daddr ?? [],
    family: familyOf(options),
    namespaces: namespaces.map(({ inode }) => inode),
    cgroup: options.cgroup === undefined ? null : findCgroup(options.cgroup),
    ...(units.length + containers.length > 0 ? { isNamed: true } : {}),
  });
}
