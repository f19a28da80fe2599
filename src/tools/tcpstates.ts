/** `netwatch tcpstates`: changes of state of TCP sockets, and how long each lasted. After bcc's tcpstates. */
import {
  addEitherPort,
  addFamily,
  addPids,
  familyOf,
  type FamilyOptions,
  type PidOptions,
  type PortOptions,
} from '../terminal/tool-options.js';
import { openLife } from './life/open.js';
import { openStateJournal, type Journaled } from './life/journal.js';
import {
  addCsv,
  addListedPorts,
  addTime,
  addTimestamp,
  addWide,
  type ListedPorts,
  type TimeOptions,
} from './life/options.js';
import { stateColumns } from './life/state-columns.js';
import type { LifeRecord, LifeSource } from '../sources/life.js';
import type { CommonOptions } from '../terminal/common.js';
import { eventTool } from '../terminal/event-tool.js';

type Options = CommonOptions &
  FamilyOptions &
  PidOptions &
  PortOptions &
  ListedPorts &
  TimeOptions & { readonly wide: boolean; readonly journal: boolean };

const HELP = `
C-PID and C-COMM are the process that owns the socket, also where the change came
from the network. MS is the time in the old state: 0.000 if its begin was not seen.

Examples:
  sudo netwatch tcpstates               all changes of state on this host
  sudo netwatch tcpstates -tT           with time
  sudo netwatch tcpstates -w -6         IPv6 only, in wider columns
  sudo netwatch tcpstates -L 80,443     of a web server
  sudo netwatch tcpstates -stT          CSV, with time
  sudo netwatch tcpstates -Y            also into systemd's journal
`;

export default eventTool<Options, LifeRecord, Journaled<LifeSource>>({
  name: 'tcpstates',
  sources: ['life'],
  group: 'Who connects to whom:',
  summary: 'changes of state of TCP sockets, and how long each lasted',
  description: 'Shows changes of state of TCP sockets, and how long each state lasted.',
  help: HELP,
  addOptions: (command) => {
    addTime(command);
    addTimestamp(command);
    addWide(command);
    addCsv(command);
    addListedPorts(command);
    addFamily(command);
    addPids(command);
    addEitherPort(command);
    command.option('-Y, --journal', "write them to systemd's journal too", false);
  },
  columns: stateColumns,
  open: async (options, scope) => {
    const journal = await openStateJournal(options.journal);
    const source = await openLife(scope, {
      events: ['STATE'],
      filter: {
        family: familyOf(options),
        pids: options.pid ?? [],
        ports: options.port ?? [],
        localPorts: options.localport ?? [],
        peerPorts: options.remoteport ?? [],
      },
    });
    return Object.assign(source, { journal });
  },
  take: (record, _options, { journal }) => journal?.send(record),
  atEnd: (_options, { journal }) => journal?.end() ?? null,
});
