/** Alerts about whether netwatch runs and writes: without these, silence would look like health. */
import { grown, born, rising, steady, type Alert } from '../alert.js';
import { RULES, select } from '../promql.js';

const interval = `last_over_time(${select('netwatch_collection_interval_seconds', RULES)}[1d])`;
/** node_exporter names the whole path, the endpoint the file; the latter has netwatch_collector_up too. */
const written =
  '(node_textfile_mtime_seconds{file=~"(.*/)?netwatch[.]prom"} or ' +
  `${select('netwatch_textfile_mtime_seconds', RULES, 'file="netwatch.prom"')})`;

export const COLLECTOR_ALERTS: readonly Alert[] = [
  {
    alert: 'NetwatchDown',
    severity: 'critical',
    expr: `${select('netwatch_collector_up', RULES)} == 0 or up{job=~"netwatch(-.*)?"} == 0`,
    for: '1m',
    summary: 'netwatch does not run on {{ $labels.instance }}',
    description: 'The endpoint cannot be scraped, or the collector behind it writes nothing.',
    runbook:
      'On the host: systemctl status netwatch, then journalctl -u netwatch -n 50; netwatch says in one sentence what it needs.',
    fires: { series: [steady('netwatch_collector_up', 0), steady('up', 1)], value: '' },
    quiet: [steady('netwatch_collector_up', 1), steady('up', 1), steady('up{job="node"}', 0)],
  },
  {
    alert: 'NetwatchAbsent',
    severity: 'warning',
    expr: 'absent(netwatch_build_info or netwatch_collector_up)',
    for: '10m',
    summary: 'No host reports anything of netwatch',
    description: 'Neither an endpoint nor a textfile collector delivers metrics of netwatch.',
    runbook: 'Look at Status > Targets in Prometheus, and compare contrib/prometheus/scrape.yml.',
    fires: { series: [steady('up', 1)], target: {}, value: '' },
    quiet: [steady('netwatch_build_info', 1)],
  },
  {
    alert: 'NetwatchTextfileStale',
    severity: 'critical',
    expr: `time() - ${written} > ignoring (file) group_left () 3 * ${interval}`,
    for: '1m',
    summary: '{{ $labels.file }} on {{ $labels.instance }} is old',
    description:
      'Written {{ $value | humanizeDuration }} ago, more than three intervals: what is shown is the past.',
    runbook:
      'On the host: systemctl status netwatch; where netwatch was removed on purpose, delete the file.',
    fires: {
      series: [
        steady('node_textfile_mtime_seconds{file="/var/lib/node/netwatch.prom"}', 0),
        steady('netwatch_collection_interval_seconds', 5),
      ],
      labels: { file: '/var/lib/node/netwatch.prom' },
      value: '20m 0s',
    },
    quiet: [
      rising('node_textfile_mtime_seconds{file="/var/lib/node/netwatch.prom"}', 60),
      steady('node_textfile_mtime_seconds{file="/var/lib/node/other.prom"}', 0),
      steady('netwatch_collection_interval_seconds', 5),
    ],
  },
  {
    alert: 'NetwatchFileLeftOut',
    severity: 'warning',
    expr:
      `${select('netwatch_textfile_scrape_error', RULES)} == 1 or ` +
      'label_replace(node_textfile_scrape_error == 1, "file", "a .prom file", "file", "")',
    for: '5m',
    summary: '{{ $labels.file }} is left out on {{ $labels.instance }}',
    description: 'It breaks the text format, or contradicts a file before it.',
    runbook:
      'On the host: promtool check metrics < FILE, and read what the endpoint or node_exporter says in its log.',
    fires: {
      series: [steady('netwatch_textfile_scrape_error{file="x.prom"}', 1)],
      labels: { file: 'x.prom' },
      value: '',
    },
    quiet: [
      steady('netwatch_textfile_scrape_error{file="x.prom"}', 0),
      steady('node_textfile_scrape_error', 0),
    ],
  },
  {
    alert: 'NetwatchLogWriteErrors',
    severity: 'critical',
    expr: grown('netwatch_file_write_errors_total'),
    for: '0m',
    summary: 'netwatch cannot write {{ $labels.file }} on {{ $labels.instance }}',
    description: '{{ $value | humanize }} writes failed with {{ $labels.errno }} in five minutes.',
    runbook:
      'On the host: df -h and ls -l on the data directory; --keep-bytes bounds what the logs take.',
    fires: {
      series: [born('netwatch_file_write_errors_total{file="err.log", errno="ENOSPC"}', 7)],
      labels: { file: 'err.log', errno: 'ENOSPC' },
      value: '7',
    },
    quiet: [steady('netwatch_file_write_errors_total{file="err.log", errno="ENOSPC"}', 7)],
  },
  {
    alert: 'NetwatchProgramNotAttached',
    severity: 'info',
    expr: `${select('netwatch_bpf_program_attached', RULES)} == 0`,
    for: '5m',
    summary: 'A BPF program of netwatch is not attached on {{ $labels.instance }}',
    description:
      'The kernel refused {{ $labels.program }} of the source {{ $labels.source }} ({{ $labels.attach_type }}): what it would see is absent.',
    runbook:
      'On the host: netwatch -v says what the kernel objects to; older kernels lack some hooks (docs/kernels.md).',
    fires: {
      series: [
        steady(
          'netwatch_bpf_program_attached{source="packet", program="p", attach_type="tp_btf"}',
          0,
        ),
      ],
      labels: { source: 'packet', program: 'p', attach_type: 'tp_btf' },
      value: '',
    },
    quiet: [
      steady(
        'netwatch_bpf_program_attached{source="packet", program="p", attach_type="tp_btf"}',
        1,
      ),
    ],
  },
  {
    alert: 'NetwatchFileDescriptorsNearlyUsed',
    severity: 'warning',
    expr: `${select('netwatch_process_open_fds', RULES)} / ${select('netwatch_process_max_fds', RULES)} > 0.8`,
    for: '5m',
    summary: 'netwatch has few file descriptors left on {{ $labels.instance }}',
    description: '{{ $value | humanizePercentage }} of them are open.',
    runbook: 'Raise LimitNOFILE of the unit, and report what ls -l /proc/PID/fd shows as a bug.',
    fires: {
      series: [steady('netwatch_process_open_fds', 900), steady('netwatch_process_max_fds', 1000)],
      value: '90%',
    },
    quiet: [steady('netwatch_process_open_fds', 40), steady('netwatch_process_max_fds', 1000)],
  },
];
