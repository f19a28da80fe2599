/** Alerts about what netwatch loses, or is about to lose. */
import { born, grown, rising, steady, type Alert } from '../alert.js';
import { LIMITS } from '../limits.js';
import { RULES, select } from '../promql.js';
import { RECORDED } from '../recording.js';

export const LOSS_ALERTS: readonly Alert[] = [
  {
    alert: 'NetwatchEventsLost',
    severity: 'warning',
    // Rows that a slow terminal missed are in the files all the same.
    // A few misses by recursion are how tracing is: they are made up for, or a value stays unknown.
    expr: `${grown('netwatch_events_lost_total{source!="stdout", stage!="recursion"}')} or increase(netwatch_events_lost_total{stage="recursion"}[5m]) > ${LIMITS.recursions}`,
    for: '0m',
    summary: 'netwatch lost events on {{ $labels.instance }}',
    description:
      '{{ $value | humanize }} events of {{ $labels.source }} were lost in five minutes, at the stage {{ $labels.stage }}.',
    runbook:
      'For the stage ringbuf: a larger --ring, or filter with -s, -d or --comm; for file: look at the disk; for socket_memory: a larger sysctl net.core.optmem_max; for map_full watch less (--netns, -s, -d); for recursion (a probe fired while the same program ran on that CPU) look for another tool that traces the network and stop it, or watch less: until then counts of retransmissions are made up from the sockets, and some layer times are missing.',
    fires: {
      series: [rising('netwatch_events_lost_total{source="packet", stage="ringbuf"}', 12)],
      labels: { source: 'packet', stage: 'ringbuf' },
      value: '60',
    },
    quiet: [
      steady('netwatch_events_lost_total{source="packet", stage="ringbuf"}', 12),
      rising('netwatch_events_lost_total{source="stdout", stage="queue"}', 12),
      born('netwatch_events_lost_total{source="connection", stage="recursion"}', 4),
    ],
  },
  {
    alert: 'NetwatchRingNearlyFull',
    severity: 'warning',
    expr: `${RECORDED.ring.record} > 0.5`,
    for: '1m',
    summary: 'A ring buffer of netwatch fills up on {{ $labels.instance }}',
    description: 'The ring of {{ $labels.source }} is {{ $value | humanizePercentage }} full.',
    runbook:
      'Give netwatch CPU (the loop lag shows whether it has too little), a larger --ring, or filter with -s, -d or --comm.',
    fires: {
      series: [
        steady('netwatch_ringbuf_used_bytes{source="packet"}', 3072),
        steady('netwatch_ringbuf_capacity_bytes{source="packet"}', 4096),
      ],
      labels: { source: 'packet' },
      value: '75%',
    },
    quiet: [
      steady('netwatch_ringbuf_used_bytes{source="packet"}', 1024),
      steady('netwatch_ringbuf_capacity_bytes{source="packet"}', 4096),
    ],
  },
  {
    alert: 'NetwatchMapNearlyFull',
    severity: 'warning',
    expr: `${RECORDED.maps.record} > 0.9`,
    for: '5m',
    summary: 'A BPF map of netwatch is nearly full on {{ $labels.instance }}',
    description: 'The map {{ $labels.map }} is {{ $value | humanizePercentage }} full.',
    runbook: 'Watch fewer ports with -s or -d: each port, method and status takes an entry.',
    fires: {
      series: [
        steady('netwatch_map_entries{map="http"}', 4000),
        steady('netwatch_map_capacity{map="http"}', 4096),
      ],
      labels: { map: 'http' },
      value: '97.66%',
    },
    quiet: [
      steady('netwatch_map_entries{map="http"}', 40),
      steady('netwatch_map_capacity{map="http"}', 4096),
    ],
  },
  {
    alert: 'NetwatchEventLoopLag',
    severity: 'warning',
    expr: `${select('netwatch_event_loop_lag_seconds', RULES)} > 0.5`,
    for: '5m',
    summary: 'netwatch is held up on {{ $labels.instance }}',
    description:
      'Its event loop was {{ $value | humanizeDuration }} late: the rings fill in the meantime.',
    runbook:
      'On the host: top, and systemctl show netwatch -p CPUQuotaPerSecUSec; a slow disk delays it too.',
    fires: { series: [steady('netwatch_event_loop_lag_seconds', 2)], value: '2s' },
    quiet: [steady('netwatch_event_loop_lag_seconds', 0.01)],
  },
  {
    alert: 'NetwatchSeriesDropped',
    severity: 'info',
    // Of single connections the busiest are shown, by design.
    expr: grown('netwatch_series_dropped_total{family!~"netwatch_connection_.*"}'),
    for: '0m',
    summary: 'netwatch leaves series out on {{ $labels.instance }}',
    description:
      'The family {{ $labels.family }} is full: {{ $value | humanize }} series were left out in five minutes.',
    runbook: 'Narrow what is watched with -s, -d, --comm or --netns.',
    fires: {
      series: [rising('netwatch_series_dropped_total{family="netwatch_skb_drops_total"}', 2)],
      labels: { family: 'netwatch_skb_drops_total' },
      value: '10',
    },
    quiet: [rising('netwatch_series_dropped_total{family="netwatch_connection_info"}', 2)],
  },
];
