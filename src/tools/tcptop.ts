/** `netwatch tcptop`: who sends and receives most, by process and connection. After bcc's tcptop. */
import { argument, option } from '../cli/options.js';
import * as parse from '../cli/parse.js';
import {
  CONNECTIONS,
  COUNT_ARGUMENT,
  filterOf,
  PINNED_MAPS,
  pinnedMapsOf,
} from '../terminal/tool-options.js';
import { reportTool } from '../terminal/report-tool.js';
import { textBlock } from '../terminal/report.js';
import { loadAverage } from './traffic/load-average.js';
import {
  addTrafficTotals,
  SORTS,
  topRows,
  trafficBlocks,
  type TrafficLayout,
} from './traffic/rows.js';

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

const OPTIONS = {
  ...argument('[interval]', 'seconds between two reports', { parse: parse.seconds, default: 1 }),
  ...COUNT_ARGUMENT,
  ...option('-C, --noclear', 'do not clear the screen'),
  ...option('-S, --nosummary', 'without the line with the load average'),
  ...option('-s, --sort <SORT>', 'most bytes first: of all, sent or received', {
    choices: SORTS,
    default: 'all',
  }),
  ...option('-r, --rows <ROWS>', 'so many rows at most', { parse: parse.count }),
  ...option('-c, --cgroup <PATH>', 'a cgroup v2 directory and what is below it'),
  ...PINNED_MAPS,
  ...CONNECTIONS,
};

export default reportTool({
  name: NAME,
  group: 'How much goes through:',
  summary: 'who sends and receives most, by process and connection',
  description: 'TCP throughput by process and connection, most first.',
  help: HELP,
  options: OPTIONS,
  trial: async (filter) => (await import('../sources/bytes.js')).trial(filter, { received: true }),
  open: async (options, scope) => {
    const { BytesSource } = await import('../sources/bytes.js');
    const filter = filterOf(scope, options);
    return new BytesSource({ filter, pinned: pinnedMapsOf(options), received: true });
  },
  banner: ({ interval }) => `Tracing... Output every ${interval} secs. Hit Ctrl-C to end`,
  schedule: ({ interval, count, noclear }) => ({
    everySeconds: interval,
    count: count ?? null,
    clears: !noclear,
    atEnd: true,
  }),
  showsProcesses: true,
  report: (all, { noclear, nosummary, sort, rows, showUnit }, { wallMs, namesOf }) => [
    ...(noclear ? [textBlock('')] : []),
    ...(nosummary ? [] : [textBlock(loadAverage(wallMs), '')]),
    ...trafficBlocks(topRows(all, sort, rows), LAYOUT, namesOf, showUnit),
  ],
  metrics: (source, snapshot) => {
    addTrafficTotals(NAME, source, snapshot);
  },
});
