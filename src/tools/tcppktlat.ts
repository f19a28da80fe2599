/** `netwatch tcppktlat`: how long received data waits to be read. After libbpf-tools' tcppktlat. */
import { Option, type Command } from 'commander';
import * as parse from '../cli/parse.js';
import {
  addEitherPort,
  addFamily,
  addPids,
  familyOf,
  filterOf,
  type FamilyOptions,
  type PidOptions,
  type PortOptions,
} from '../terminal/tool-options.js';
import type { PacketLatencyRecord, PacketLatencySource } from '../sources/pktlat.js';
import { column, columnWith, type Column } from '../terminal/column.js';
import type { CommonOptions, Context } from '../terminal/common.js';
import { eventTool } from '../terminal/event-tool.js';
import { clockTime } from '../metrics/wall-clock.js';

type R = PacketLatencyRecord;

interface Options extends CommonOptions, FamilyOptions, PidOptions, PortOptions {
  readonly min_us?: number;
  readonly tid?: readonly number[];
  readonly timestamp: boolean;
  readonly lport?: readonly number[];
  readonly rport?: readonly number[];
  readonly wide: boolean;
}

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

function addOptions(command: Command): void {
  const ports = (flags: string, text: string): Option =>
    new Option(flags, text).argParser<number[]>(parse.ports);
  command.argument('[min_us]', 'microseconds: shorter ones are left out', parse.count);
  addPids(command);
  command
    .addOption(new Option('-t, --tid <TIDS>', 'these threads only').argParser<number[]>(parse.pids))
    .option('-T, --timestamp', 'show the time (HH:MM:SS)', false)
    .addOption(ports('-l, --lport <PORTS>', 'these local ports only'))
    .addOption(ports('-r, --rport <PORTS>', 'these remote ports only'))
    .option('-w, --wide', 'wider columns, which IPv6 addresses fit in', false);
  addFamily(command);
  addEitherPort(command);
}

function timeColumn(inTable: boolean, { wallMs }: Context): Column<R> {
  const time = ({ tsNs }: R): string => clockTime(wallMs(tsNs));
  const fields = ({ tsNs }: R) => ({ time: new Date(wallMs(tsNs)).toISOString() });
  return { ...columnWith('TIME(s)', 8, time, fields), inTable };
}

const microseconds = ({ latencyNs }: R): number => (latencyNs ?? 0) / NS_PER_US;

function columns({ timestamp, wide }: Options, context: Context): readonly Column<R>[] {
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

export default eventTool<Options, R, PacketLatencySource>({
  name: 'tcppktlat',
  sources: ['pktlat'],
  group: 'How long it takes:',
  summary: 'time that received data waits for the process that reads it',
  description: 'How long received TCP data waits for the process that reads it.',
  help: HELP,
  addOptions,
  columns,
  open: async (options, scope) => {
    const { PacketLatencySource } = await import('../sources/pktlat.js');
    const { pid = [], tid = [], port = [], lport = [], rport = [], min_us = 0 } = options;
    const family = familyOf(options);
    return new PacketLatencySource({
      filter: filterOf(scope, {
        pids: pid,
        ports: port,
        localPorts: lport,
        peerPorts: rport,
        family,
      }),
      tids: tid,
      minLatencyUs: min_us,
      ringBytes: RING_BYTES,
    });
  },
});
