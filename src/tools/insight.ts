/** `netwatch insight`: fifteen kinds of TCP event as they happen. After tcp-insight. */
import { insightColumns } from './insight/columns.js';
import { ALL_EVENTS, EVENT_NAMES, namesIn } from '../sources/insight-events.js';
import { insightOptions, OPTIONS } from './insight/options.js';
import { statistics } from './insight/statistics.js';
import { eventTool } from '../terminal/event-tool.js';

const HELP = `
Events, from bit 0 on:
  CONNECT ACCEPT SEND RECEIVE RETRANSMIT CLOSE RESET CWND_CHANGE RTT_UPDATE
  SLOW_START CONG_AVOID FAST_RECOVERY WINDOW_UPDATE SACK TIMEOUT

A filter by value lets through only what has that value: --min-bytes no CONNECT,
--min-rtt no socket without a measurement, --min-duration no connection that is
older than netwatch.

Examples:
  sudo netwatch insight                       all events of this host
  sudo netwatch insight -t -e 0x63            CONNECT ACCEPT CLOSE RESET, with time
  sudo netwatch insight -e RETRANSMIT,SACK,TIMEOUT -d 192.0.2.0/24
  sudo netwatch insight -p 1234 --min-rtt 50000 -e SEND,RECEIVE
  sudo netwatch insight -T --duration 60 -o json > events.ndjson
  sudo netwatch insight -T -e 0x1180 --data data > /dev/null
`;

export default eventTool({
  name: 'insight',
  group: 'Who connects to whom:',
  summary: 'fifteen kinds of TCP event as they happen, with filters and statistics',
  description: 'Fifteen kinds of TCP event as they happen, filtered in the kernel.',
  help: HELP,
  options: OPTIONS,
  trial: async (filter) =>
    (await import('../sources/insight.js')).trial(filter, {
      events: ALL_EVENTS,
      statistics: true,
    }),
  check: (options) => {
    insightOptions(options, { namespaces: [], cgroup: null });
  },
  open: async (options, scope) => {
    const { InsightSource } = await import('../sources/insight.js');
    return new InsightSource(insightOptions(options, scope));
  },
  columns: ({ timestamp }, { wallMs }, { names }) => insightColumns(timestamp, wallMs, names),
  atEnd: ({ stats, events }, source, lost) =>
    stats ? statistics({ totals: source.totals(), events, active: source.active, lost }) : null,
  metrics: (source, snapshot) => {
    const { events } = source.totals();
    for (const event of namesIn(source.events)) {
      const count = events[EVENT_NAMES.indexOf(event)] ?? 0;
      snapshot.add('netwatch_tcp_events_total', { tool: 'insight', event }, count);
    }
  },
});
