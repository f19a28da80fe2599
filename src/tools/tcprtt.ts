/** `netwatch tcprtt`: round-trip times of TCP connections as histograms. After bcc's tcprtt. */
import { foldLog2 } from '../metrics/histogram.js';
import { FAMILIES } from '../metrics/families.js';
import { rttBlocks } from './rtt/blocks.js';
import {
  byOf,
  intervalOf,
  isTutorial,
  OPTIONS,
  rttOptions,
  showsAverage,
  unitOf,
  type TypedOptions,
} from './rtt/options.js';
import { clockTime } from '../metrics/wall-clock.js';
import { reportTool } from '../terminal/report-tool.js';
import { textBlock } from '../terminal/report.js';

const NS_PER_SECOND = 1e9;

const HELP = `
Counted is the smoothed round-trip time that the kernel keeps for a connection,
once for each segment that arrives on it while it is established.

Examples:
  sudo netwatch tcprtt                    one histogram of all, at the end
  sudo netwatch tcprtt -i 1 -d 10         ten, one for each second
  sudo netwatch tcprtt -m -T -i 5         milliseconds, with the time
  sudo netwatch tcprtt -B -e -P 443       servers that we use, with averages
  sudo netwatch tcprtt -b -a 192.0.2.0/24 -o json
  sudo netwatch tcprtt --data data > /dev/null
`;

/** How many reports the time is enough for. */
function countOf(options: TypedOptions): number | null {
  const { duration } = options;
  const interval = intervalOf(options);
  return duration === undefined || interval === null ? null : Math.ceil(duration / interval);
}

export default reportTool({
  name: 'tcprtt',
  group: 'How long it takes:',
  summary: 'round-trip times of connections as histograms',
  description: 'Smoothed round-trip times of TCP connections as histograms.',
  help: HELP,
  options: OPTIONS,
  trial: async (filter) => (await import('../sources/rtt.js')).trial(filter),
  open: async (options, scope) => {
    const { RttSource } = await import('../sources/rtt.js');
    return new RttSource(rttOptions(options, scope));
  },
  banner: (options) => (isTutorial(options) ? '' : 'Tracing TCP RTT... Hit Ctrl-C to end.'),
  schedule: (options) => ({
    everySeconds: intervalOf(options),
    count: countOf(options),
    clears: false,
    atEnd: true,
  }),
  report: (counts, options, { wallMs }) => {
    const tutorial = isTutorial(options);
    const form = {
      by: byOf(options),
      unit: unitOf(options),
      average: showsAverage(options),
      tutorial,
    };
    return [
      ...(tutorial ? [] : [textBlock('')]),
      ...(options.timestamp ? [textBlock(clockTime(wallMs))] : []),
      ...rttBlocks(counts, form),
    ];
  },
  metrics: (source, snapshot) => {
    const { buckets, sumNs } = source.totals();
    const name = 'netwatch_tcp_segment_rtt_seconds';
    const counts = foldLog2(buckets, FAMILIES[name].buckets);
    snapshot.histogram(name, {}, counts, sumNs / NS_PER_SECOND);
  },
});
