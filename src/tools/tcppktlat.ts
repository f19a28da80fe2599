/** `netwatch tcppktlat`: how long received data waits to be read. After libbpf-tools' tcppktlat. */
import { argument, option } from '../cli/options.js';
import * as parse from '../cli/parse.js';
import { CONNECTIONS, filterOf } from '../terminal/tool-options.js';
import type { PacketLatencyRecord } from '../sources/pktlat.js';
import { column, columnWith, type Column } from '../terminal/column.js';
import type { Context } from '../terminal/common.js';
import { eventTool } from '../terminal/event-tool.js';
import type { ToolOptions } from '../terminal/watching-tool.js';
import { clockTime } from '../metrics/wall-clock.js';

type R = PacketLatencyRecord;

const RING_BYTES = 1 << 22;
const NS_PER_US = 1000;
const MOST = 16;
const NARROW = 15;
const WIDE = 39;

const HELP = `
US is the time in microseconds from the arrival of data at TCP to the read that
takes it; of several packets that one read takes, the oldest counts. Data that
waited for others before it (out of order) has waited since it came itself.

Examples:
  sudo netwatch tcppktlat              every read
  sudo netwatch tcppktlat 1000         those after a millisecond or more
  sudo netwatch tcppktlat -T -l 443    with the time, by local port
  sudo netwatch tcppktlat -p 181 -w    one process, IPv6 fits
`;

const OPTIONS = {
  ...argument('[min_us]', 'microseconds: shorter ones are left out', { parse: parse.count }),
  ...option('-t, --tid <TIDS>', 'these threads only', { parse: parse.pids }),
  ...option('-T, --timestamp', 'show the time (HH:MM:SS)'),
  ...option('-l, --lport <PORTS>', 'these local ports only', { parse: parse.ports }),
  ...option('-r, --rport <PORTS>', 'these remote ports only', { parse: parse.ports }),
  ...option('-w, --wide', 'wider columns, which IPv6 addresses fit in'),
  ...CONNECTIONS,
};

function timeColumn(inTable: boolean, { wallMs }: Context): Column<R> {
  const time = ({ tsNs }: R): string => clockTime(wallMs(tsNs));
  const fields = ({ tsNs }: R) => ({ time: new Date(wallMs(tsNs)).toISOString() });
  return { ...columnWith('TIME(s)', 8, time, fields), inTable };
}

const microseconds = ({ latencyNs }: R): number => (latencyNs ?? 0) / NS_PER_US;

function columns(
  { timestamp, wide }: ToolOptions<typeof OPTIONS>,
  context: Context,
): readonly Column<R>[] {
  const width = wide ? WIDE : NARROW;
  return [
    timeColumn(timestamp, context),
    column('PID', 7, 'pid', ({ pid }) => pid, timestamp ? {} : { before: '' }),
    column('TID', 7, 'tid', ({ tid }) => tid),
    column('COMM', MOST, 'process', ({ comm }) => comm),
    column('LADDR', width, 'network_local_address', ({ localAddr }) => localAddr),
    column('LPORT', 5, 'network_local_port', ({ localPort }) => localPort),
    column('RADDR', width, 'network_peer_address', ({ peerAddr }) => peerAddr),
    column('RPORT', 5, 'network_peer_port', ({ peerPort }) => peerPort),
    columnWith(
      'US',
      0,
      (r) => microseconds(r).toFixed(2),
      (r) => ({ latency_us: microseconds(r) }),
    ),
  ];
}

export default eventTool({
  name: 'tcppktlat',
  group: 'How long it takes:',
  summary: 'time that received data waits for the process that reads it',
  description: 'How long received TCP data waits for the process that reads it.',
  help: HELP,
  options: OPTIONS,
  trial: async (filter) => (await import('../sources/pktlat.js')).trial(filter),
  open: async (options, scope) => {
    const { PacketLatencySource } = await import('../sources/pktlat.js');
    const { tid = [], lport = [], rport = [], min_us = 0 } = options;
    return new PacketLatencySource({
      filter: filterOf(scope, options, { localPorts: lport, peerPorts: rport }),
      tids: tid,
      minLatencyUs: min_us,
      ringBytes: RING_BYTES,
    });
  },
  columns,
});
