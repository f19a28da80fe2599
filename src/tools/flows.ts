/** `netwatch flows`: who talks to whom, by process, port of the server and peer. */
import { argument, option } from '../cli/options.js';
import * as parse from '../cli/parse.js';
import { column, columnWith, type Column } from '../terminal/column.js';
import { nameFields } from '../metrics/ndjson.js';
import type { CommonOptions } from '../terminal/common.js';
import { jsonFields, withUnit } from '../terminal/record-columns.js';
import { onlyTable, rowsBlock, textBlock } from '../terminal/report.js';
import { reportTool } from '../terminal/report-tool.js';
import { CONNECTIONS, COUNT_ARGUMENT, filterOf, REPORT_TIME } from '../terminal/tool-options.js';
import { clockTime } from '../metrics/wall-clock.js';
import type { Flow } from '../sources/flows.js';

const HELP = `
A row is all connections of one process name with one other end: as client to PORT
of PEER, or as server of PORT. With --show-unit, and in JSON, processes of two units
or containers have two rows. CONNS were open in the interval, RX_KB and TX_KB are
payload received and sent in it, in whole KBytes (1024; exact in -o json), RETRANS
segments sent again, RTT_MS the mean of the smoothed round-trip times.

What a connection moved before the start is in the first report.

Examples:
  sudo netwatch flows                    all of it, at the end
  sudo netwatch flows 5                  every five seconds
  sudo netwatch flows -r 10 1 60         the ten largest, for a minute
  sudo netwatch flows --port 5432 -o json
`;

const OPTIONS = {
  ...argument('[interval]', 'seconds between two reports; without it one at the end', {
    parse: parse.seconds,
  }),
  ...COUNT_ARGUMENT,
  ...option('-r, --rows <ROWS>', 'so many rows at most; the rest is one', { parse: parse.count }),
  ...REPORT_TIME,
  ...CONNECTIONS,
};

const US_PER_MS = 1000;

function kilobytes(title: string, of: 'sent' | 'received'): Column<Flow> {
  return columnWith(
    title,
    9,
    (flow) => Math.floor(flow[of] / 1024),
    (flow) => ({ [`bytes_${of}`]: flow[of] }),
    { alignRight: true },
  );
}

const COLUMNS: readonly Column<Flow>[] = [
  column('PROCESS', 16, 'process', ({ process }) => process),
  column('ROLE', 6, 'role', ({ role }) => role),
  column('PORT', 5, 'server_port', ({ serverPort }) => serverPort),
  column('PEER', 24, 'network_peer_address', ({ peer }) => peer),
  column('CONNS', 6, 'connections', ({ connections }) => connections),
  kilobytes('RX_KB', 'received'),
  kilobytes('TX_KB', 'sent'),
  column('RETRANS', 7, 'retransmits', ({ retransmits }) => retransmits),
  columnWith(
    'RTT_MS',
    0,
    ({ rttUs }) => (rttUs === null ? null : (rttUs / US_PER_MS).toFixed(2)),
    ({ rttUs }) => ({ rtt_us: rttUs }),
  ),
];

/** JSON has the names unasked. */
const columns = ({ output, showUnit = false }: CommonOptions): readonly Column<Flow>[] => [
  ...(showUnit ? withUnit(COLUMNS, ({ names }) => names) : COLUMNS),
  ...jsonFields<Flow>(output === 'json', ({ names }) => nameFields(names)),
];

const KB = 1024;

export default reportTool({
  name: 'flows',
  group: 'How much goes through:',
  summary: 'who talks to whom, and how much: by process, port and peer',
  description: 'Who talks to whom over TCP, by process, port of the server and peer.',
  help: HELP,
  options: OPTIONS,
  trial: async (filter) => (await import('../sources/flow-source.js')).trial(filter),
  open: async (options, scope, namesOf) => {
    const { FlowSource } = await import('../sources/flow-source.js');
    return new FlowSource(filterOf(scope, options), namesOf);
  },
  banner: () => 'Adding up connections. Hit Ctrl-C to end.',
  schedule: ({ interval, count }) => ({
    everySeconds: interval ?? null,
    count: count ?? null,
    clears: false,
    atEnd: true,
  }),
  showsProcesses: true,
  report: ({ flows, others }, { rows = Infinity, ...options }, { wallMs }) => {
    const rest = flows.slice(rows);
    const left = others.connections + rest.reduce((sum, it) => sum + it.connections, 0);
    const bytes = [others, ...rest].reduce((sum, it) => sum + it.sent + it.received, 0);
    const more = `and ${left} connections of other flows: ${Math.floor(bytes / KB)} KB`;
    return [
      textBlock(''),
      ...(options.timestamp ? [textBlock(clockTime(wallMs))] : []),
      ...(flows.length === 0 ? [textBlock('no connection has been seen')] : []),
      ...(flows.length === 0 ? [] : [rowsBlock(columns(options), flows.slice(0, rows))]),
      ...(left === 0 ? [] : [onlyTable(textBlock(more))]),
    ];
  },
});
