/**
 * `netwatch solisten`: calls of listen() on TCP sockets. After bcc's solisten; with --ret the columns
 * of libbpf-tools' solisten.
 */
import { option } from '../cli/options.js';
import * as parse from '../cli/parse.js';
import { filterOf, LISTENERS } from '../terminal/tool-options.js';
import { listenColumns } from './sockets/listen-columns.js';
import { eventTool } from '../terminal/event-tool.js';

const RING_BYTES = 1 << 20;

const HELP = `
Each call is a row, also one that fails and one on a socket that listens already.
BACKLOG is what the kernel makes of the one that was asked for: no more than
net.core.somaxconn of the socket's network namespace. PORT and ADDR are those
that the socket has when the call returns; ADDR :: takes IPv4, too, unless the
socket is for IPv6 alone.

libbpf-tools' solisten has the same letters and other columns: --ret shows those,
with the call's result. Calls by io_uring are not seen.

Examples:
  sudo netwatch solisten                      all calls of listen()
  sudo netwatch solisten -p 1234 --show-netns
  sudo netwatch solisten -n 4026531840        in one network namespace
  sudo netwatch solisten --ret -t             with result and time
`;

const OPTIONS = {
  ...option('-n, --netns <INODES>', 'network namespaces: inode number, name or path', {
    parse: parse.names,
  }),
  ...option('--show-netns', 'show the network namespace'),
  ...option('-t, --timestamp', 'show the time'),
  ...option('--ret', "show the result, in the columns of libbpf-tools' solisten"),
  ...LISTENERS,
};

export default eventTool({
  name: 'solisten',
  group: 'Sockets and their files:',
  summary: 'calls of listen() on TCP sockets: process, address, backlog',
  description: 'Calls of listen() on TCP sockets.',
  help: HELP,
  options: OPTIONS,
  trial: async (filter) => (await import('../sources/listen.js')).trial(filter),
  open: async (options, scope) => {
    const { ListenSource } = await import('../sources/listen.js');
    return new ListenSource(filterOf(scope, options), RING_BYTES);
  },
  columns: (options, { wallMs }) => listenColumns(options, wallMs),
});
