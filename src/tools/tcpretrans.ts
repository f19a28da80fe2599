/** `netwatch tcpretrans`: TCP segments that were sent again. After bcc's tcpretrans. */
import { option } from '../cli/options.js';
import { CONNECTIONS, filterOf } from '../terminal/tool-options.js';
import { EVENT_NAMES, maskOf } from '../sources/insight-events.js';
import { retransmitColumns } from './loss/retransmit-columns.js';
import { eventTool } from '../terminal/event-tool.js';

const HELP = `
T   R  sent again: after a timeout, after duplicate acknowledgements, a SYN, a
       SYN-ACK (state NEW_SYN_RECV), as the path MTU shrank, as a server did not
       take the data of a fast-open SYN, to ask for a window that was closed
       again, or, without -l, as a tail loss probe
    L  with -l: sent again as a tail loss probe
Each row is one call of the kernel's that did send something, of one segment or
several in a row. PID is the process that owns the socket. In JSON "cause" is
fast, timeout, tail_loss_probe, syn, synack, path_mtu, fast_open or zero_window,
with -l or without.

A tail loss probe that sends new data is no retransmission and is not shown.

Examples:
  sudo netwatch tcpretrans                    all retransmissions
  sudo netwatch tcpretrans -l -s              tell tail loss probes, show SEQ
  sudo netwatch tcpretrans -c --duration 60   count them by connection
  sudo netwatch tcpretrans -6 --port 443 -o json
  sudo netwatch tcpretrans -c --data data     keep the number in data/tcpretrans.prom
`;

const OPTIONS = {
  ...option('-s, --sequence', 'show the sequence numbers'),
  ...option('-l, --lossprobe', 'tell tail loss probes from other retransmissions'),
  ...option('-c, --count', 'count segments by connection, and show that at the end'),
  ...CONNECTIONS,
};

export default eventTool({
  name: 'tcpretrans',
  group: 'What gets lost:',
  summary: 'TCP segments that were sent again, or how many by connection',
  description: 'TCP segments that were sent again.',
  help: HELP,
  options: OPTIONS,
  trial: async (filter) =>
    (await import('../sources/insight.js')).trial(filter, {
      events: maskOf(['RETRANSMIT']),
      statistics: false,
    }),
  open: async (options, scope) => {
    const { RetransmitSource } = await import('./loss/retransmits.js');
    return new RetransmitSource(filterOf(scope, options));
  },
  banner: () => 'Tracing retransmits ... Hit Ctrl-C to end',
  columns: ({ output, lossprobe, sequence }, { wallMs }) =>
    retransmitColumns({ isJson: output === 'json', lossprobe, sequence }, wallMs),
  showsRecords: ({ count }) => !count,
  take: (record, { count }, { flows }) => {
    if (count) flows.add(record);
  },
  metrics: (source, snapshot) => {
    const { events } = source.totals();
    const event = 'RETRANSMIT';
    const count = events[EVENT_NAMES.indexOf(event)] ?? 0;
    snapshot.add('netwatch_tcp_events_total', { tool: 'tcpretrans', event }, count);
  },
  atEnd: ({ count }, { flows }) => (count ? flows.summary() : null),
});
