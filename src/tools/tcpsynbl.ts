/** `netwatch tcpsynbl`: how full accept queues are when connections come. After bcc's tcpsynbl. */
import type { Command } from 'commander';
import * as parse from '../cli/parse.js';
import {
  addEitherPort,
  addFamily,
  familyOf,
  filterOf,
  type FamilyOptions,
  type PortOptions,
} from '../terminal/tool-options.js';
import { FAMILIES } from '../metrics/families.js';
import type { BacklogCounts, SynblSource } from '../sources/synbl.js';
import type { CommonOptions } from '../terminal/common.js';
import { clockTime } from '../metrics/wall-clock.js';
import { reportTool } from '../terminal/report-tool.js';
import { histogramBlock, textBlock } from '../terminal/report.js';

interface Options extends CommonOptions, FamilyOptions, PortOptions {
  readonly interval?: number;
  readonly count?: number;
  readonly timestamp: boolean;
}

const HELP = `
backlog is how many connections of a listening socket waited for accept() when
another one came; backlog_max is the limit of its queue (see listen(2)), above
which the kernel refuses them. A histogram that reaches its limit is a server
that accepts too slowly.

Examples:
  sudo netwatch tcpsynbl               one histogram for each limit, at the end
  sudo netwatch tcpsynbl -T 1 10       every second, ten times, with the time
  sudo netwatch tcpsynbl --port 443 -4
  sudo netwatch tcpsynbl 10 -o json > backlog.ndjson
`;

function addOptions(command: Command): void {
  command
    .argument('[interval]', 'seconds between two reports; without it one at the end', parse.seconds)
    .argument('[count]', 'number of reports', parse.count)
    .option('-T, --timestamp', 'show the time of each report', false);
  addFamily(command);
  addEitherPort(command);
}

/** The kernel's buckets as those of the metric: bucket b ends at 2^b - 1. */
function countsOf(buckets: readonly number[]): number[] {
  const bounds = FAMILIES.netwatch_tcp_accept_queue_length_at_arrival.buckets.length;
  const above = buckets.slice(bounds + 1).reduce((sum, count) => sum + count, 0);
  return [...buckets.slice(1, bounds + 1), above];
}

export default reportTool<Options, readonly BacklogCounts[], SynblSource>({
  name: 'tcpsynbl',
  sources: ['synbl'],
  group: 'What gets lost:',
  summary: 'how full accept queues are when connections come',
  description: 'How many connections wait for accept() when another one comes, by queue limit.',
  help: HELP,
  addOptions,
  banner: () => 'Tracing SYN backlog size. Ctrl-C to end.',
  schedule: ({ interval, count }) => ({
    everySeconds: interval ?? null,
    count: count ?? null,
    clears: false,
    atEnd: true,
  }),
  open: async (options, scope) => {
    const { SynblSource } = await import('../sources/synbl.js');
    const filter = filterOf(scope, { ports: options.port ?? [], family: familyOf(options) });
    return new SynblSource(filter);
  },
  report: (all, { timestamp }, { wallMs }) => [
    textBlock(''),
    ...(timestamp ? [textBlock(clockTime(wallMs))] : []),
    ...all.flatMap(({ limit, buckets }) => [
      textBlock(''),
      histogramBlock({
        title: `backlog_max = ${limit}`,
        labels: { backlog_max: limit },
        unit: 'backlog',
        counts: buckets,
      }),
    ]),
  ],
  metrics: (source, snapshot) => {
    for (const [limit, { buckets, sum }] of source.totals())
      snapshot.histogram(
        'netwatch_tcp_accept_queue_length_at_arrival',
        { limit },
        countsOf(buckets),
        sum,
      );
  },
});
