/** HTTP requests by what netwatch tells them apart by: side, method, status, port. */
import type { Labels, PageSnapshot } from '../../serve/types.js';
import { observations, quantile } from './histogram.js';
import { key, observedSeries, type Step } from './series.js';
import { SIDES, type Side } from './summary.js';

export interface RequestGroup {
  readonly key: string;
  readonly side: Side;
  readonly method: string;
  readonly status: string;
  readonly port: string;
  readonly isError: boolean;
  /** Since netwatch started. */
  readonly total: number;
  /** Of the step: per second, and seconds; null before the second snapshot, or without requests. */
  readonly rate: number | null;
  readonly p50: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
}

/** The busiest first. */
export function requestGroups(now: PageSnapshot, step: Step | null): RequestGroup[] {
  return SIDES.flatMap((side) => {
    const name = `http_${side}_request_duration_seconds`;
    return step === null
      ? totalsOnly(now, side, name)
      : observedSeries(step, name).map((one) => {
          const at = (q: number): number | null => quantile(q, one);
          const rate = observations(one) / step.seconds;
          return {
            ...named(side, one.labels, one.total),
            ...{ rate, p50: at(0.5), p95: at(0.95), p99: at(0.99) },
          };
        });
  }).sort((a, b) => (b.rate ?? 0) - (a.rate ?? 0) || b.total - a.total || byKey(a, b));
}

function totalsOnly(now: PageSnapshot, side: Side, name: string): RequestGroup[] {
  const series = now.histograms[name]?.series ?? [];
  return series.map(({ labels, counts }) => ({
    ...named(side, labels, counts.at(-1) ?? 0),
    ...{ rate: null, p50: null, p95: null, p99: null },
  }));
}

function byKey(a: RequestGroup, b: RequestGroup): number {
  return a.key < b.key ? -1 : 1;
}

function named(
  side: Side,
  labels: Labels,
  total: number,
): Omit<RequestGroup, 'rate' | 'p50' | 'p95' | 'p99'> {
  return {
    key: `${side} ${key(labels)}`,
    side,
    method: labels['http_request_method'] ?? '',
    status: labels['http_response_status_code'] ?? '',
    port: labels['server_port'] ?? '',
    isError: (labels['error_type'] ?? '') !== '',
    total,
  };
}
