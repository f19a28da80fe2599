/**
 * `netwatch tcpdrop`: TCP packets that the kernel dropped, with reason and kernel stack. After bcc's
 * tcpdrop, with the names of the running kernel, drops without a socket, and IPv6 the right way round.
 */
import { option } from '../cli/options.js';
import { CONNECTIONS, filterOf } from '../terminal/tool-options.js';
import { NAMESPACES, namespacesOf } from './loss/namespaces.js';
import { dropColumns } from './loss/drop-columns.js';
import { eventTool } from '../terminal/event-tool.js';

/** About 14,000 drops with their stacks. */
const RING_BYTES = 1 << 24;

const HELP = `
SADDR:SPORT sent the packet, DADDR:DPORT was to get it. PID is the process that
owns the socket, STATE the socket's state, FLAGS the packet's. Of a packet that was
dropped before it got to a socket (by a firewall) they are the connection's, or else
those of who listens where it was bound for; N/A where there is none. REASON and CODE are the running kernel's. Below each row stands the
way through the kernel that led to the drop, the innermost function first.

Not shown: what lay unread in a queue that was closed (QUEUE_PURGE), and keepalive
probes, whose old sequence number is on purpose (TCP_OLD_SEQUENCE).
Before Linux 5.17 there are no reasons, and only drops by TCP itself are seen, where
tcp_drop() is a function that fentry finds: Debian's 5.10 has none, and there it ends at once.

Examples:
  sudo netwatch tcpdrop                       all drops of TCP packets
  sudo netwatch tcpdrop -c --duration 60      why, whose and how many, in a minute
  sudo netwatch tcpdrop --no-stack            a row per drop
  sudo netwatch tcpdrop -6 --port 443         IPv6, to or from port 443
  sudo netwatch tcpdrop --pid-netns 1234      in the namespace of process 1234
  sudo netwatch tcpdrop -o json > drops.ndjson
`;

const OPTIONS = {
  ...option('-c, --count', 'count by reason, process and local end, and show that at the end'),
  ...option('--no-stack', 'only the rows, without the way through the kernel'),
  ...option('--keepalives', 'also keepalive probes, which are no loss'),
  ...NAMESPACES,
  ...CONNECTIONS,
};

export default eventTool({
  name: 'tcpdrop',
  group: 'What gets lost:',
  summary: 'TCP packets that the kernel dropped: why, and by which functions',
  description: 'TCP packets that the kernel dropped, each with its reason and kernel stack.',
  help: HELP,
  options: OPTIONS,
  trial: async (filter) =>
    (await import('../sources/drop.js')).trial(filter, { onlyFaults: false }),
  open: async (options, scope) => {
    const { CountedDrops } = await import('./loss/drop-counts.js');
    const namespaces = [...scope.namespaces, ...namespacesOf(options)];
    return new CountedDrops({
      filter: filterOf(scope, options, { namespaces }),
      onlyFaults: false,
      keepalives: options.keepalives,
      ringBytes: RING_BYTES,
    });
  },
  columns: ({ output, stack }, { wallMs }, source) =>
    dropColumns(output === 'json', wallMs, stack ? (record) => source.frames(record) : null),
  below: (record, { stack }, source) =>
    stack ? [...source.frames(record).map((frame) => `\t${frame}`), ''] : [],
  showsRecords: ({ count }) => !count,
  take: (record, { count }, { counts }) => {
    if (count) counts.add(record);
  },
  atEnd: ({ count }, { counts }) => (count ? counts.summary() : null),
  notes: (_, { hasReasons, hasSymbols }) => [
    ...(hasReasons ? [] : ['this kernel has no reasons for drops (Linux 5.17 has)']),
    ...(hasSymbols
      ? []
      : ['stacks show addresses: without CAP_SYSLOG the kernel hides the names of its functions']),
  ],
});
