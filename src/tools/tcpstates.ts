/** `netwatch tcpstates`: changes of state of TCP sockets, and how long each lasted. After bcc's tcpstates. */
import { option } from '../cli/options.js';
import { CONNECTIONS, filterOf } from '../terminal/tool-options.js';
import { openLife, tryLife } from './life/open.js';
import { CSV, LISTED_PORTS, TIME, TIMESTAMP, WIDE } from './life/options.js';
import { openStateJournal } from './life/journal.js';
import { stateColumns } from './life/state-columns.js';
import { eventTool } from '../terminal/event-tool.js';

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

const OPTIONS = {
  ...TIME,
  ...TIMESTAMP,
  ...WIDE,
  ...CSV,
  ...LISTED_PORTS,
  ...option('-Y, --journal', "write them to systemd's journal too"),
  ...CONNECTIONS,
};

export default eventTool({
  name: 'tcpstates',
  group: 'Who connects to whom:',
  summary: 'changes of state of TCP sockets, and how long each lasted',
  description: 'Shows changes of state of TCP sockets, and how long each state lasted.',
  help: HELP,
  options: OPTIONS,
  trial: tryLife({ events: ['STATE'] }),
  open: async (options, scope) => {
    const journal = await openStateJournal(options.journal);
    const source = await openLife({
      events: ['STATE'],
      filter: filterOf(scope, options, {
        localPorts: options.localport ?? [],
        peerPorts: options.remoteport ?? [],
      }),
    });
    return Object.assign(source, { journal });
  },
  columns: stateColumns,
  take: (record, _options, { journal }) => journal?.send(record),
  atEnd: (_options, { journal }) => journal?.end() ?? null,
});
