/** What the charts show of one step: a few numbers, so that 15 minutes of them stay small. */
import type { RoundTrips } from '../../serve/types.js';
import { quantile, mean, observations } from './histogram.js';
import { partMeans, SIDES, type PartMeans, type Side } from './parts.js';
import { having, increases, observed, rate, total, type Buckets, type Step } from './series.js';

export const LAYERS = ['mac', 'ip', 'tcp'] as const;
export type Layer = (typeof LAYERS)[number];
const DIRECTIONS = ['receive', 'transmit'] as const;
export type Direction = (typeof DIRECTIONS)[number];

export const RETRANSMIT_CAUSES = [
  'fast',
  'timeout',
  'tail_loss_probe',
  'syn',
  'synack',
  'path_mtu',
  'fast_open',
  'zero_window',
] as const;
export type RetransmitCause = (typeof RETRANSMIT_CAUSES)[number];

type Maybe = number | null;
type Each<K extends string, V> = Readonly<Record<K, V>>;

/** Per second unless the name says otherwise; null where the family is absent. */
export interface Summary {
  readonly seconds: number;
  readonly opened: Each<Side, Maybe>;
  readonly failed: Maybe;
  /** Connections open now. */
  readonly sockets: Maybe;
  readonly bytes: Each<Direction, Maybe>;
  readonly segmentsSent: Maybe;
  readonly retransmits: Each<RetransmitCause, Maybe>;
  readonly drops: Maybe;
  readonly resets: Each<Direction, Maybe>;
  readonly lost: Maybe;
  readonly cpu: Maybe;
  /** Observations by bucket, of connections that closed. */
  readonly rtt: Buckets | null;
  /** The same in buckets of which quantiles are read. */
  readonly rttFine: Buckets | null;
  /** Of the connections open now. */
  readonly srtt: RoundTrips | null;
  readonly layers: Each<Direction, Each<Layer, Buckets | null>>;
  readonly http: Each<Side, HttpSummary | null>;
  /** Mean seconds of a request in each of its parts; null without requests. */
  readonly parts: Each<Side, PartMeans | null>;
}

export interface HttpSummary {
  readonly requests: number;
  readonly errors: number;
  /** Seconds; null without requests. */
  readonly p50: Maybe;
  readonly p95: Maybe;
  readonly p99: Maybe;
}

function each<const K extends string, V>(keys: readonly K[], of: (key: K) => V): Each<K, V> {
  return Object.fromEntries(keys.map((key) => [key, of(key)])) as Record<K, V>;
}

export function summarize(step: Step): Summary {
  const connections = increases(step, 'netwatch_tcp_connections_total');
  const outcome = (match: (error: string, role: string) => boolean): Maybe =>
    connections.length === 0
      ? null
      : connections.reduce((sum, { labels, increase }) => {
          const role = labels['network_tcp_handshake_role'] ?? '';
          return sum + (match(labels['error_type'] ?? '', role) ? increase : 0);
        }, 0) / step.seconds;
  const direction = (name: string): Each<Direction, Maybe> =>
    each(DIRECTIONS, (one) => rate(step, name, having('network_io_direction', one)));
  return {
    seconds: step.seconds,
    opened: each(SIDES, (side) => outcome((error, role) => error === '' && role === side)),
    failed: outcome((error) => error !== ''),
    sockets: total(
      step.now,
      'netwatch_tcp_sockets',
      (labels) => labels['network_connection_state'] !== 'listen',
    ),
    bytes: direction('netwatch_tcp_io_bytes_total'),
    segmentsSent: direction('netwatch_tcp_segments_total').transmit,
    retransmits: each(RETRANSMIT_CAUSES, (cause) =>
      rate(step, 'netwatch_tcp_retransmits_total', having('network_tcp_retransmit_type', cause)),
    ),
    drops: rate(step, 'netwatch_skb_drops_total'),
    resets: direction('netwatch_tcp_resets_total'),
    lost: rate(step, 'netwatch_events_lost_total'),
    cpu: rate(step, 'netwatch_process_cpu_seconds_total'),
    rtt: observed(step, 'netwatch_tcp_rtt_seconds'),
    rttFine: observed(step, 'netwatch_tcp_rtt_fine_seconds'),
    srtt: step.now.roundTrips,
    layers: each(DIRECTIONS, (way) => each(LAYERS, (layer) => layerTimes(step, way, layer))),
    http: each(SIDES, (side) => httpOf(step, side)),
    parts: each(SIDES, (side) => partMeans(step, side)),
  };
}

function layerTimes(step: Step, way: Direction, layer: Layer): Buckets | null {
  return observed(
    step,
    'netwatch_packet_layer_duration_seconds',
    (labels) => labels['layer'] === layer && labels['network_io_direction'] === way,
  );
}

function httpOf(step: Step, side: Side): HttpSummary | null {
  const name = `http_${side}_request_duration_seconds`;
  const all = observed(step, name);
  if (all === null) return null;
  // OpenTelemetry's buckets are too wide: 100 us and 2.5 ms are the same to them.
  const fine = observed(step, 'netwatch_http_request_duration_seconds', having('side', side));
  const at = (q: number): Maybe => (fine === null ? null : quantile(q, fine));
  const failed = observed(step, name, (labels) => (labels['error_type'] ?? '') !== '');
  return {
    requests: observations(all) / step.seconds,
    errors: failed === null ? 0 : observations(failed) / step.seconds,
    p50: at(0.5),
    p95: at(0.95),
    p99: at(0.99),
  };
}

/** Segments sent again, of all segments sent; null if either is unknown, 0 when nothing is sent. */
export function retransmitRatio({ retransmits, segmentsSent }: Summary): Maybe {
  const rates = Object.values(retransmits);
  if (segmentsSent === null || rates.every((one) => one === null)) return null;
  const again = rates.reduce<number>((sum, one) => sum + (one ?? 0), 0);
  return segmentsSent === 0 ? 0 : again / segmentsSent;
}

/** Mean time in the layer, seconds. */
export function meanLayer(summary: Summary, way: Direction, layer: Layer): Maybe {
  const buckets = summary.layers[way][layer];
  return buckets === null ? null : mean(buckets);
}
