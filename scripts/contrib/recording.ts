/**
 * Recording rules, named level:metric:operations: the ratios and quantiles that the alerts and the
 * dashboard's overview use, so that both show the same number.
 */
import {
  familyOf,
  FAMILY_NAMES,
  type FamilyName,
  type HistogramName,
} from '../../src/metrics/families.js';
import {
  allLabels,
  closedLabels,
  QUANTILES,
  quantileName,
  rate,
  RULES,
  select,
  share,
  shortLabel,
  sumKeeping,
  type Scope,
} from './promql.js';

export interface Recorded {
  readonly record: string;
  /** In words, for a panel's title. */
  readonly title: string;
  /** Of Grafana. */
  readonly unit: string;
  /** What it keeps beside the labels of the host. */
  readonly labels: readonly string[];
  readonly expr: (scope: Scope) => string;
}

/** `instance_role:metric:operations`; the level says what one series is about. */
function recorded(
  metric: string,
  operations: string,
  labels: readonly string[],
  rest: Pick<Recorded, 'title' | 'unit' | 'expr'>,
): Recorded {
  const level = ['instance', ...labels.map(shortLabel)].join('_');
  return { record: `${level}:${metric}:${operations}`, labels, ...rest };
}

const ROLE = 'network_tcp_handshake_role';
const DIRECTION = 'network_io_direction';
const CAUSE = 'network_tcp_retransmit_type';

/** Of the connections that are open now, from the value of each: exact. */
const roundTrip = (q: (typeof QUANTILES)[number]): Recorded =>
  recorded('netwatch_connection_srtt_seconds', quantileName(q), [], {
    title: `Round-trip time of open connections, ${quantileName(q)}`,
    unit: 's',
    expr: (scope) =>
      `quantile without (${allLabels('netwatch_connection_srtt_seconds').join(', ')}) ` +
      `(${q}, ${select('netwatch_connection_srtt_seconds', scope)})`,
  });

const opened = (scope: Scope, ...more: string[]): string =>
  sumKeeping(
    'netwatch_tcp_connections_total',
    [ROLE],
    rate('netwatch_tcp_connections_total', scope, ...more),
  );
const sentSegments = (scope: Scope): string =>
  sumKeeping(
    'netwatch_tcp_segments_total',
    [],
    rate('netwatch_tcp_segments_total', scope, `${DIRECTION}="transmit"`),
  );

const TCP = {
  connections: recorded('netwatch_tcp_connections', 'rate5m', [ROLE], {
    title: 'Connections opened or failed',
    unit: 'cps',
    expr: (scope) => opened(scope),
  }),
  failedConnections: recorded('netwatch_tcp_connections_failed', 'ratio_rate5m', [ROLE], {
    title: 'Connections that failed',
    unit: 'percentunit',
    expr: (scope) => share(opened(scope, 'error_type!=""'), opened(scope)),
  }),
  segments: recorded('netwatch_tcp_segments', 'rate5m', [DIRECTION], {
    title: 'Segments',
    unit: 'cps',
    expr: (scope) => rate('netwatch_tcp_segments_total', scope),
  }),
  retransmits: recorded('netwatch_tcp_retransmits', 'ratio_rate5m', [], {
    title: 'Segments sent again',
    unit: 'percentunit',
    expr: (scope) => {
      const again = rate('netwatch_tcp_retransmits_total', scope);
      return `${sumKeeping('netwatch_tcp_retransmits_total', [], again)} / ${sentSegments(scope)}`;
    },
  }),
  retransmitsByCause: recorded('netwatch_tcp_retransmits', 'ratio_rate5m', [CAUSE], {
    title: 'Segments sent again, by cause',
    unit: 'percentunit',
    expr: (scope) =>
      `${rate('netwatch_tcp_retransmits_total', scope)} / ignoring (${CAUSE}) group_left () ${sentSegments(scope)}`,
  }),
  resets: recorded('netwatch_tcp_resets', 'ratio_rate5m', [DIRECTION], {
    title: 'Resets per connection',
    unit: 'percentunit',
    expr: (scope) => {
      const resets = rate('netwatch_tcp_resets_total', scope);
      const all = rate('netwatch_tcp_connections_total', scope);
      return (
        `${sumKeeping('netwatch_tcp_resets_total', [DIRECTION], resets)} / ignoring (${DIRECTION}) ` +
        `group_left () ${sumKeeping('netwatch_tcp_connections_total', [], all)}`
      );
    },
  }),
  acceptQueue: recorded(
    'netwatch_tcp_accept_queue',
    'ratio',
    ['network_local_address', 'network_local_port', 'process'],
    {
      title: 'Accept queues: how full',
      unit: 'percentunit',
      // of those that share an address, the fullest
      expr: (scope) =>
        `max without (netns, sock, pid) (${select('netwatch_tcp_accept_queue_length', scope)} / (${select('netwatch_tcp_accept_queue_limit', scope)} > 0))`,
    },
  ),
  refused: recorded('netwatch_tcp_errors', 'ratio_rate5m', [], {
    title: 'Received segments that the kernel refused',
    unit: 'percentunit',
    expr: (scope) => {
      const refused = rate('netwatch_tcp_errors_total', scope);
      const received = rate('netwatch_tcp_segments_total', scope, `${DIRECTION}="receive"`);
      return `${sumKeeping('netwatch_tcp_errors_total', [], refused)} / ${sumKeeping('netwatch_tcp_segments_total', [], received)}`;
    },
  }),
} as const;

const ROUND_TRIPS = { p50: roundTrip(0.5), p95: roundTrip(0.95) } as const;

type Http = 'http_server_request_duration_seconds' | 'http_client_request_duration_seconds';

/** Requests per second, and the share of them that failed, by port. */
function http(name: Http): { readonly requests: Recorded; readonly failed: Recorded } {
  const metric = name.replace('_request_duration_seconds', '_requests');
  const side = metric.replace(/^http_(\w+)_requests$/, '$1');
  const requests = (scope: Scope, ...more: string[]): string =>
    sumKeeping(name, ['server_port'], rate(`${name}_count`, scope, ...more));
  return {
    requests: recorded(metric, 'rate5m', ['server_port'], {
      title: `HTTP requests, ${side}`,
      unit: 'reqps',
      expr: (scope) => requests(scope),
    }),
    failed: recorded(`${metric}_failed`, 'ratio_rate5m', ['server_port'], {
      title: `HTTP requests that failed, ${side}`,
      unit: 'percentunit',
      expr: (scope) => share(requests(scope, 'error_type!=""'), requests(scope)),
    }),
  };
}

const SELF = {
  ring: recorded('netwatch_ringbuf_used', 'ratio', ['source'], {
    title: 'Ring buffers: how full',
    unit: 'percentunit',
    expr: (scope) =>
      `${select('netwatch_ringbuf_used_bytes', scope)} / ${select('netwatch_ringbuf_capacity_bytes', scope)}`,
  }),
  maps: recorded('netwatch_map_entries', 'ratio', ['map'], {
    title: 'BPF maps: how full',
    unit: 'percentunit',
    expr: (scope) =>
      `${select('netwatch_map_entries', scope)} / ${select('netwatch_map_capacity', scope)}`,
  }),
} as const;

export const RECORDED = {
  ...TCP,
  roundTrips: ROUND_TRIPS,
  httpServer: http('http_server_request_duration_seconds'),
  httpClient: http('http_client_request_duration_seconds'),
  ...SELF,
} as const;

const isHistogram = (name: FamilyName): name is HistogramName =>
  familyOf(name).type === 'histogram';

export const HISTOGRAMS = FAMILY_NAMES.filter(isHistogram);

/** Bounds that are no further apart tell a quantile to 10 %; rounded to whole microseconds some are 10.2 %. */
const CLOSE = 1.105;

/** The bound from which on the next ones are close; null: the last ones are wide apart. */
export function closeFrom(name: HistogramName): number | null {
  const { buckets } = familyOf(name);
  const wide = buckets.findLastIndex((bound, i) => i > 0 && bound / buckets[i - 1]! > CLOSE);
  return wide === buckets.length - 1 ? null : (buckets[Math.max(wide, 0)] ?? null);
}

/** Histograms whose quantiles are recorded and shown: of others, a mean is all that is true. */
export const QUANTILE_HISTOGRAMS = HISTOGRAMS.filter((name) => closeFrom(name) !== null);

/** Quantiles are kept apart by what does not mix, and by the port of a server. */
export function quantileLabels(name: HistogramName): readonly string[] {
  const ports = familyOf(name).labels.filter((label) => label === 'server_port');
  return [...closedLabels(name), ...ports];
}

/** A quantile of a histogram, between 0 and 1. */
export function quantile(name: HistogramName, q: (typeof QUANTILES)[number]): Recorded {
  const labels = quantileLabels(name);
  const others = allLabels(name).filter((label) => !labels.includes(label));
  return recorded(name, `${quantileName(q)}_rate5m`, labels, {
    title: `${quantileName(q)} of ${name}`,
    unit: 's',
    expr: (scope) => {
      const buckets = rate(`${name}_bucket`, scope);
      const summed =
        others.length === 0 ? buckets : `sum without (${others.join(', ')}) (${buckets})`;
      return `histogram_quantile(${q}, ${summed})`;
    },
  });
}

/** All of them, groups unfolded. */
export const RATIOS: readonly Recorded[] = Object.values(RECORDED).flatMap((rule) =>
  'record' in rule ? [rule] : Object.values(rule),
);
export const QUANTILE_RULES: readonly Recorded[] = QUANTILE_HISTOGRAMS.flatMap((name) =>
  QUANTILES.map((q) => quantile(name, q)),
);

const rulesOf = (rules: readonly Recorded[]): object[] =>
  rules.map(({ record, expr }) => ({ record, expr: expr(RULES) }));

/** The content of rules.yml. */
export function recordingRules(): object {
  return {
    groups: [
      { name: 'netwatch-ratios', rules: rulesOf(RATIOS) },
      { name: 'netwatch-quantiles', rules: rulesOf(QUANTILE_RULES) },
    ],
  };
}
