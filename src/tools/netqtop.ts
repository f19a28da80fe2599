/** `netwatch netqtop`: packets of a device by queue and size. After bcc's netqtop. */
import { option } from '../cli/options.js';
import { checkNic, NIC, nicMetrics, nicSchedule, openNic, tryNic } from './nic/options.js';
import { nicReport } from './nic/report.js';
import { reportTool } from '../terminal/report-tool.js';

/** Dashes below a report. */
const LINE = 77;
const LONG_LINE = 95;

const HELP = `
A packet is what the driver gets or hands over: before segmentation offload,
after merging (GRO). Sizes are those of frames, with the header of the link
layer in both directions; the original leaves it out of those received. So does
\`ip -s link\` on lo (14 bytes a packet); a network card's own counters are of the
segments on the wire. K is 1024, M is 1024 * 1024. Total has also the packets
of queues that the device does not say it has.

Examples:
  sudo netwatch netqtop -n eth0
  sudo netwatch netqtop -n eth0 -i 5 -t -c 12    5 seconds each, a minute in all
  sudo netwatch netqtop -n eth0 --netns web      in a network namespace
  sudo netwatch netqtop -n eth0 -o json > queues.ndjson
`;

const OPTIONS = {
  ...NIC,
  ...option('-t, --throughput', 'show bytes and packets per second'),
};

export default reportTool({
  name: 'netqtop',
  group: 'The machine:',
  summary: 'packets of a network device by queue and size',
  description: 'Packets of a network device by queue and size, sent and received.',
  help: HELP,
  options: OPTIONS,
  trial: tryNic,
  check: checkNic,
  open: openNic,
  schedule: nicSchedule,
  report: (counts, { throughput: rates }, moment, { device }) =>
    nicReport(counts, device, moment, { sizes: true, rates }, rates ? LONG_LINE : LINE),
  metrics: (source, snapshot) => {
    nicMetrics('netqtop', source, snapshot);
  },
});
