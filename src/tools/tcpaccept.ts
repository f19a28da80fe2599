/** `netwatch tcpaccept`: TCP connections as they are accepted. After bcc's tcpaccept. */
import {
  PINNED_MAPS,
  pinnedMapsOf,
  sidedConnections,
  sidedFilterOf,
} from '../terminal/tool-options.js';
import {
  addressColumn,
  commColumn,
  ipColumn,
  pidColumn,
  portColumn,
} from '../terminal/record-columns.js';
import { glued, secondsColumn, timeForPrograms, wallClockColumn } from './life/columns.js';
import { openLife, tryLife } from './life/open.js';
import { TIME, TIMESTAMP } from './life/options.js';
import { eventTool } from '../terminal/event-tool.js';

const HELP = `
Examples:
  sudo netwatch tcpaccept               all connections that are accepted
  sudo netwatch tcpaccept -tT           with time
  sudo netwatch tcpaccept -P 80,443     of a web server
  sudo netwatch tcpaccept -p 181 -4     of one process, IPv4 only
  sudo netwatch tcpaccept --mntnsmap /sys/fs/bpf/mnt_ns_set
`;

const OPTIONS = {
  ...TIME,
  ...TIMESTAMP,
  ...sidedConnections('these local ports only'),
  ...PINNED_MAPS,
};

export default eventTool({
  name: 'tcpaccept',
  group: 'Who connects to whom:',
  summary: 'TCP connections as they are accepted',
  description: 'Shows TCP connections as accept() returns them.',
  help: HELP,
  options: OPTIONS,
  trial: tryLife({ events: ['ACCEPT'] }),
  open: (options, scope) =>
    openLife({
      events: ['ACCEPT'],
      filter: sidedFilterOf(scope, options, 'localPorts'),
      pinned: pinnedMapsOf(options),
    }),
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
});
