/**
 * `netwatch export`: turns history logs into OpenMetrics, with which Prometheus can be filled
 * afterwards.
 */
import { InvalidArgumentError } from 'commander';
import { argument, option, type ValuesOf } from '../cli/options.js';
import { runExport } from './run.js';
import { parseTime } from './time.js';
import { NetwatchError } from '../failure.js';
import { isTerminal, messages, openStandardOutput } from '../process/streams.js';
import { jobTool } from '../terminal/tool.js';

const HELP = `
LOG is a log with all its rotated files (data/connects.log), or exactly one file
(data/connects.log.3.gz). TIME is a date (2026-11-21T08:00:00Z), seconds or
milliseconds since 1970, or an age (90m, 2h, 1d12h).

Left out and counted on standard error: lines that are torn or no samples, and
samples that share series and millisecond with a later one. All others are held
in memory: about 3 bytes for a byte of packets.log, 1 for a byte of connects.log
(uncompressed). Longer histories go in parts, with --since and --until.

Examples:
  netwatch export -O history.om data/connects.log   all there is
  netwatch export --since 2h data/*.log | head      a look at the last two hours
  netwatch export --until 3h -O history.om data/connects.log
  promtool tsdb create-blocks-from openmetrics history.om DIR
       into DIR, the data directory of Prometheus; it still holds its newest
       three hours in memory, so leave those out
`;

function time(text: string): number {
  const value = parseTime(text, Date.now());
  if (value !== null) return value;
  throw new InvalidArgumentError(
    'Use a date as 2026-11-21T08:00:00Z, seconds since 1970, or an age as 2h.',
  );
}

const OPTIONS = {
  ...argument('<LOG...>', 'logs to read'),
  ...option('--since <TIME>', 'leave out what is older', { parse: time }),
  ...option('--until <TIME>', 'leave out what is newer', { parse: time }),
  ...option('-O, --out <FILE>', 'write to FILE instead of standard output'),
};

async function run(typed: ValuesOf<typeof OPTIONS>): Promise<void> {
  const { LOG: logs, since: sinceMs = -Infinity, until: untilMs = Infinity, out = null } = typed;
  if (sinceMs > untilMs) {
    throw new NetwatchError({
      code: 'usage',
      message: '--since is later than --until',
      next: 'swap the two',
    });
  }
  await runExport(
    { logs, sinceMs, untilMs, out },
    { stdout: openStandardOutput(), stderr: { write: messages.write, isTTY: isTerminal(2) } },
  );
}

export default jobTool(
  {
    name: 'export',
    summary: 'turn history logs into OpenMetrics, to back-fill Prometheus',
    group: 'About the files:',
    description: 'Turn history logs into OpenMetrics, to back-fill Prometheus.',
    options: OPTIONS,
    help: HELP,
  },
  run,
);
