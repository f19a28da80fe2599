/** `netwatch tcpsynbl`: how full accept queues are when connections come. After bcc's tcpsynbl. */
import {
  CONNECTIONS,
  COUNT_ARGUMENT,
  filterOf,
  INTERVAL_ARGUMENT,
  REPORT_TIME,
} from '../terminal/tool-options.js';
import { FAMILIES } from '../metrics/families.js';
import { clockTime } from '../metrics/wall-clock.js';
import { reportTool } from '../terminal/report-tool.js';
import { histogramBlock, textBlock } from '../terminal/report.js';

const HELP = `
backlog is how many connections of a listening socket waited for accept() when
another one came; backlog_max is the limit of its queue (see listen(2)), above
which the kernel refuses them. A histogram that reaches its limit is a server
that accepts too slowly. -p and --comm mean the process that listens.

Examples:
  sudo netwatch tcpsynbl               one histogram for each limit, at the end
  sudo netwatch tcpsynbl -T 1 10       every second, ten times, with the time
  sudo netwatch tcpsynbl --port 443 -4
  sudo netwatch tcpsynbl 10 -o json > backlog.ndjson
`;

const OPTIONS = {
  ...INTERVAL_ARGUMENT,
  ...COUNT_ARGUMENT,
  ...REPORT_TIME,
  ...CONNECTIONS,
};

/** The kernel's buckets as those of the metric: bucket b ends at 2^b - 1. */
function countsOf(buckets: readonly number[]): number[] {
  const bounds = FAMILIES.netwatch_tcp_accept_queue_length_at_arrival.buckets.length;
  const above = buckets.slice(bounds + 1).reduce((sum, count) => sum + count, 0);
  return [...buckets.slice(1, bounds + 1), above];
}

export default reportTool({
  name: 'tcpsynbl',
  group: 'What gets lost:',
  summary: 'how full accept queues are when connections come',
  description: 'How many connections wait for accept() when another one comes, by queue limit.',
  help: HELP,
  options: OPTIONS,
  trial: async (filter) => (await import('../sources/synbl.js')).trial(filter),
  open: async (options, scope) => {
    const { SynblSource } = await import('../sources/synbl.js');
    return new SynblSource(filterOf(scope, options));
  },
  banner: () => 'Tracing SYN backlog size. Ctrl-C to end.',
  schedule: ({ interval, count }) => ({
    everySeconds: interval ?? null,
    count: count ?? null,
    clears: false,
    atEnd: true,
  }),
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
