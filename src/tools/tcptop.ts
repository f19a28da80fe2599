/** `netwatch tcptop`: who sends and receives most, by process and connection. After bcc's tcptop. */
import { Option, type Command } from 'commander';
import * as parse from '../cli/parse.js';
import {
  addEitherPort,
  addFamily,
  addPids,
  addPinnedMaps,
  familyOf,
  filterOf,
  pinnedMapsOf,
  type FamilyOptions,
  type PidOptions,
  type PinnedOptions,
  type PortOptions,
} from '../terminal/tool-options.js';
import type { BytesSource, TrafficRow } from '../sources/bytes.js';
import type { CommonOptions } from '../terminal/common.js';
import { reportTool } from '../terminal/report-tool.js';
import { textBlock } from '../terminal/report.js';
import { loadAverage } from './traffic/load-average.js';
import {
  addTrafficTotals,
  SORTS,
  topRows,
  trafficBlocks,
  type Sort,
  type TrafficLayout,
} from './traffic/rows.js';

interface Options extends CommonOptions, FamilyOptions, PidOptions, PinnedOptions, PortOptions {
  readonly interval: number;
  readonly count?: number;
  readonly noclear: boolean;
  readonly nosummary: boolean;
  readonly sort: Sort;
  readonly rows?: number;
}

const NAME = 'tcptop';

const LAYOUT: TrafficLayout = {
  ipv4: { local: 'LADDR', peer: 'RADDR', width: 21 },
  ipv6: { local: 'LADDR6', peer: 'RADDR6', width: 32 },
};

const HELP = `
RX_KB and TX_KB are payload that the process has received and sent, in whole
KBytes (1024); bytes_received and bytes_sent of -o json are exact. What sending
was refused is not counted.

Examples:
  sudo netwatch tcptop                   every second, on a cleared screen
  sudo netwatch tcptop -C 5 3            three times, every 5 s, one below the other
  sudo netwatch tcptop -p 1234,5678 -6   IPv6 of two processes
  sudo netwatch tcptop -s sent -r 10     the ten that send most
  sudo netwatch tcptop --port 443 -o json > traffic.ndjson
`;

function addOptions(command: Command): void {
  command
    .argument('[interval]', 'seconds between two reports', parse.seconds, 1)
    .argument('[count]', 'number of reports', parse.count)
    .option('-C, --noclear', 'do not clear the screen', false)
    .option('-S, --nosummary', 'without the line with the load average', false)
    .addOption(
      new Option('-s, --sort <SORT>', 'most bytes first: of all, sent or received')
        .choices(SORTS)
        .default('all'),
    )
    .addOption(new Option('-r, --rows <ROWS>', 'so many rows at most').argParser(parse.count))
    .addOption(new Option('-c, --cgroup <PATH>', 'a cgroup v2 directory and what is below it'));
  addPids(command);
  addFamily(command);
  addEitherPort(command);
  addPinnedMaps(command);
}

export default reportTool<Options, readonly TrafficRow[], BytesSource>({
  name: NAME,
  sources: ['bytes'],
  group: 'How much goes through:',
  summary: 'who sends and receives most, by process and connection',
  description: 'TCP throughput by process and connection, most first.',
  help: HELP,
  addOptions,
  banner: ({ interval }) => `Tracing... Output every ${interval} secs. Hit Ctrl-C to end`,
  schedule: ({ interval, count, noclear }) => ({
    everySeconds: interval,
    count: count ?? null,
    clears: !noclear,
    atEnd: true,
  }),
  open: async (options, scope) => {
    const { BytesSource } = await import('../sources/bytes.js');
    const filter = filterOf(scope, {
      pids: options.pid ?? [],
      ports: options.port ?? [],
      family: familyOf(options),
    });
    return new BytesSource({ filter, pinned: pinnedMapsOf(options), received: true });
  },
  report: (all, { noclear, nosummary, sort, rows }, { wallMs }) => [
    ...(noclear ? [textBlock('')] : []),
    ...(nosummary ? [] : [textBlock(loadAverage(wallMs), '')]),
    ...trafficBlocks(topRows(all, sort, rows), LAYOUT),
  ],
  metrics: (source, snapshot) => {
    addTrafficTotals(NAME, source, snapshot);
  },
});
