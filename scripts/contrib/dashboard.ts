/** The dashboard: its variables, its rows, and how Grafana finds it on a disk. */
import {
  FAMILY_NAMES,
  familyOf,
  type FamilyName,
  type SnapshotName,
} from '../../src/metrics/families.js';
import { DATA_SOURCE, renderRows, type GrafanaPanel } from './grafana.js';
import { fillRows, type FilledRow } from './row.js';
import { DASHBOARD, select } from './promql.js';
import { ONE_CONNECTION } from './rows/connection.js';
import { HTTP_CLIENT, HTTP_PARTS, HTTP_SERVER } from './rows/http.js';
import { LAYERS } from './rows/layers.js';
import { OVERVIEW } from './rows/overview.js';
import { SELF } from './rows/self.js';
import { CONNECTIONS, EVENTS, FAULTS, RETRANSMITS, RTT } from './rows/tcp.js';

const UID = 'netwatch';
/** Of Grafana 10.1 and newer. */
const SCHEMA = 39;

const inSnapshot = (name: FamilyName): name is SnapshotName =>
  !['packets', 'requests', 'err'].includes(familyOf(name).file);

/** Families that can be scraped; those of one packet or one error stand in the logs only. */
export const SCRAPED = FAMILY_NAMES.filter(inSnapshot);

/** In this order; the last takes what no other claims. */
export const ROWS: readonly FilledRow[] = fillRows(
  [
    OVERVIEW,
    CONNECTIONS,
    RTT,
    LAYERS,
    HTTP_SERVER,
    HTTP_CLIENT,
    HTTP_PARTS,
    RETRANSMITS,
    FAULTS,
    EVENTS,
    ONE_CONNECTION,
    SELF,
  ],
  SCRAPED,
);

interface Variable {
  readonly name: string;
  readonly type: string;
  readonly query: unknown;
  readonly [option: string]: unknown;
}

/** Values of a label. "All" also finds series that lack it, such as those that were back-filled. */
const labelVariable = (name: string, label: string, of: string): Variable => ({
  name,
  label,
  type: 'query',
  datasource: DATA_SOURCE,
  query: { query: `label_values(${of}, ${name})`, refId: name },
  definition: `label_values(${of}, ${name})`,
  allValue: '.*',
  includeAll: true,
  multi: true,
  current: { selected: true, text: ['All'], value: ['$__all'] },
  refresh: 2,
  sort: 1,
  options: [],
});

/** The queries of all variables, for the tests too. */
export const VARIABLE_SERIES = {
  job: 'netwatch_build_info',
  instance: 'netwatch_build_info{job=~"$job"}',
  process: select('netwatch_connection_info', DASHBOARD),
} as const;

const variables: readonly Variable[] = [
  {
    name: 'DS_PROMETHEUS',
    label: 'Data source',
    type: 'datasource',
    query: 'prometheus',
    refresh: 1,
    options: [],
  },
  labelVariable('job', 'Job', VARIABLE_SERIES.job),
  labelVariable('instance', 'Host', VARIABLE_SERIES.instance),
  labelVariable('process', 'Process', VARIABLE_SERIES.process),
];

const firingAlerts = {
  name: 'Alerts',
  datasource: DATA_SOURCE,
  enable: true,
  iconColor: 'red',
  expr: `ALERTS{alertstate="firing", ${DASHBOARD.matchers}}`,
  titleFormat: '{{alertname}}',
  textFormat: '{{instance}}',
  step: '60s',
};

export interface Dashboard {
  readonly uid: string;
  readonly panels: readonly GrafanaPanel[];
  readonly templating: { readonly list: readonly Variable[] };
  readonly annotations: { readonly list: readonly { readonly expr: string }[] };
  readonly [option: string]: unknown;
}

/** The content of netwatch.json. */
export function dashboard(): Dashboard {
  return {
    uid: UID,
    title: 'netwatch',
    description: 'TCP on Linux hosts from inside the kernel: connections, packets, HTTP, losses.',
    tags: ['netwatch', 'tcp', 'ebpf'],
    schemaVersion: SCHEMA,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: '30s',
    time: { from: 'now-1h', to: 'now' },
    timezone: 'browser',
    annotations: { list: [firingAlerts] },
    templating: { list: variables },
    links: [],
    panels: renderRows(ROWS),
  };
}

/** The content of provisioning.yml. */
export function provisioning(): object {
  return {
    apiVersion: 1,
    providers: [
      {
        name: 'netwatch',
        type: 'file',
        disableDeletion: false,
        allowUiUpdates: true,
        options: { path: '/var/lib/grafana/dashboards/netwatch' },
      },
    ],
  };
}
