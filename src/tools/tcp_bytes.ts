/** `netwatch tcp_bytes`: bytes by process and connection. After tcp_bytes of lmp. */
import { CONNECTIONS, COUNT, filterOf, INTERVAL } from '../terminal/tool-options.js';
import { NO_PINNED_MAPS } from '../sources/pinned.js';
import { asctime } from '../metrics/wall-clock.js';
import { reportTool } from '../terminal/report-tool.js';
import { textBlock } from '../terminal/report.js';
import { addTrafficTotals, topRows, trafficBlocks, type TrafficLayout } from './traffic/rows.js';

const NAME = 'tcp_bytes';

const LAYOUT: TrafficLayout = {
  ipv4: { local: 'SADDR', peer: 'DADDR', width: 21 },
  ipv6: { local: 'SADDR6', peer: 'DADDR6', width: 40 },
};

const LINE = '-'.repeat(60);

const HELP = `
RX_KB and TX_KB are payload that the process has received and sent, in whole
KBytes (1024); bytes_received and bytes_sent of -o json are exact.

Examples:
  sudo netwatch tcp_bytes              every second
  sudo netwatch tcp_bytes -i 0.5 -c 4  four times, twice a second
  sudo netwatch tcp_bytes -p 1234 -4   IPv4 of one process
  sudo netwatch tcp_bytes -o csv > bytes.csv
`;

const OPTIONS = { ...INTERVAL, ...COUNT, ...CONNECTIONS };

export default reportTool({
  name: NAME,
  group: 'How much goes through:',
  summary: 'bytes that each process sends and receives, by connection',
  description: 'TCP bytes by process and connection, most first.',
  help: HELP,
  options: OPTIONS,
  trial: async (filter) => (await import('../sources/bytes.js')).trial(filter, { received: true }),
  open: async (options, scope) => {
    const { BytesSource } = await import('../sources/bytes.js');
    const filter = filterOf(scope, options);
    return new BytesSource({ filter, pinned: NO_PINNED_MAPS, received: true });
  },
  schedule: ({ interval, count }) => ({
    everySeconds: interval,
    count: count ?? null,
    clears: false,
    atEnd: true,
  }),
  showsProcesses: true,
  report: (rows, { showUnit }, { wallMs, namesOf }) => [
    textBlock(asctime(wallMs)),
    ...trafficBlocks(topRows(rows), LAYOUT, namesOf, showUnit),
    textBlock(LINE),
  ],
  metrics: (source, snapshot) => {
    addTrafficTotals(NAME, source, snapshot);
  },
});
