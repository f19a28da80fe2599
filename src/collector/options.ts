/** The collector's options: how they are typed, and what they mean. */
import { type Command, Option } from 'commander';
import { DEFAULT_LISTEN, listenAddress } from '../cli/listen.js';
import * as parse from '../cli/parse.js';
import { cgroupId, resolveNamespace, type NetworkNamespace } from '../kernel/host.js';
import type { Filter, Prefix } from '../sources/filter.js';
import { CONNECT_LINES, type ConnectLines } from './connection-news.js';

export interface CollectorOptions {
  readonly all: boolean;
  readonly err: boolean;
  readonly extra: boolean;
  readonly http: boolean;
  readonly retrans: boolean;
  readonly time: boolean;
  readonly quiet: boolean;
  /** How packets look on the screen. */
  readonly format: TableFormat;
  /** Their sequence numbers too. */
  readonly numbers: boolean;
  readonly verbose: boolean;
  readonly strict: boolean;
  readonly dport?: readonly number[];
  readonly sport?: readonly number[];
  readonly pid?: readonly number[];
  readonly comm?: string;
  readonly saddr?: readonly Prefix[];
  readonly daddr?: readonly Prefix[];
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  readonly netns?: readonly string[];
  readonly cgroup?: string;
  readonly data: string;
  readonly interval: number;
  readonly duration?: number;
  readonly maxConnections: number;
  readonly rotateSize: number;
  readonly rotateInterval?: number;
  readonly keepFiles: number;
  readonly keepBytes: number;
  readonly gzip: boolean;
  /** What -x and -r put into connects.log. */
  readonly connects: ConnectLines;
  readonly ndjson: boolean;
  readonly ring: number;
  /** Of so many records one is lost on purpose. */
  readonly simulateDrops?: number;
  /** Where `netwatch serve` is to listen, as it was typed. */
  readonly listen?: string;
  readonly webConfig?: string;
}

/** The table of netwatch, or that of lmp's net_watcher. */
export const TABLE_FORMATS = ['table', 'lmp'] as const;
export type TableFormat = (typeof TABLE_FORMATS)[number];

const WATCH = 'What to watch:';
const FILTER = 'Which connections:';
const OUTPUT = 'Where it goes:';
const ENDPOINT = 'Over HTTP (netwatch serve -h says what is there):';

const EXAMPLES = `
Examples:
  sudo netwatch                      # every connection and packet of this host
  sudo netwatch -x -r -t -i          # with TCP state, retransmits, layer times and HTTP
  sudo netwatch -t -d 443,8443       # layer times of connections to these ports
  sudo netwatch -i -s 80 --quiet     # HTTP on the local port 80, files only
  sudo netwatch --netns web -x       # one network namespace (ip netns list)
  sudo netwatch -r --comm nginx --duration 60
  sudo netwatch -x -i -q --listen    # and a live page on http://127.0.0.1:41420/
  tail -F data/*.log                 # watch the files (-F follows rotation)
`;

function addWatch(command: Command): void {
  const option = (flags: string, text: string): void => {
    command.addOption(new Option(flags, text).default(false).helpGroup(WATCH));
  };
  option('-x, --extra', 'TCP state of every connection: cwnd, srtt, queues, bytes …');
  option('-r, --retrans', 'retransmits, by cause');
  option('-t, --time', 'time each packet spends in MAC, IP and TCP');
  option('-i, --http', 'HTTP/1.0 and 1.1 request and status lines, and durations');
  option('-e, --err', 'bad sequence numbers and checksums, drops and resets, to err.log');
  option('-a, --all', 'also failed and closed connections and listening sockets');
}

function addFilter(command: Command): void {
  const option = <T>(
    flags: string,
    text: string,
    parser: (text: string, before?: T) => T,
  ): void => {
    command.addOption(new Option(flags, text).argParser(parser).helpGroup(FILTER));
  };
  option('-s, --sport <PORTS>', "the watched socket's own port: 80 or 80,443", parse.ports);
  option('-d, --dport <PORTS>', "the other end's port", parse.ports);
  option('-p, --pid <PIDS>', 'process ids', parse.pids);
  option('--comm <NAME>', 'process name (first 15 characters)', parse.name);
  option('--saddr <ADDRESSES>', "the socket's own addresses or prefixes", parse.addresses);
  option('--daddr <ADDRESSES>', "the other end's addresses or prefixes", parse.addresses);
  option('--netns <NAMES>', 'network namespaces: name, path or inode number', parse.names);
  option('--cgroup <PATH>', 'a cgroup v2 directory and what is below it', (text: string) => text);
  command.addOption(new Option('-4, --ipv4', 'IPv4 only').default(false).helpGroup(FILTER));
  command.addOption(
    new Option('-6, --ipv6', 'IPv6 only').default(false).conflicts('ipv4').helpGroup(FILTER),
  );
}

function addOutput(command: Command): void {
  const option = <T>(flags: string, text: string, parser: (text: string) => T, value?: T): void => {
    const made = new Option(flags, text).argParser(parser).helpGroup(OUTPUT);
    command.addOption(value === undefined ? made : made.default(value));
  };
  option('--data <DIR>', 'directory of the files', (text) => text, 'data');
  option(
    '--interval <SECONDS>',
    'how often state is pulled and netwatch.prom written',
    parse.seconds,
    5,
  );
  option('--duration <SECONDS>', 'stop after this time', parse.seconds);
  command.addOption(
    new Option('-q, --quiet', 'no packet table; a status line instead')
      .default(false)
      .helpGroup(OUTPUT),
  );
  command.addOption(
    new Option('--format <NAME>', "the packet table: netwatch's own, or that of lmp")
      .choices(TABLE_FORMATS)
      .default('table')
      .helpGroup(OUTPUT),
  );
  command.addOption(
    new Option('-v, --numbers', 'with SEQ and ACK in the packet table')
      .default(false)
      .helpGroup(OUTPUT),
  );
  option(
    '--max-connections <N>',
    'connections in netwatch.prom with -x: the busiest, then the newest',
    parse.count,
    1000,
  );
  command.addOption(
    new Option(
      '--connects <WHAT>',
      'values in connects.log with -x and -r: those that moved by 10 %, totals at close; or all',
    )
      .choices(CONNECT_LINES)
      .default('changes')
      .helpGroup(OUTPUT),
  );
  option('--rotate-size <BYTES>', 'start a new log file at this size', parse.bytes, 64 * 2 ** 20);
  option('--rotate-interval <TIME>', 'and at these times: 15m, 1h, 1d', parse.interval);
  option('--keep-files <N>', 'rotated files kept of each log', parse.count, 8);
  option(
    '--keep-bytes <BYTES>',
    'most bytes of each log, all files together',
    parse.bytes,
    2 ** 30,
  );
  command.addOption(
    new Option('--gzip', 'compress rotated files').default(false).helpGroup(OUTPUT),
  );
  command.addOption(
    new Option('--ndjson', 'also write the logs as JSON lines, *.ndjson; 4 µs more per record')
      .default(false)
      .helpGroup(OUTPUT),
  );
  option('--ring <BYTES>', 'ring buffer for packets, a power of two', parse.ringBytes, 2 ** 23);
  option('--simulate-drops <N>', 'lose one record of N on purpose, to try alerts', parse.count);
  command.addOption(
    new Option('--strict', 'exit if any program cannot be attached')
      .default(false)
      .helpGroup(OUTPUT),
  );
  command.addOption(
    new Option('--verbose', 'show what libbpf and the kernel say').default(false).helpGroup(OUTPUT),
  );
}

function addEndpoint(command: Command): void {
  const checked = (text: string): string => {
    listenAddress(text);
    return text;
  };
  command.addOption(
    new Option('--listen [ADDR]', `also serve the files, on ${DEFAULT_LISTEN} or ADDR`)
      .preset(DEFAULT_LISTEN)
      .argParser(checked)
      .helpGroup(ENDPOINT),
  );
  command.addOption(
    new Option(
      '--web-config <FILE>',
      'TLS and passwords for --listen, as for the Prometheus exporters',
    ).helpGroup(ENDPOINT),
  );
}

/** Adds the collector's options and help to a command. */
export function addCollectorOptions(command: Command): Command {
  addWatch(command);
  addFilter(command);
  addOutput(command);
  addEndpoint(command);
  return command.addHelpText('after', EXAMPLES);
}

/** The namespaces asked for; empty = all. Throws if one does not exist. */
export function namespacesOf(options: CollectorOptions): NetworkNamespace[] {
  return (options.netns ?? []).map(resolveNamespace);
}

/** What the kernel side filters by. Throws if the cgroup does not exist. */
export function filterOf(
  options: CollectorOptions,
  namespaces: readonly NetworkNamespace[],
): Filter {
  return {
    pids: options.pid ?? [],
    comm: options.comm ?? null,
    localPorts: options.sport ?? [],
    peerPorts: options.dport ?? [],
    ports: [],
    localAddresses: options.saddr ?? [],
    peerAddresses: options.daddr ?? [],
    family: options.ipv4 ? 4 : options.ipv6 ? 6 : null,
    namespaces: namespaces.map(({ inode }) => inode),
    cgroup: options.cgroup === undefined ? null : cgroupId(options.cgroup),
  };
}
