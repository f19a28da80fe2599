/** `netwatch tcpsubnet`: bytes sent by subnet of the receiver. After bcc's tcpsubnet. */
import { InvalidArgumentError } from 'commander';
import { argument, option } from '../cli/options.js';
import { CONNECTIONS, filterOf, INTERVAL } from '../terminal/tool-options.js';
import { NO_PINNED_MAPS } from '../sources/pinned.js';
import { columnWith, type Column } from '../terminal/column.js';
import { clockTime } from '../metrics/wall-clock.js';
import { reportTool } from '../terminal/report-tool.js';
import { onlyTable, rowsBlock, textBlock, type Block } from '../terminal/report.js';
import {
  AMOUNT_FORMATS,
  amountOf,
  DEFAULT_SUBNETS,
  parseSubnets,
  type AmountFormat,
  type Subnet,
} from './traffic/subnets.js';

type Row = readonly [subnet: string, bytes: number];

const HELP = `
A connection counts for the first subnet that holds its other end; what none
holds is left out. IPv6 counts where an IPv6 subnet is named. Counted is what
really was sent, not what a program asked to send.

Examples:
  sudo netwatch tcpsubnet                          the private networks and the rest
  sudo netwatch tcpsubnet -f K -i 5                KBytes, every 5 s
  sudo netwatch tcpsubnet 10.80.0.0/24,0.0.0.0/0,::/0
  sudo netwatch tcpsubnet -J                       one object per report, as tcpsubnet of bcc
  sudo netwatch tcpsubnet -o csv > subnets.csv
`;

function subnetsOption(text: string): readonly Subnet[] {
  const parsed = parseSubnets(text);
  if ('wrong' in parsed)
    throw new InvalidArgumentError(
      `Subnet [${parsed.wrong}] is invalid, please refer to the examples.`,
    );
  return parsed.subnets;
}

const OPTIONS = {
  ...argument('[subnets]', `comma separated list of subnets (default: ${DEFAULT_SUBNETS})`, {
    parse: subnetsOption,
  }),
  ...option('-J, --json', "one JSON object per report, with bcc's names"),
  ...option('-f, --format <FORMAT>', 'bits, Kbits, Mbits, bytes, KBytes, MBytes', {
    choices: AMOUNT_FORMATS,
    default: 'B',
  }),
  ...INTERVAL,
  ...CONNECTIONS,
};

const two = (value: number): string => String(value).padStart(2, '0');

/** `%x` of the C locale. */
function dateOf(wallMs: number): string {
  const date = new Date(wallMs);
  return [date.getMonth() + 1, date.getDate(), date.getFullYear() % 100].map(two).join('/');
}

function columnsFor(format: AmountFormat): readonly Column<Row>[] {
  return [
    columnWith(
      'SUBNET',
      21,
      ([subnet]) => subnet,
      ([subnet]) => ({ subnet }),
    ),
    columnWith(
      'SENT',
      6,
      ([, bytes]) => Math.trunc(amountOf(bytes, format)),
      ([, bytes]) => ({ bytes_sent: bytes }),
      { alignRight: true },
    ),
  ];
}

/** Rows without a head, below the time. */
function rowsOf(rows: readonly Row[], format: AmountFormat, wallMs: number): readonly Block[] {
  const block = rowsBlock(columnsFor(format), rows);
  return [
    textBlock(`[${dateOf(wallMs)} ${clockTime(wallMs)}]`),
    { ...block, table: () => block.table().slice(1) },
  ];
}

/** bcc's own object. */
function objectOf(rows: readonly Row[], format: AmountFormat, wallMs: number): Block {
  const entries = Object.fromEntries(rows.map(([name, bytes]) => [name, amountOf(bytes, format)]));
  const object = { date: dateOf(wallMs), time: clockTime(wallMs), entries };
  return onlyTable(textBlock(JSON.stringify(object)));
}

export default reportTool({
  name: 'tcpsubnet',
  group: 'How much goes through:',
  summary: 'bytes sent by subnet of the receiver',
  description: 'TCP bytes sent, by subnet of the receiver.',
  help: HELP,
  options: OPTIONS,
  trial: async (filter) => (await import('../sources/bytes.js')).trial(filter, { received: false }),
  open: async (options, scope) => {
    const { SubnetSource } = await import('./traffic/subnet-source.js');
    const { subnets = subnetsOption(DEFAULT_SUBNETS) } = options;
    const filter = filterOf(scope, options);
    return new SubnetSource({ filter, pinned: NO_PINNED_MAPS, received: false }, subnets);
  },
  banner: ({ interval, json }) =>
    json ? '' : `Tracing... Output every ${interval} secs. Hit Ctrl-C to end`,
  schedule: ({ interval }) => ({
    everySeconds: interval,
    count: null,
    clears: false,
    atEnd: true,
  }),
  report: (bytes, { json, output, format }, { wallMs }) => {
    const rows = [...bytes].sort(([, a], [, b]) => b - a);
    return json && output === 'table'
      ? [objectOf(rows, format, wallMs)]
      : rowsOf(rows, format, wallMs);
  },
  metrics: (source, snapshot) => {
    for (const [subnet, bytes] of source.totals())
      snapshot.add('netwatch_tcp_subnet_bytes_total', { subnet }, bytes);
  },
});
