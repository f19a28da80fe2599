/**
 * `netwatch tcp_inerrs`: TCP segments that came in and were wrong: sequence number, data offset,
 * checksum. After lmp's tcp_inerrs, with the checks that its authors say are missing.
 */
import { CONNECTIONS, filterOf } from '../terminal/tool-options.js';
import { faultColumns } from './loss/drop-columns.js';
import { eventTool } from '../terminal/event-tool.js';

const RING_BYTES = 1 << 22;

const HELP = `
REASON   invalid seq   sequence numbers outside of the window, before or behind
                       it: TCP_OLD_SEQUENCE, TCP_INVALID_SEQUENCE,
                       TCP_INVALID_END_SEQUENCE. A keepalive probe is one, too:
                       it asks with an old number.
         invalid doff  a data offset that is less than a TCP header or more than
                       the packet, or a packet of no full header (PKT_TOO_SMALL)
         checksum      TCP_CSUM
SADDR:SPORT sent the segment. PID, COMM and STATE are of the socket that it was
for; N/A where none with these ends is known. In JSON "reason" is what the kernel calls it.

Before Linux 5.17 the kernel gives no reasons: a wrong sequence number is found
where TCP drops the segment, which takes fentry and a kernel that has tcp_drop() as
a function (Debian's 5.10 has not), and a wrong checksum not at all before 5.14.

Examples:
  sudo netwatch tcp_inerrs                    all wrong segments
  sudo netwatch tcp_inerrs -p 1234,5678 -4    IPv4, for these two processes
  sudo netwatch tcp_inerrs --port 443 -o json
`;

const OPTIONS = { ...CONNECTIONS };

export default eventTool({
  name: 'tcp_inerrs',
  group: 'What gets lost:',
  summary: 'TCP segments that came in and were wrong: sequence, data offset, checksum',
  description: 'TCP segments that came in and were wrong: sequence, data offset, checksum.',
  help: HELP,
  options: OPTIONS,
  trial: async (filter) => (await import('../sources/drop.js')).trial(filter, { onlyFaults: true }),
  open: async (options, scope) => {
    const { DropSource } = await import('../sources/drop.js');
    return new DropSource({
      filter: filterOf(scope, options),
      onlyFaults: true,
      ringBytes: RING_BYTES,
    });
  },
  columns: ({ output }, { wallMs }) => faultColumns(output === 'json', wallMs),
  notes: (_, { hasReasons }) =>
    hasReasons ? [] : ['this kernel has no reasons for drops (Linux 5.17 has): see -h'],
});
