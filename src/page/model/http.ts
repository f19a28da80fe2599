/** HTTP requests by what netwatch tells them apart by: side, method, status, port. */
import type { KindReport, Labels, PageSnapshot, RequestsReport } from '../../serve/types.js';
import { observations, upperBound } from './histogram.js';
import { SIDES, type Side } from './parts.js';
import { observedSeries, type Observed, type Step } from './series.js';

export interface RequestGroup {
  readonly key: string;
  readonly side: Side;
  readonly method: string;
  readonly status: string;
  readonly port: string;
  readonly isError: boolean;
  /** Since netwatch started. */
  readonly total: number;
  /** Of the step, per second; null before the second snapshot. */
  readonly rate: number | null;
  /** Seconds; null without requests. */
  readonly p50: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
  /** Of the buckets of which the quantiles are bounds, as no more is known; null: they are exact. */
  readonly bounds: readonly number[] | null;
}

type Named = Pick<RequestGroup, 'key' | 'side' | 'method' | 'status' | 'port' | 'isError'>;

/** What is counted apart in one protocol version; here both are one. */
interface Counted {
  readonly named: Named;
  total: number;
  /** Null before the second snapshot. */
  buckets: Pick<Observed, 'bounds' | 'counts'> | null;
}

/** The busiest first. `report`: has the quantiles themselves; null: not known. */
export function requestGroups(
  now: PageSnapshot,
  step: Step | null,
  report: RequestsReport | null,
): RequestGroup[] {
  const exact = report === null ? null : new Map(report.kinds.map((one) => [keyOf(one), one]));
  return SIDES.flatMap((side) => counted(now, step, side))
    .map(({ named, total, buckets }) => ({
      ...named,
      total,
      rate: buckets === null ? null : observations(buckets) / (step?.seconds ?? 1),
      ...(exact === null ? boundsOf(buckets) : quantilesOf(exact.get(named.key))),
    }))
    .sort((a, b) => (b.rate ?? 0) - (a.rate ?? 0) || b.total - a.total || byKey(a, b));
}

type Quantiles = Pick<RequestGroup, 'p50' | 'p95' | 'p99' | 'bounds'>;

function quantilesOf(kind: KindReport | undefined): Quantiles {
  const { p50 = null, p95 = null, p99 = null } = kind ?? {};
  return { p50, p95, p99, bounds: null };
}

function boundsOf(buckets: Counted['buckets']): Quantiles {
  const at = (q: number): number | null => (buckets === null ? null : upperBound(q, buckets));
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), bounds: buckets?.bounds ?? [] };
}

function counted(now: PageSnapshot, step: Step | null, side: Side): Counted[] {
  const name = `http_${side}_request_duration_seconds`;
  const found = new Map<string, Counted>();
  const add = (labels: Labels, total: number, buckets: Counted['buckets']): void => {
    const named = namedOf(side, labels);
    const before = found.get(named.key);
    if (before === undefined) {
      found.set(named.key, { named, total, buckets });
      return;
    }
    before.total += total;
    before.buckets = joined(before.buckets, buckets);
  };
  if (step === null)
    for (const { labels, counts } of now.histograms[name]?.series ?? [])
      add(labels, counts.at(-1) ?? 0, null);
  else for (const one of observedSeries(step, name)) add(one.labels, one.total, one);
  return [...found.values()];
}

function joined(a: Counted['buckets'], b: Counted['buckets']): Counted['buckets'] {
  if (a === null || b === null) return a ?? b;
  return { bounds: a.bounds, counts: a.counts.map((count, i) => count + (b.counts[i] ?? 0)) };
}

function byKey(a: RequestGroup, b: RequestGroup): number {
  return a.key < b.key ? -1 : 1;
}

const keyOf = ({
  side,
  method,
  status,
  port,
  errorType,
}: Omit<KindReport, 'p50' | 'p95' | 'p99'>) =>
  JSON.stringify([side, method, status, port, errorType]);

function namedOf(side: Side, labels: Labels): Named {
  const method = labels['http_request_method'] ?? '';
  const status = labels['http_response_status_code'] ?? '';
  const port = labels['server_port'] ?? '';
  const errorType = labels['error_type'] ?? '';
  const key = keyOf({ side, method, status, port, errorType });
  return { key, side, method, status, port, isError: errorType !== '' };
}
