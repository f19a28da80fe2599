/** `netwatch tcpconnect`: TCP connections that processes of this host make. After bcc's tcpconnect. */
import { option } from '../cli/options.js';
import { pinnedMapsOf, sidedConnections, sidedFilterOf } from '../terminal/tool-options.js';
import { connectColumns } from './life/connect-columns.js';
import { tryLife } from './life/open.js';
import { LETTERED_PINNED_MAPS, LOCAL_PORT_COLUMN, TIMESTAMP, UIDS } from './life/options.js';
import { eventTool } from '../terminal/event-tool.js';
import { NetwatchError } from '../failure.js';

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

const OPTIONS = {
  ...TIMESTAMP,
  ...sidedConnections('these remote ports only'),
  ...LOCAL_PORT_COLUMN,
  ...UIDS,
  ...option('-c, --count', 'count by addresses and remote port, shown at the end'),
  ...option('-s, --source-port', 'show the local port; with -c count by it too'),
  ...option('-d, --dns', 'show the name that was asked for before'),
  ...LETTERED_PINNED_MAPS,
};

export default eventTool({
  name: 'tcpconnect',
  group: 'Who connects to whom:',
  summary: 'TCP connections that processes of this host make',
  description: 'Shows TCP connections that processes of this host make.',
  help: HELP,
  options: OPTIONS,
  trial: tryLife({ events: ['CONNECT'], names: true }),
  check: ({ count, dns }) => {
    if (count && dns)
      throw new NetwatchError({
        code: 'usage',
        message: 'you may not specify -d/--dns with -c/--count',
        next: 'leave out one of the two',
      });
  },
  open: async (options, scope) => {
    const { ConnectSource } = await import('./life/connect-source.js');
    const asked = {
      events: ['CONNECT'],
      filter: sidedFilterOf(scope, options, 'peerPorts'),
      uid: options.uid ?? null,
      pinned: pinnedMapsOf(options),
      names: options.dns,
    } as const;
    return new ConnectSource(asked, options.sourcePort);
  },
  banner: () => 'Tracing connect ... Hit Ctrl-C to end',
  columns: (options, context, source) => connectColumns(options, context, source),
  showsRecords: ({ count }) => !count,
  take: (record, { count }, { counts }) => {
    if (count) counts.take(record);
  },
  atEnd: ({ count }, { counts }) => (count ? counts.summary() : null),
});
