/** `netwatch sofdsnoop`: open files that are passed through unix sockets. After bcc's sofdsnoop. */
import { option } from '../cli/options.js';
import * as parse from '../cli/parse.js';
import { filterOf, PROCESSES } from '../terminal/tool-options.js';
import { fdPassColumns } from './sockets/fdpass-columns.js';
import { eventTool } from '../terminal/event-tool.js';

const RING_BYTES = 1 << 22;

const HELP = `
SOCKET is the unix socket as the process numbers it, and its inode; FD the file,
as this process numbers it; NAME what it is, for a file that is sent. A file that
was closed before it could be looked at has the last part of its path, or N/A.

With -t, -p says nothing. A network namespace (--netns) is the socket's: unix
sockets belong to one, too. Not seen: 32-bit processes, and io_uring. Of one call
2,048 messages and descriptors are looked at; those beyond are counted as lost.

Examples:
  sudo netwatch sofdsnoop                     all files that are passed
  sudo netwatch sofdsnoop -T -p 181,182       with time, for two processes
  sudo netwatch sofdsnoop -n firefox -d 10    names with "firefox", 10 seconds
`;

const OPTIONS = {
  ...option('-T, --timestamp', 'show the time since the first row, in seconds'),
  ...option('-t, --tid <TIDS>', 'these threads only, whatever -p says', { parse: parse.pids }),
  ...option('-n, --name <TEXT>', 'threads whose name holds this text', { parse: parse.name }),
  ...option('-d, --duration <SECONDS>', 'stop after this time', { parse: parse.seconds }),
  ...PROCESSES,
};

export default eventTool({
  name: 'sofdsnoop',
  group: 'Sockets and their files:',
  summary: 'open files that processes pass to each other through unix sockets',
  description: 'Open files that processes pass to each other through unix sockets (SCM_RIGHTS).',
  help: HELP,
  options: OPTIONS,
  trial: async (filter) => (await import('../sources/fdpass.js')).trial(filter),
  open: async (options, scope) => {
    const { tid = [], name = null } = options;
    const { FdPassSource } = await import('../sources/fdpass.js');
    return new FdPassSource({
      filter: filterOf(scope, tid.length > 0 ? { ...options, pid: [] } : options),
      tids: tid,
      name,
      ringBytes: RING_BYTES,
    });
  },
  columns: (options, { wallMs }) => fdPassColumns(options, wallMs),
});
