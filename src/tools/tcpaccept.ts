/** `netwatch tcpaccept`: TCP connections as they are accepted. After bcc's tcpaccept. */
import {
  addFamily,
  addPids,
  addPinnedMaps,
  addSidedPort,
  familyOf,
  pinnedMapsOf,
  type FamilyOptions,
  type PidOptions,
  type PinnedOptions,
  type SidedPortOptions,
} from '../terminal/tool-options.js';
import {
  addressColumn,
  commColumn,
  ipColumn,
  pidColumn,
  portColumn,
} from '../terminal/record-columns.js';
import { wallClockColumn, glued, secondsColumn, timeForPrograms } from './life/columns.js';
import { openLife } from './life/open.js';
import { addTime, addTimestamp, type TimeOptions } from './life/options.js';
import type { LifeRecord, LifeSource } from '../sources/life.js';
import type { CommonOptions } from '../terminal/common.js';
import { eventTool } from '../terminal/event-tool.js';

type Options = CommonOptions &
  FamilyOptions &
  PidOptions &
  SidedPortOptions &
  PinnedOptions &
  TimeOptions;

const HELP = `
Examples:
  sudo netwatch tcpaccept               all connections that are accepted
  sudo netwatch tcpaccept -tT           with time
  sudo netwatch tcpaccept -P 80,443     of a web server
  sudo netwatch tcpaccept -p 181 -4     of one process, IPv4 only
  sudo netwatch tcpaccept --mntnsmap /sys/fs/bpf/mnt_ns_set
`;

export default eventTool<Options, LifeRecord, LifeSource>({
  name: 'tcpaccept',
  sources: ['life'],
  group: 'Who connects to whom:',
  summary: 'TCP connections as they are accepted',
  description: 'Shows TCP connections as accept() returns them.',
  help: HELP,
  addOptions: (command) => {
    addTime(command);
    addTimestamp(command);
    addPids(command);
    addSidedPort(command, 'these local ports only');
    addFamily(command);
    addPinnedMaps(command);
  },
  columns: (options, context) => {
    const { time, timestamp } = options;
    const front = [
      ...timeForPrograms(options, context),
      ...(time ? [wallClockColumn(9, context)] : []),
      ...(timestamp ? [secondsColumn(3)] : []),
    ];
    return [
      ...glued(front, [pidColumn(7)]),
      commColumn(12, { most: 12 }),
      ipColumn(),
      addressColumn('RADDR', 'peer', 16),
      portColumn('RPORT', 'peer', 5),
      addressColumn('LADDR', 'local', 16),
      portColumn('LPORT', 'local', 5),
    ];
  },
  open: (options, scope) =>
    openLife(scope, {
      events: ['ACCEPT'],
      filter: {
        family: familyOf(options),
        pids: options.pid ?? [],
        localPorts: options.port ?? [],
        ports: options.eitherPort ?? [],
      },
      pinned: pinnedMapsOf(options),
    }),
});
