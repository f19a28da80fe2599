/**
 * The connections one by one, which -x writes into netwatch.prom: a table of now, then a panel for
 * each value, with the ten largest.
 */
import { CONNECTION_LABELS } from '../../../src/metrics/connection-families.js';
import { familyOf, type SnapshotName } from '../../../src/metrics/families.js';
import { timeSeries, titleOf, unitOf, type Column, type Panel } from '../panel.js';
import { DASHBOARD, rate, select, TARGET_LABELS } from '../promql.js';
import type { Row } from '../row.js';

const MOST = 10;
const on = [...TARGET_LABELS, ...CONNECTION_LABELS].join(', ');
const info = select('netwatch_connection_info', DASHBOARD, 'process=~"$process"');

/** The value beside the process that owns the connection; of the chosen processes only. */
const owned = (value: string): string => `${value} * on (${on}) group_left (process, pid) ${info}`;

const valueOf = (name: SnapshotName): string =>
  familyOf(name).type === 'counter' ? rate(name, DASHBOARD) : select(name, DASHBOARD);

function connectionPanel(name: SnapshotName): Panel {
  return timeSeries(`${titleOf(name)}: the ${MOST} largest`, familyOf(name).help, unitOf(name), {
    expr: `topk(${MOST}, ${owned(valueOf(name))})`,
    legend: '{{process}} {{src}} → {{dst}}',
  });
}

const column = (name: SnapshotName): Column => ({
  title: titleOf(name),
  unit: unitOf(name),
  expr: owned(valueOf(name)),
  legend: '',
});

/** State and congestion come as a label of a series that is 1. */
const stateColumn = (
  name: 'netwatch_connection_state_info' | 'netwatch_connection_congestion_info',
): Column => ({ ...column(name), expr: owned(`(${select(name, DASHBOARD)} == 1)`) });

export const ONE_CONNECTION: Row = {
  title: 'One connection each (-x)',
  claims: /^netwatch_connection_/,
  collapsed: true,
  scalar: connectionPanel,
  panels: [
    {
      kind: 'text',
      title: '',
      markdown:
        'The busiest connections of each host (`--max-connections`), as long as they are open: `netwatch -x`, ' +
        'with `-r` for the causes of retransmits. The queues of single listening sockets are history: they stand in ' +
        '`connects.log`, and `netwatch export` back-fills them.',
    },
    {
      kind: 'table',
      title: 'Connections',
      description: 'Open now. Rates are those of the last minutes.',
      columns: [
        column('netwatch_connection_srtt_seconds'),
        column('netwatch_connection_cwnd_segments'),
        column('netwatch_connection_in_flight_bytes'),
        column('netwatch_connection_acked_bytes_total'),
        column('netwatch_connection_received_bytes_total'),
        column('netwatch_connection_retransmits_total'),
        column('netwatch_connection_duration_seconds'),
        stateColumn('netwatch_connection_state_info'),
        stateColumn('netwatch_connection_congestion_info'),
      ],
      hidden: ['Time', 'job', 'sock', '__name__'],
    },
  ],
};
