/** `netwatch nic_throughput`: bytes and packets per second by queue. After nic_throughput of lmp. */
import { Option, type Command } from 'commander';
import {
  addNicOptions,
  checkNic,
  nicMetrics,
  nicSchedule,
  openNic,
  type NicOptions,
} from './nic/options.js';
import { nicReport } from './nic/report.js';
import type { NicSource, QueueCounts } from '../sources/nic.js';
import { reportTool } from '../terminal/report-tool.js';

/** Dashes below a report. */
const LINE = 60;

const HELP = `
BPS and PPS are bytes and packets per second, measured between two reports.
Sizes are those of frames, as \`ip -s link\` counts them; K is 1024.

Examples:
  sudo netwatch nic_throughput -n eth0
  sudo netwatch nic_throughput -n eth0 -i 0.5 -c 10
  sudo netwatch nic_throughput -n eth0 --netns web -o json
  sudo netwatch nic_throughput -n eth0 --data data > /dev/null
`;

function addOptions(command: Command): void {
  addNicOptions(command);
  command.addOption(
    new Option('--print', 'no effect: reports are printed (newer originals want it)').default(true),
  );
}

export default reportTool<NicOptions, readonly QueueCounts[], NicSource>({
  name: 'nic_throughput',
  sources: ['nic'],
  group: 'The machine:',
  summary: 'bytes and packets per second of a network device by queue',
  description: 'Bytes and packets per second of a network device by queue, sent and received.',
  help: HELP,
  addOptions,
  check: checkNic,
  schedule: nicSchedule,
  open: openNic,
  report: (counts, _options, moment, { device }) =>
    nicReport(counts, device, moment, { sizes: false, rates: true }, LINE),
  metrics: nicMetrics,
});
