/** `netwatch softirqs`: time spent in software interrupts, or how many there were. After bcc's softirqs. */
import { argument, option } from '../cli/options.js';
import * as parse from '../cli/parse.js';
import type { VectorCounts } from '../sources/softirq.js';
import { column, columnWith, type Column } from '../terminal/column.js';
import { INTERVAL_ARGUMENT, REPORT_TIME } from '../terminal/tool-options.js';
import type { ToolOptions } from '../terminal/watching-tool.js';
import { clockTime } from '../metrics/wall-clock.js';
import { reportTool } from '../terminal/report-tool.js';
import { histogramBlock, rowsBlock, textBlock, type Block } from '../terminal/report.js';
import { NetwatchError } from '../failure.js';

interface Unit {
  readonly name: 'usecs' | 'nsecs';
  readonly field: 'duration_us' | 'duration_ns';
  readonly ns: number;
}

const NS_PER_SECOND = 1e9;
const MICROSECONDS: Unit = { name: 'usecs', field: 'duration_us', ns: 1000 };
const NANOSECONDS: Unit = { name: 'nsecs', field: 'duration_ns', ns: 1 };
const unitOf = ({ nanoseconds }: Options): Unit => (nanoseconds ? NANOSECONDS : MICROSECONDS);

const HELP = `
net_rx is packets that arrive, net_tx what is left of those sent, timer and
hrtimer are timers, rcu frees memory that nobody uses any more, sched moves
processes between CPUs. They belong to the machine: --netns changes nothing.

Examples:
  sudo netwatch softirqs               time in each, at the end
  sudo netwatch softirqs 1 10          every second, ten times
  sudo netwatch softirqs -NT 1         in nanoseconds, with the time
  sudo netwatch softirqs -C -c 1 5     how many there were on CPU 1
  sudo netwatch softirqs --count 1     both, every second
  sudo netwatch softirqs -d            how long they took, as histograms
`;

const OPTIONS = {
  ...INTERVAL_ARGUMENT,
  // not [count], as the option is called so
  ...argument('[outputs]', 'number of reports', { parse: parse.count }),
  ...REPORT_TIME,
  ...option('-N, --nanoseconds', 'times in nanoseconds instead of microseconds'),
  ...option('-C, --events', 'show how many there were instead of their time'),
  // -C of bcc's libbpf tool, whose letter has the meaning above in bcc's other one
  ...option('--count', 'show how many there were beside their time', { conflicts: 'events' }),
  ...option('-d, --dist', 'show how long they took, as histograms'),
  ...option('--distributed', 'the same', { hidden: true, implies: { dist: true } }),
  ...option('-c, --cpu <CPU>', 'on this CPU only', { parse: parse.cpu }),
};
type Options = ToolOptions<typeof OPTIONS>;

/** Throws NetwatchError, in bcc's words. */
function check({ events, dist, nanoseconds, cgroup, unit, container }: Options): void {
  if (events && (dist || nanoseconds))
    throw new NetwatchError({
      code: 'usage',
      message: "The --events option can't be used with time-based options",
      next: 'leave out --dist and --nanoseconds',
    });
  if ((cgroup ?? unit ?? container) !== undefined)
    throw new NetwatchError({
      code: 'usage',
      message: 'software interrupts belong to no cgroup',
      next: 'leave out --cgroup, --unit and --container',
    });
}

const timeIn = ({ timeNs }: VectorCounts, { ns }: Unit): number => Math.floor(timeNs / ns);

function columnsFor(options: Options): readonly Column<VectorCounts>[] {
  const unit = unitOf(options);
  const events = (counts: VectorCounts): number => counts.count;
  const time = (counts: VectorCounts): number => timeIn(counts, unit);
  return [
    column('SOFTIRQ', 16, 'softirq', ({ vector }) => vector),
    options.events
      ? column('TOTAL_count', 11, 'events', events, { alignRight: true })
      : columnWith(
          `TOTAL_${unit.name}`,
          11,
          time,
          (counts) => ({ [unit.field]: time(counts), events: events(counts) }),
          { alignRight: true },
        ),
    ...(options.count
      ? [column('TOTAL_count', 11, 'events', events, { alignRight: true, before: '  ' })]
      : []),
  ];
}

/** Those that there were, the smallest first, as bcc. */
function totalsBlock(all: readonly VectorCounts[], options: Options): Block {
  const value = ({ count, timeNs }: VectorCounts): number => (options.events ? count : timeNs);
  const seen = all.filter((counts) => value(counts) > 0);
  return rowsBlock(
    columnsFor(options),
    seen.sort((a, b) => value(a) - value(b)),
  );
}

function histogramBlocks(all: readonly VectorCounts[], { name: unit }: Unit): Block[] {
  const seen = all.filter(({ buckets }) => buckets.some((count) => count > 0));
  return seen.flatMap(({ vector, buckets: counts }) => [
    textBlock(''),
    histogramBlock({ title: `softirq = ${vector}`, labels: { softirq: vector }, unit, counts }),
  ]);
}

export default reportTool({
  name: 'softirqs',
  group: 'The machine:',
  summary: 'time spent in software interrupts, by kind',
  description: 'Time spent in software interrupts by kind, or how many there were.',
  help: HELP,
  options: OPTIONS,
  trial: async () => (await import('../sources/softirq.js')).trial(),
  check,
  open: async (options) => {
    const { SoftirqSource } = await import('../sources/softirq.js');
    const unitNs = options.dist ? unitOf(options).ns : null;
    return new SoftirqSource({ cpu: options.cpu ?? null, unitNs });
  },
  banner: ({ events }) =>
    `Tracing soft irq ${events ? 'events' : 'event time'}... Hit Ctrl-C to end.`,
  schedule: ({ interval, outputs }) => ({
    everySeconds: interval ?? null,
    count: outputs ?? null,
    clears: false,
    atEnd: true,
  }),
  report: (counts, options, { wallMs }) => [
    textBlock(''),
    ...(options.timestamp ? [textBlock(clockTime(wallMs))] : []),
    ...(options.dist ? histogramBlocks(counts, unitOf(options)) : [totalsBlock(counts, options)]),
  ],
  metrics: (source, snapshot) => {
    for (const { vector, count, timeNs } of source.totals()) {
      snapshot.add('netwatch_softirq_seconds_total', { vector }, timeNs / NS_PER_SECOND);
      snapshot.add('netwatch_softirqs_total', { vector }, count);
    }
  },
});
