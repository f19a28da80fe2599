/** netwatch's own health: what it lost, what it costs, and the endpoint. Takes what no row claims. */
import { FAMILY_NAMES, familyOf, type FamilyName } from '../../../src/metrics/families.js';
import { hostPanel, recordedPanel, timeSeries, titleOf, unitOf, type Panel } from '../panel.js';
import { DASHBOARD, legendOf, rate, select, sumBy, TARGET_LABELS } from '../promql.js';
import { RECORDED } from '../recording.js';
import type { Row } from '../row.js';

const FILE = ['instance', 'file'];
const PROGRAM = ['instance', 'source', 'program'];

const perFile = (
  name: 'netwatch_records_accepted_total' | 'netwatch_records_written_total',
): string => sumBy(FILE, select(name, DASHBOARD));

/** Lost records carry the file's name as their source. */
const lost = `sum by (${FILE.join(', ')}) (label_replace(${select('netwatch_events_lost_total', DASHBOARD, 'stage="file"')}, "file", "$1", "source", "(.*)"))`;

const runTime = sumBy(PROGRAM, rate('netwatch_bpf_program_run_time_seconds_total', DASHBOARD));
const runs = sumBy(PROGRAM, rate('netwatch_bpf_program_run_count_total', DASHBOARD));

type Collector = Extract<FamilyName, `netwatch_process_${string}`>;
type Endpoint = Extract<FamilyName, `process_${string}`>;
const isCollectors = (name: string): name is Collector => name.startsWith('netwatch_process_');

/** The collector beside the endpoint, which has the same families without a prefix. */
function processPanel(name: Collector): Panel {
  const endpoint = name.replace('netwatch_', '') as Endpoint;
  const age = name.endsWith('_start_time_seconds') ? 'time() - ' : '';
  const of = (family: Collector | Endpoint): string =>
    familyOf(family).type === 'counter' ? rate(family, DASHBOARD) : select(family, DASHBOARD);
  // process_* of the same target could be node_exporter's, where there is no endpoint.
  const served = `on (${TARGET_LABELS.join(', ')}) ${select('netwatch_collector_up', DASHBOARD)}`;
  const title = `${titleOf(name)}${age === '' ? '' : ', age'}`;
  return timeSeries(
    title,
    `${familyOf(name).help} Beside it the endpoint.`,
    unitOf(name),
    { expr: `${age}${of(name)}`, legend: '{{instance}} collector' },
    { expr: `${age}(${of(endpoint)} and ${served})`, legend: '{{instance}} endpoint' },
  );
}

export const SELF: Row = {
  title: 'netwatch itself',
  claims: /./,
  collapsed: true,
  scalar: hostPanel,
  panels: [
    hostPanel('netwatch_events_lost_total'),
    hostPanel('netwatch_events_total'),
    timeSeries(
      'Records on their way: accepted − written − lost',
      'Accepted is written plus lost: what remains waits in memory, and has to come back to 0.',
      'short',
      {
        expr: `${perFile('netwatch_records_accepted_total')} - ${perFile('netwatch_records_written_total')} - ${lost}`,
        legend: legendOf(FILE),
      },
    ),
    timeSeries(
      'CPU per BPF program',
      'Only while something measures (kernel.bpf_stats_enabled).',
      'percentunit',
      { expr: runTime, legend: legendOf(PROGRAM) },
    ),
    timeSeries('Time per run of a BPF program', 'Mean of one run.', 's', {
      expr: `${runTime} / ${runs}`,
      legend: legendOf(PROGRAM),
    }),
    recordedPanel(RECORDED.ring, 'Bytes that wait to be read, of its size.'),
    recordedPanel(RECORDED.maps, 'Entries, of those it can hold.'),
    ...FAMILY_NAMES.filter(isCollectors).map(processPanel),
    {
      kind: 'table',
      title: 'Versions',
      description: familyOf('netwatch_build_info').help,
      columns: [
        {
          title: 'Build',
          unit: 'short',
          expr: select('netwatch_build_info', DASHBOARD),
          legend: '',
        },
      ],
      hidden: ['Time', '__name__', 'Value'],
    },
    {
      kind: 'table',
      title: 'BPF programs that are not attached',
      description: 'Empty is good. What such a program would see is absent.',
      columns: [
        {
          title: 'Attached',
          unit: 'short',
          expr: `${select('netwatch_bpf_program_attached', DASHBOARD)} == 0`,
          legend: '',
        },
      ],
      hidden: ['Time', '__name__', 'job', 'Value'],
    },
  ],
};
