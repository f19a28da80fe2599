/** `netwatch netqtop`: packets of a device by queue and size. After bcc's netqtop. */
import type { Command } from 'commander';
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

interface Options extends NicOptions {
  readonly throughput: boolean;
}

/** Dashes below a report. */
const LINE = 77;
const LONG_LINE = 95;

const HELP = `
A packet is what the driver gets or hands over: before segmentation offload,
after merging (GRO). Sizes are those of frames, with the header of the link
layer, as \`ip -s link\` counts them in both directions; the original leaves it
out of those received. K is 1024, M is 1024 * 1024. Total has also the packets
of queues that the device does not say it has.

Examples:
  sudo netwatch netqtop -n eth0
  sudo netwatch netqtop -n eth0 -i 5 -t -c 12    5 seconds each, a minute in all
  sudo netwatch netqtop -n eth0 --netns web      in a network namespace
  sudo netwatch netqtop -n eth0 -o json > queues.ndjson
`;

function addOptions(command: Command): void {
  addNicOptions(command);
  command.option('-t, --throughput', 'show bytes and packets per second', false);
}

export default reportTool<Options, readonly QueueCounts[], NicSource>({
  name: 'netqtop',
  sources: ['nic'],
  group: 'The machine:',
  summary: 'packets of a network device by queue and size',
  description: 'Packets of a network device by queue and size, sent and received.',
  help: HELP,
  addOptions,
  check: checkNic,
  schedule: nicSchedule,
  open: openNic,
  report: (counts, { throughput: rates }, moment, { device }) =>
    nicReport(counts, device, moment, { sizes: true, rates }, rates ? LONG_LINE : LINE),
  metrics: nicMetrics,
});
