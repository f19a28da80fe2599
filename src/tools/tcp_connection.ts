/** `netwatch tcp_connection`: TCP connections as they are made, from both sides. After lmp's tcp_connection. */
import { option } from '../cli/options.js';
import { sidedConnections, sidedFilterOf } from '../terminal/tool-options.js';
import {
  addressColumn,
  commColumn,
  ipColumn,
  pidColumn,
  portColumn,
} from '../terminal/record-columns.js';
import { wallClockColumn, timeForPrograms } from './life/columns.js';
import { lifeEvent } from '../sources/life-events.js';
import { openLife, tryLife } from './life/open.js';
import { column } from '../terminal/column.js';
import type { LifeRecord } from '../sources/life.js';
import { eventTool } from '../terminal/event-tool.js';

const EVENTS = { accept: ['ACCEPT'], connect: ['CONNECT'] } as const;
const BOTH = ['ACCEPT', 'CONNECT'] as const;

const HELP = `
A connection between two processes of this host is shown twice: as it is connected, and
as it is accepted.

Examples:
  sudo netwatch tcp_connection                  all connections that are made
  sudo netwatch tcp_connection -r accept        those that others make to this host
  sudo netwatch tcp_connection -P 80,443        with these local ports
  sudo netwatch tcp_connection -p 181 -4        of one process, IPv4 only
`;

const OPTIONS = {
  ...sidedConnections('these local ports only'),
  ...option('-r, --direction <DIRECTION>', 'this direction only', {
    choices: ['accept', 'connect'],
  }),
};

export default eventTool({
  name: 'tcp_connection',
  group: 'Who connects to whom:',
  summary: 'TCP connections as they are made, from both sides',
  description: 'Shows TCP connections as they are made: by connect() and by accept().',
  help: HELP,
  options: OPTIONS,
  trial: tryLife({ events: BOTH }),
  open: (options, scope) =>
    openLife({
      events: options.direction === undefined ? BOTH : EVENTS[options.direction],
      filter: sidedFilterOf(scope, options, 'localPorts'),
    }),
  columns: (options, context) => [
    ...timeForPrograms(options, context),
    wallClockColumn(9, context),
    pidColumn(7),
    commColumn(12, { most: 12 }),
    ipColumn(),
    addressColumn('DADDR', 'peer', 16),
    portColumn('DPORT', 'peer', 5),
    addressColumn('SADDR', 'local', 16),
    portColumn('SPORT', 'local', 5),
    column('DIRECTION', 10, 'direction', (record: LifeRecord) => lifeEvent(record).toLowerCase(), {
      alignRight: true,
    }),
  ],
});
