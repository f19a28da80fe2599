/** `netwatch tcptracer`: TCP connections that are connected, accepted and closed. After bcc's tcptracer. */
import { option } from '../cli/options.js';
import * as parse from '../cli/parse.js';
import { CONNECTIONS, filterOf, pinnedMapsOf } from '../terminal/tool-options.js';
import { openLife, tryLife } from './life/open.js';
import { LETTERED_PINNED_MAPS, TIMESTAMP, UIDS } from './life/options.js';
import { tracerColumns } from './life/tracer-columns.js';
import { eventTool } from '../terminal/event-tool.js';

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

const EVENTS = ['ESTABLISHED', 'ACCEPT', 'END'] as const;

const OPTIONS = {
  ...TIMESTAMP,
  ...option('-N, --netns <NAMES>', 'network namespaces: name, path or inode number', {
    parse: parse.names,
  }),
  ...option('-v, --verbose', 'show words, nanoseconds and network namespaces'),
  ...UIDS,
  ...LETTERED_PINNED_MAPS,
  ...CONNECTIONS,
};

export default eventTool({
  name: 'tcptracer',
  group: 'Who connects to whom:',
  summary: 'TCP connections as they are connected, accepted and closed',
  description: 'Shows TCP connections as they are connected, accepted and closed.',
  help: HELP,
  options: OPTIONS,
  trial: tryLife({ events: EVENTS }),
  open: (options, scope) =>
    openLife({
      events: EVENTS,
      filter: filterOf(scope, options),
      uid: options.uid ?? null,
      pinned: pinnedMapsOf(options),
    }),
  banner: () => 'Tracing TCP established connections. Ctrl-C to end.',
  columns: tracerColumns,
});
