/** `netwatch tcpconnect`: TCP connections that processes of this host make. After bcc's tcpconnect. */
import {
  addFamily,
  addPids,
  addSidedPort,
  familyOf,
  pinnedMapsOf,
  type FamilyOptions,
  type PidOptions,
  type PinnedOptions,
  type SidedPortOptions,
} from '../terminal/tool-options.js';
import { connectColumns, type ConnectOptions } from './life/connect-columns.js';
import { ConnectCounts } from './life/connect-counts.js';
import { openLife } from './life/open.js';
import {
  addLetteredPinnedMaps,
  addLocalPortColumn,
  addTimestamp,
  addUids,
  type UidOptions,
} from './life/options.js';
import type { LifeRecord, LifeSource } from '../sources/life.js';
import { eventTool } from '../terminal/event-tool.js';
import { NetwatchError } from '../failure.js';

type Options = ConnectOptions &
  FamilyOptions &
  PidOptions &
  SidedPortOptions &
  PinnedOptions &
  UidOptions & { readonly count: boolean };

const HELP = `
Each connect() that sends a SYN, answered or not. Where it waits for the answer, the
line comes with the answer, or with the second SYN after about a second.
QUERY is the name that was last asked for in the same network namespace and led to
DADDR, with the age of the answer where that is more than 100 ms.

Examples:
  sudo netwatch tcpconnect              all connections that this host makes
  sudo netwatch tcpconnect -t -U        with time and user
  sudo netwatch tcpconnect -d           with the names that were asked for before
  sudo netwatch tcpconnect -P 80,443    to web servers
  sudo netwatch tcpconnect -u 1000 -4   of one user, IPv4 only
  sudo netwatch tcpconnect -c           how many from where to where, at Ctrl-C
  sudo netwatch tcpconnect --cgroupmap /sys/fs/bpf/test01
`;

export default eventTool<Options, LifeRecord, LifeSource & { readonly counts: ConnectCounts }>({
  name: 'tcpconnect',
  sources: ['life'],
  group: 'Who connects to whom:',
  summary: 'TCP connections that processes of this host make',
  description: 'Shows TCP connections that processes of this host make.',
  help: HELP,
  addOptions: (command) => {
    addTimestamp(command);
    addPids(command);
    addSidedPort(command, 'these remote ports only');
    addFamily(command);
    addLocalPortColumn(command);
    addUids(command);
    command
      .option('-c, --count', 'count by addresses and remote port, shown at the end', false)
      .option('-s, --source-port', 'show the local port; with -c count by it too', false)
      .option('-d, --dns', 'show the name that was asked for before', false);
    addLetteredPinnedMaps(command);
  },
  check: ({ count, dns }) => {
    if (count && dns)
      throw new NetwatchError({
        code: 'usage',
        message: 'you may not specify -d/--dns with -c/--count',
        next: 'leave out one of the two',
      });
  },
  banner: () => 'Tracing connect ... Hit Ctrl-C to end',
  columns: connectColumns,
  showsRecords: ({ count }) => !count,
  open: async (options, scope) => {
    const source = await openLife(scope, {
      events: ['CONNECT'],
      filter: {
        family: familyOf(options),
        pids: options.pid ?? [],
        peerPorts: options.port ?? [],
        ports: options.eitherPort ?? [],
      },
      uid: options.uid ?? null,
      pinned: pinnedMapsOf(options),
      names: options.dns,
    });
    return Object.assign(source, { counts: new ConnectCounts(options.sourcePort) });
  },
  take: (record, { count }, { counts }) => {
    if (count) counts.take(record);
  },
  atEnd: ({ count }, { counts }) => (count ? counts.summary() : null),
});
