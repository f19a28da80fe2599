/** `netwatch tcpcong`: time in each state of congestion control. After bcc's tcpcong. */
import { argument, option } from '../cli/options.js';
import * as parse from '../cli/parse.js';
import { CONNECTIONS, filterOf, INTERVAL_ARGUMENT, REPORT_TIME } from '../terminal/tool-options.js';
import {
  flowBlocks,
  MICROSECONDS,
  MILLISECONDS,
  stateBlocks,
  type TimeUnit,
} from './congestion/blocks.js';
import { clockTime } from '../metrics/wall-clock.js';
import { reportTool } from '../terminal/report-tool.js';
import { textBlock } from '../terminal/report.js';
import type { ToolOptions } from '../terminal/watching-tool.js';

const NS_PER_SECOND = 1e9;

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

const OPTIONS = {
  ...INTERVAL_ARGUMENT,
  ...argument('[outputs]', 'number of reports', { parse: parse.count }),
  ...option('-L, --localport <PORTS>', 'local ports: some, or a range such as 3000-3006', {
    parse: parse.ports,
  }),
  ...option('-R, --remoteport <PORTS>', 'remote ports: some, or a range', { parse: parse.ports }),
  ...REPORT_TIME,
  ...option('-d, --dist', 'show histograms of the times, by state'),
  ...option('-u, --microseconds', 'times in microseconds instead of milliseconds'),
  ...CONNECTIONS,
};

const unitOf = ({ microseconds }: ToolOptions<typeof OPTIONS>): TimeUnit =>
  microseconds ? MICROSECONDS : MILLISECONDS;

export default reportTool({
  name: 'tcpcong',
  group: 'How long it takes:',
  summary: 'time that connections are in each state of congestion control',
  description: 'How long TCP connections are in each state of congestion control.',
  help: HELP,
  options: OPTIONS,
  trial: async (filter) => (await import('../sources/congestion.js')).trial(filter),
  open: async (options, scope) => {
    const { CongestionSource } = await import('../sources/congestion.js');
    return new CongestionSource({
      filter: filterOf(scope, options, {
        localPorts: options.localport ?? [],
        peerPorts: options.remoteport ?? [],
      }),
      unitNs: unitOf(options).ns,
    });
  },
  banner: () => 'Tracing tcp congestion control status duration... Hit Ctrl-C to end.',
  schedule: ({ interval, outputs }) => ({
    everySeconds: interval ?? null,
    count: outputs ?? null,
    clears: false,
    atEnd: true,
  }),
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
