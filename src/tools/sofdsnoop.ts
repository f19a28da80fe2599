/** `netwatch sofdsnoop`: open files that are passed through unix sockets. After bcc's sofdsnoop. */
import { Option } from 'commander';
import * as parse from '../cli/parse.js';
import { addPids, filterOf, type PidOptions } from '../terminal/tool-options.js';
import { fdPassColumns, type FdPassColumns } from './sockets/fdpass-columns.js';
import type { FdPassRecord, FdPassSource } from '../sources/fdpass.js';
import { eventTool } from '../terminal/event-tool.js';

interface Options extends FdPassColumns, PidOptions {
  readonly tid?: readonly number[];
  readonly name?: string;
}

const RING_BYTES = 1 << 22;

const HELP = `
SOCKET is the unix socket as the process numbers it, and its inode; FD the file,
as this process numbers it; NAME what it is, for a file that is sent. A file that
was closed before it could be looked at has the last part of its path, or N/A.

With -t, -p says nothing. A network namespace (--netns) is the socket's: unix
sockets belong to one, too. Not seen: 32-bit processes, and io_uring.

Examples:
  sudo netwatch sofdsnoop                     all files that are passed
  sudo netwatch sofdsnoop -T -p 181,182       with time, for two processes
  sudo netwatch sofdsnoop -n firefox -d 10    names with "firefox", 10 seconds
`;

export default eventTool<Options, FdPassRecord, FdPassSource>({
  name: 'sofdsnoop',
  sources: ['fdpass'],
  group: 'Sockets and their files:',
  summary: 'open files that processes pass to each other through unix sockets',
  description: 'Open files that processes pass to each other through unix sockets (SCM_RIGHTS).',
  help: HELP,
  addOptions: (command) => {
    command.option('-T, --timestamp', 'show the time since the first row, in seconds', false);
    addPids(command);
    command
      .addOption(
        new Option('-t, --tid <TIDS>', 'these threads only, whatever -p says').argParser<number[]>(
          parse.pids,
        ),
      )
      .addOption(
        new Option('-n, --name <TEXT>', 'threads whose name holds this text').argParser(parse.name),
      )
      .addOption(
        new Option('-d, --duration <SECONDS>', 'stop after this time').argParser(parse.seconds),
      );
  },
  columns: (options, { wallMs }) => fdPassColumns(options, wallMs),
  open: async ({ pid = [], tid = [], name = null }, scope) => {
    const { FdPassSource } = await import('../sources/fdpass.js');
    const pids = tid.length > 0 ? [] : pid;
    return new FdPassSource({
      filter: filterOf(scope, { pids }),
      tids: tid,
      name,
      ringBytes: RING_BYTES,
    });
  },
});
