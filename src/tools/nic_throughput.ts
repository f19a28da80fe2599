/** `netwatch nic_throughput`: bytes and packets per second by queue. After nic_throughput of lmp. */
import { option } from '../cli/options.js';
import { checkNic, NIC, nicMetrics, nicSchedule, openNic, tryNic } from './nic/options.js';
import { nicReport } from './nic/report.js';
import { reportTool } from '../terminal/report-tool.js';

/** Dashes below a report. */
const LINE = 60;

const HELP = `
BPS and PPS are bytes and packets per second, measured between two reports.
Sizes are those of frames with the header of the link layer, before segmentation
offload and after merging (GRO); \`ip -s link\` leaves that header out on lo (14
bytes a packet). K is 1024.

Examples:
  sudo netwatch nic_throughput -n eth0
  sudo netwatch nic_throughput -n eth0 -i 0.5 -c 10
  sudo netwatch nic_throughput -n eth0 --netns web -o json
  sudo netwatch nic_throughput -n eth0 --data data > /dev/null
`;

const OPTIONS = {
  ...NIC,
  ...option('--print', 'no effect: reports are printed (newer originals want it)', {
    default: true,
  }),
};

export default reportTool({
  name: 'nic_throughput',
  group: 'The machine:',
  summary: 'bytes and packets per second of a network device by queue',
  description: 'Bytes and packets per second of a network device by queue, sent and received.',
  help: HELP,
  options: OPTIONS,
  trial: tryNic,
  check: checkNic,
  open: openNic,
  schedule: nicSchedule,
  report: (counts, _options, moment, { device }) =>
    nicReport(counts, device, moment, { sizes: false, rates: true }, LINE),
  metrics: (source, snapshot) => {
    nicMetrics('nic_throughput', source, snapshot);
  },
});
