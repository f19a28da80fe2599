/** `netwatch tcplife`: TCP connections at their end, with volume and duration. After bcc's tcplife. */
import {
  addEitherPort,
  addFamily,
  addPids,
  familyOf,
  type FamilyOptions,
  type PidOptions,
  type PortOptions,
} from '../terminal/tool-options.js';
import { lifeColumns } from './life/life-columns.js';
import { openLife } from './life/open.js';
import {
  addCsv,
  addListedPorts,
  addTime,
  addTimestamp,
  addWide,
  type ListedPorts,
  type TimeOptions,
} from './life/options.js';
import type { LifeRecord, LifeSource } from '../sources/life.js';
import type { CommonOptions } from '../terminal/common.js';
import { eventTool } from '../terminal/event-tool.js';

type Options = CommonOptions &
  FamilyOptions &
  PidOptions &
  PortOptions &
  ListedPorts &
  TimeOptions & { readonly wide: boolean };

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

export default eventTool<Options, LifeRecord, LifeSource>({
  name: 'tcplife',
  sources: ['life'],
  group: 'Who connects to whom:',
  summary: 'TCP connections at their end: who, how much, how long',
  description: 'Shows TCP connections at their end: who, how much, how long.',
  help: HELP,
  addOptions: (command) => {
    addTime(command);
    addTimestamp(command);
    addWide(command);
    addCsv(command);
    addPids(command);
    addListedPorts(command);
    addFamily(command);
    addEitherPort(command);
  },
  columns: lifeColumns,
  open: (options, scope) =>
    openLife(scope, {
      events: ['CLOSE'],
      filter: {
        family: familyOf(options),
        pids: options.pid ?? [],
        ports: options.port ?? [],
        localPorts: options.localport ?? [],
        peerPorts: options.remoteport ?? [],
      },
    }),
});
