/**
 * `netwatch tcpdrop`: TCP packets that the kernel dropped, with reason and kernel stack. After bcc's
 * tcpdrop, with the names of the running kernel, drops without a socket, and IPv6 the right way round.
 */
import { EITHER_PORT, FAMILY, filterOf, PIDS } from '../terminal/tool-options.js';
import { NAMESPACES, namespacesOf } from './loss/namespaces.js';
import { dropColumns } from './loss/drop-columns.js';
import { eventTool } from '../terminal/event-tool.js';

/** About 14,000 drops with their stacks. */
const RING_BYTES = 1 << 24;

const HELP = `
SADDR:SPORT sent the packet, DADDR:DPORT was to get it. PID is the process that
owns the socket, STATE the socket's state, FLAGS the packet's; N/A where no socket
with these ends is known. REASON and CODE are the running kernel's. Below each row stands the
way through the kernel that led to the drop, the innermost function first.

Not shown: what lay unread in a queue that was closed (QUEUE_PURGE).
Before Linux 5.17 there are no reasons, and only drops by TCP itself are seen, where
tcp_drop() is a function that fentry finds: Debian's 5.10 has none, and there it ends at once.

Examples:
  sudo netwatch tcpdrop                       all drops of TCP packets
  sudo netwatch tcpdrop -6 --port 443         IPv6, to or from port 443
  sudo netwatch tcpdrop --pid-netns 1234      in the namespace of process 1234
  sudo netwatch tcpdrop -o json > drops.ndjson
`;

const OPTIONS = { ...FAMILY, ...PIDS, ...EITHER_PORT, ...NAMESPACES };

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
    const { DropSource } = await import('../sources/drop.js');
    const namespaces = [...scope.namespaces, ...namespacesOf(options)];
    return new DropSource({
      filter: filterOf(scope, options, { namespaces }),
      onlyFaults: false,
      ringBytes: RING_BYTES,
    });
  },
  columns: ({ output }, { wallMs }, source) =>
    dropColumns(output === 'json', wallMs, (record) => source.frames(record)),
  below: (record, source) => [...source.frames(record).map((frame) => `\t${frame}`), ''],
  notes: (_, { hasReasons, hasSymbols }) => [
    ...(hasReasons ? [] : ['this kernel has no reasons for drops (Linux 5.17 has)']),
    ...(hasSymbols
      ? []
      : ['stacks show addresses: without CAP_SYSLOG the kernel hides the names of its functions']),
  ],
});
