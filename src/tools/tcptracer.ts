/** `netwatch tcptracer`: TCP connections that are connected, accepted and closed. After bcc's tcptracer. */
import * as parse from '../cli/parse.js';
import {
  addEitherPort,
  addFamily,
  addPids,
  familyOf,
  pinnedMapsOf,
  type FamilyOptions,
  type PidOptions,
  type PinnedOptions,
  type PortOptions,
} from '../terminal/tool-options.js';
import { openLife } from './life/open.js';
import { addLetteredPinnedMaps, addTimestamp, addUids, type UidOptions } from './life/options.js';
import { tracerColumns, type TracerOptions } from './life/tracer-columns.js';
import type { LifeRecord, LifeSource } from '../sources/life.js';
import { eventTool } from '../terminal/event-tool.js';

type Options = TracerOptions &
  FamilyOptions &
  PidOptions &
  PortOptions &
  PinnedOptions &
  UidOptions;

const HELP = `
T is C for connect, A for accept, X for close: once for each end of a connection that
was established. X is when the process closes or shuts down its end, or when a reset
comes before that.

Examples:
  sudo netwatch tcptracer               connections of this host
  sudo netwatch tcptracer -t -U         with time and user
  sudo netwatch tcptracer -v            with words, and network namespaces
  sudo netwatch tcptracer -N 4026531840 of one network namespace
  sudo netwatch tcptracer -u 1000       of one user
  sudo netwatch tcptracer --cgroupmap /sys/fs/bpf/test01
`;

export default eventTool<Options, LifeRecord, LifeSource>({
  name: 'tcptracer',
  sources: ['life'],
  group: 'Who connects to whom:',
  summary: 'TCP connections as they are connected, accepted and closed',
  description: 'Shows TCP connections as they are connected, accepted and closed.',
  help: HELP,
  addOptions: (command) => {
    addTimestamp(command);
    addPids(command);
    addFamily(command);
    addEitherPort(command);
    command
      .option('-N, --netns <NAMES>', 'network namespaces: name, path or inode number', parse.names)
      .option('-v, --verbose', 'show words, nanoseconds and network namespaces', false);
    addUids(command);
    addLetteredPinnedMaps(command);
  },
  banner: () => 'Tracing TCP established connections. Ctrl-C to end.',
  columns: tracerColumns,
  open: (options, scope) =>
    openLife(scope, {
      events: ['ESTABLISHED', 'ACCEPT', 'END'],
      filter: {
        family: familyOf(options),
        pids: options.pid ?? [],
        ports: options.port ?? [],
      },
      uid: options.uid ?? null,
      pinned: pinnedMapsOf(options),
    }),
});
