/** `netwatch tcpconnlat`: how long connect() waits for its answer. After bcc's tcpconnlat. */
import { argument } from '../cli/options.js';
import { CONNECTIONS, filterOf } from '../terminal/tool-options.js';
import {
  addressColumn,
  commColumn,
  ipColumn,
  pidColumn,
  portColumn,
} from '../terminal/record-columns.js';
import { glued, latencyColumn, optional, secondsColumn, timeForPrograms } from './life/columns.js';
import { lifeEvent } from '../sources/life-events.js';
import { openLife, tryLife } from './life/open.js';
import { LOCAL_PORT_COLUMN, milliseconds, TIMESTAMP } from './life/options.js';
import { eventTool } from '../terminal/event-tool.js';

const HELP = `
The time from the first SYN to the answer to it, whether the peer accepts or refuses;
without an answer there is no line. It is not known of a connect() older than
this tool, which no minimum lets through.

Examples:
  sudo netwatch tcpconnlat              all connections that this host makes
  sudo netwatch tcpconnlat 1            those that took 1 ms and more
  sudo netwatch tcpconnlat 0.1 -t       100 us and more, with time
  sudo netwatch tcpconnlat -L -p 181    of one process, with local ports
`;

const OPTIONS = {
  ...argument('[duration_ms]', 'those that took so long and more', { parse: milliseconds }),
  ...TIMESTAMP,
  ...LOCAL_PORT_COLUMN,
  ...CONNECTIONS,
};

export default eventTool({
  name: 'tcpconnlat',
  group: 'How long it takes:',
  summary: 'how long connect() waits for its answer',
  description: 'Shows how long it takes until a connect() is answered.',
  help: HELP,
  options: OPTIONS,
  trial: tryLife({ events: ['ESTABLISHED', 'REFUSED'] }),
  open: (options, scope) =>
    openLife({
      events: ['ESTABLISHED', 'REFUSED'],
      filter: filterOf(scope, options),
      minLatencyMs: options.duration_ms ?? 0,
    }),
  columns: (options, context) => {
    const front = [
      ...timeForPrograms(options, context),
      ...(options.timestamp ? [secondsColumn(3)] : []),
    ];
    const latency = latencyColumn();
    return [
      ...glued(front, [pidColumn(7)]),
      commColumn(12, { most: 12 }),
      ipColumn(),
      addressColumn('SADDR', 'local', 16),
      ...optional(options.lport, options, portColumn('LPORT', 'local', 6)),
      addressColumn('DADDR', 'peer', 16),
      portColumn('DPORT', 'peer', 5),
      {
        ...latency,
        fields: (r) => ({ ...latency.fields(r), outcome: lifeEvent(r).toLowerCase() }),
      },
    ];
  },
});
