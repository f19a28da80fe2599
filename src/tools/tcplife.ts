/** `netwatch tcplife`: TCP connections at their end, with volume and duration. After bcc's tcplife. */
import { CONNECTIONS, filterOf } from '../terminal/tool-options.js';
import { lifeColumns } from './life/life-columns.js';
import { openLife, tryLife } from './life/open.js';
import { CSV, LISTED_PORTS, TIME, TIMESTAMP, WIDE } from './life/options.js';
import { eventTool } from '../terminal/event-tool.js';

const HELP = `
A line when a connection is closed for good, if its begin was seen too. MS is counted
from the end of the handshake, if there was one. TX_KB and RX_KB are the kernel's
own counts, whole KiB; the bytes in JSON are of data alone: no SYN, no FIN.

Examples:
  sudo netwatch tcplife                 all connections of this host that end
  sudo netwatch tcplife -tT             with time
  sudo netwatch tcplife -w              in columns wide enough for IPv6
  sudo netwatch tcplife -p 181,182      of two processes
  sudo netwatch tcplife -L 80,443       of a web server
  sudo netwatch tcplife -stT            CSV, with time
  sudo netwatch tcplife -o json --duration 60 > connections.ndjson
`;

const OPTIONS = {
  ...TIME,
  ...TIMESTAMP,
  ...WIDE,
  ...CSV,
  ...LISTED_PORTS,
  ...CONNECTIONS,
};

export default eventTool({
  name: 'tcplife',
  group: 'Who connects to whom:',
  summary: 'TCP connections at their end: who, how much, how long',
  description: 'Shows TCP connections at their end: who, how much, how long.',
  help: HELP,
  options: OPTIONS,
  trial: tryLife({ events: ['CLOSE'] }),
  open: (options, scope) =>
    openLife({
      events: ['CLOSE'],
      filter: filterOf(scope, options, {
        localPorts: options.localport ?? [],
        peerPorts: options.remoteport ?? [],
      }),
    }),
  columns: lifeColumns,
});
