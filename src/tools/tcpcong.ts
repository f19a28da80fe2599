/** `netwatch tcpcong`: time in each state of congestion control. After bcc's tcpcong. */
import { Option, type Command } from 'commander';
import * as parse from '../cli/parse.js';
import {
  addEitherPort,
  addFamily,
  familyOf,
  filterOf,
  type FamilyOptions,
  type PortOptions,
} from '../terminal/tool-options.js';
import {
  flowBlocks,
  MICROSECONDS,
  MILLISECONDS,
  stateBlocks,
  type TimeUnit,
} from './congestion/blocks.js';
import { ANY_PORT, type PortRange } from '../sources/filter.js';
import type { CongestionCounts, CongestionSource } from '../sources/congestion.js';
import type { CommonOptions } from '../terminal/common.js';
import { clockTime } from '../metrics/wall-clock.js';
import { reportTool } from '../terminal/report-tool.js';
import { textBlock } from '../terminal/report.js';

interface Options extends CommonOptions, FamilyOptions, PortOptions {
  readonly interval?: number;
  readonly outputs?: number;
  readonly localport?: PortRange;
  readonly remoteport?: PortRange;
  readonly timestamp: boolean;
  readonly microseconds: boolean;
  readonly dist: boolean;
}

const NS_PER_SECOND = 1e9;
const unitOf = ({ microseconds }: Options): TimeUnit =>
  microseconds ? MICROSECONDS : MILLISECONDS;

const HELP = `
Open is the normal state. Dod (disorder): something is missing, perhaps only out
of order. Cwr: the window shrinks for ECN or a full local queue. Rcov (recovery):
a loss is being repaired. Los: the retransmission timer went off. Chgs counts
changes. A time counts when its state ends, for connections whose state changes.

Examples:
  sudo netwatch tcpcong                  each connection, at the end
  sudo netwatch tcpcong 1 10             every second, ten times
  sudo netwatch tcpcong -L 3000-3006 1   by local port
  sudo netwatch tcpcong -uT 1            microseconds, with the time
  sudo netwatch tcpcong -d               histograms of the times, by state
`;

function addOptions(command: Command): void {
  const ports = (flags: string, text: string): Option =>
    new Option(flags, text).argParser(parse.portRange);
  command
    .argument('[interval]', 'seconds between two reports; without it one at the end', parse.seconds)
    .argument('[outputs]', 'number of reports', parse.count)
    .addOption(ports('-L, --localport <PORTS>', 'local ports: one, or a range such as 3000-3006'))
    .addOption(ports('-R, --remoteport <PORTS>', 'remote ports: one, or a range'))
    .option('-T, --timestamp', 'show the time of each report', false)
    .option('-d, --dist', 'show histograms of the times, by state', false)
    .option('-u, --microseconds', 'times in microseconds instead of milliseconds', false);
  addFamily(command);
  addEitherPort(command);
}

export default reportTool<Options, CongestionCounts, CongestionSource>({
  name: 'tcpcong',
  sources: ['congestion'],
  group: 'How long it takes:',
  summary: 'time that connections are in each state of congestion control',
  description: 'How long TCP connections are in each state of congestion control.',
  help: HELP,
  addOptions,
  banner: () => 'Tracing tcp congestion control status duration... Hit Ctrl-C to end.',
  schedule: ({ interval, outputs }) => ({
    everySeconds: interval ?? null,
    count: outputs ?? null,
    clears: false,
    atEnd: true,
  }),
  open: async (options, scope) => {
    const { CongestionSource } = await import('../sources/congestion.js');
    return new CongestionSource({
      filter: filterOf(scope, { ports: options.port ?? [], family: familyOf(options) }),
      localPorts: options.localport ?? ANY_PORT,
      peerPorts: options.remoteport ?? ANY_PORT,
      unitNs: unitOf(options).ns,
    });
  },
  report: ({ flows, states }, options, { wallMs }) => [
    textBlock(''),
    ...(options.timestamp ? [textBlock(clockTime(wallMs))] : []),
    ...(options.dist ? stateBlocks(states, unitOf(options)) : flowBlocks(flows, unitOf(options))),
  ],
  metrics: (source, snapshot) => {
    for (const { state, timeNs } of source.totals())
      snapshot.add('netwatch_tcp_congestion_seconds_total', { state }, timeNs / NS_PER_SECOND);
  },
});
