/**
 * `netwatch solisten`: calls of listen() on TCP sockets. After bcc's solisten; with --ret the columns
 * of libbpf-tools' solisten.
 */
import { Option } from 'commander';
import * as parse from '../cli/parse.js';
import {
  addEitherPort,
  addPids,
  filterOf,
  type PidOptions,
  type PortOptions,
} from '../terminal/tool-options.js';
import { listenColumns, type ListenColumns } from './sockets/listen-columns.js';
import type { ListenRecord, ListenSource } from '../sources/listen.js';
import { eventTool } from '../terminal/event-tool.js';

type Options = ListenColumns & PidOptions & PortOptions;

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

export default eventTool<Options, ListenRecord, ListenSource>({
  name: 'solisten',
  sources: ['listen'],
  group: 'Sockets and their files:',
  summary: 'calls of listen() on TCP sockets: process, address, backlog',
  description: 'Calls of listen() on TCP sockets.',
  help: HELP,
  addOptions: (command) => {
    addPids(command);
    command
      .addOption(
        new Option(
          '-n, --netns <INODES>',
          'network namespaces: inode number, name or path',
        ).argParser<string[]>(parse.names),
      )
      .option('--show-netns', 'show the network namespace', false)
      .option('-t, --timestamp', 'show the time', false)
      .option('--ret', "show the result, in the columns of libbpf-tools' solisten", false);
    addEitherPort(command);
  },
  columns: (options, { wallMs }) => listenColumns(options, wallMs),
  open: async ({ pid: pids = [], port: ports = [] }, scope) => {
    const { ListenSource } = await import('../sources/listen.js');
    return new ListenSource(filterOf(scope, { pids, ports }), RING_BYTES);
  },
});
