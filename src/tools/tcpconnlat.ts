/** `netwatch tcpconnlat`: how long connect() waits for its answer. After bcc's tcpconnlat. */
import {
  addEitherPort,
  addFamily,
  addPids,
  familyOf,
  type FamilyOptions,
  type PidOptions,
  type PortOptions,
} from '../terminal/tool-options.js';
import {
  addressColumn,
  commColumn,
  ipColumn,
  pidColumn,
  portColumn,
} from '../terminal/record-columns.js';
import { durationColumn, glued, optional, secondsColumn, timeForPrograms } from './life/columns.js';
import { lifeEvent } from '../sources/life-events.js';
import { openLife } from './life/open.js';
import { addLocalPortColumn, addTimestamp, milliseconds } from './life/options.js';
import type { LifeRecord, LifeSource } from '../sources/life.js';
import type { CommonOptions } from '../terminal/common.js';
import { eventTool } from '../terminal/event-tool.js';

interface Options extends CommonOptions, FamilyOptions, PidOptions, PortOptions {
  readonly timestamp: boolean;
  readonly lport: boolean;
  readonly duration_ms?: number;
}

const HELP = `
The time from the first SYN to the answer to it, whether the peer accepts or refuses;
without an answer there is no line.

Examples:
  sudo netwatch tcpconnlat              all connections that this host makes
  sudo netwatch tcpconnlat 1            those that took 1 ms and more
  sudo netwatch tcpconnlat 0.1 -t       100 us and more, with time
  sudo netwatch tcpconnlat -L -p 181    of one process, with local ports
`;

export default eventTool<Options, LifeRecord, LifeSource>({
  name: 'tcpconnlat',
  sources: ['life'],
  group: 'How long it takes:',
  summary: 'how long connect() waits for its answer',
  description: 'Shows how long it takes until a connect() is answered.',
  help: HELP,
  addOptions: (command) => {
    command.argument('[duration_ms]', 'those that took so long and more', milliseconds);
    addTimestamp(command);
    addPids(command);
    addLocalPortColumn(command);
    addFamily(command);
    addEitherPort(command);
  },
  columns: (options, context) => {
    const front = [
      ...timeForPrograms(options, context),
      ...(options.timestamp ? [secondsColumn(3)] : []),
    ];
    const latency = durationColumn('LAT(ms)', 2);
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
  open: (options, scope) =>
    openLife(scope, {
      events: ['ESTABLISHED', 'REFUSED'],
      filter: {
        family: familyOf(options),
        pids: options.pid ?? [],
        ports: options.port ?? [],
      },
      minLatencyMs: options.duration_ms ?? 0,
    }),
});
