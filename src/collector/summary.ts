/**
 * What the collector says of the whole run when it ends: what happened, who moved most, and all that
 * was lost. Numbers come from the last netwatch.prom, so that both say the same. What has nothing to
 * say has no line.
 */
import { familyOf, type HistogramName, type ScalarName } from '../metrics/families.js';
import { quantileBound } from '../metrics/histogram.js';
import type { Quantiles } from '../metrics/quantiles.js';
import type { Snapshot } from '../metrics/snapshot.js';
import { clip, oneLine } from '../metrics/text.js';
import type { Connection } from '../sources/connection.js';
import {
  explanationOf,
  httpMethod,
  isAnswered,
  largestPart,
  outcomeOf,
  PARTS,
  sideOf,
  type Exchange,
  type Side,
} from '../sources/exchange.js';
import type { SideTotals } from '../sources/exchange-parts.js';
import type { Summary } from './collector.js';
import { losses } from './losses.js';
import type { Traffic } from './traffic.js';

/** Names in one line, the largest first. */
const MOST_NAMES = 5;
const TCP_CLOSE_WAIT = 8;
const NS_PER_S = 1e9;
/** Characters of a request's target in one line with others. */
const TARGET_MAX = 60;

type Counts = ReadonlyMap<string, number>;

/** Adds up a family by a name that `nameOf` makes of its labels; null leaves a sample out. */
function sums(
  state: Snapshot,
  family: ScalarName,
  nameOf: (labels: Readonly<Record<string, string>>) => string | null,
): Counts {
  const found = new Map<string, number>();
  for (const { labels, value } of state.samplesOf(family)) {
    const name = nameOf(labels);
    if (name !== null && value > 0) found.set(name, (found.get(name) ?? 0) + value);
  }
  return found;
}

const total = (counts: Counts): number => [...counts.values()].reduce((all, n) => all + n, 0);

/** `5 refused, 1 timed out`; equal ones by name. */
function listed(counts: Counts): string {
  const all = [...counts].sort(([x, a], [y, b]) => b - a || (x < y ? -1 : 1));
  const shown = all.slice(0, MOST_NAMES).map(([name, count]) => `${count} ${name}`);
  const more = all.slice(MOST_NAMES).reduce((sum, [, count]) => sum + count, 0);
  return [...shown, ...(more > 0 ? [`${more} others`] : [])].join(', ');
}

const words = (name: string): string =>
  name.replace(/^_OTHER$/, 'for other reasons').replaceAll('_', ' ');

function duration(seconds: number): string {
  if (seconds < 0.001) return `${Number((seconds * 1e6).toPrecision(3))} us`;
  if (seconds < 1) return `${Number((seconds * 1e3).toPrecision(3))} ms`;
  return `${Number(seconds.toPrecision(3))} s`;
}

function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(count) / 3)));
  return `${Number((count / 1000 ** power).toPrecision(3))} ${units[power]}`;
}

function quantiles(counts: readonly number[], name: HistogramName): string {
  const { buckets } = familyOf(name);
  const text = (q: number): string => {
    const bound = quantileBound(q, counts, buckets) ?? NaN;
    const most = Number.isFinite(bound)
      ? `≤ ${duration(bound)}`
      : `> ${duration(buckets.at(-1) ?? NaN)}`;
    return `p${q * 100} ${most}`;
  };
  return [0.5, 0.95, 0.99].map(text).join(', ');
}

function exactQuantiles(durations: Quantiles): string {
  return [0.5, 0.95, 0.99]
    .map((q) => `p${q * 100} ${duration((durations.at(q) ?? NaN) / NS_PER_S)}`)
    .join(', ');
}

/** The part that took most of the time; empty: no part is known. */
function mostly(side: Side, partNs: readonly number[]): string {
  const all = partNs.reduce((sum, ns) => sum + ns, 0);
  if (all === 0) return '';
  const [largest] = [...PARTS[side]].sort((a, b) => partNs[b.index]! - partNs[a.index]!);
  if (largest === undefined) return '';
  return `; mostly ${words(largest.name)} (${Math.round((100 * partNs[largest.index]!) / all)} %)`;
}

/** `, remote 205 ms, of which retransmit 201 ms`; empty: no part is known. */
function longestPart(exchange: Exchange): string {
  const part = largestPart(exchange);
  if (part === null) return '';
  const took = (ns: number | null | undefined): string => duration((ns ?? 0) / NS_PER_S);
  const text = `, ${words(part.name)} ${took(exchange.partNs[part.index])}`;
  const inside = explanationOf(exchange, part);
  if (inside === null) return text;
  const name = inside.name.slice(part.name.length + 1);
  return `${text}, of which ${words(name)} ${took(exchange[inside.key])}`;
}

/** The slowest requests, each with the part that took longest and what explains it. */
function slowestLine(slowest: readonly Exchange[]): string | null {
  if (slowest.length === 0) return null;
  const shown = slowest.map((exchange) => {
    const { request, method, status, role, pid, comm, durationNs, outcome } = exchange;
    const target = request === null ? httpMethod(method) : `${request.method} ${request.target}`;
    const answer = isAnswered(exchange) ? String(status) : outcomeOf(outcome);
    const whose = pid === 0 ? '' : ` of ${oneLine(comm)}`;
    const took = duration((durationNs ?? 0) / NS_PER_S);
    return `${took} ${clip(target, TARGET_MAX)} ${answer} (${sideOf(role)}${whose}${longestPart(exchange)})`;
  });
  return `slowest requests: ${shown.join('; ')}`;
}

/** All label sets of a histogram together. */
function merged(state: Snapshot, name: HistogramName): number[] {
  const all: number[] = [];
  for (const { counts } of state.histogramsOf(name))
    for (const [i, count] of counts.entries()) all[i] = (all[i] ?? 0) + count;
  return all;
}

function connectionLine(state: Snapshot): string | null {
  const opened = sums(state, 'netwatch_tcp_connections_total', (labels) =>
    (labels['error_type'] ?? '') !== ''
      ? null
      : labels['network_tcp_handshake_role'] === 'client'
        ? 'as client'
        : 'as server',
  );
  const failed = sums(state, 'netwatch_tcp_connections_total', ({ error_type = '' }) =>
    error_type === '' ? null : words(error_type),
  );
  if (opened.size === 0 && failed.size === 0) return null;
  const successes = opened.size === 0 ? '0 opened' : `${total(opened)} opened (${listed(opened)})`;
  return `connections: ${successes}; ${total(failed)} failed${failed.size > 0 ? ` (${listed(failed)})` : ''}`;
}

function rttLine(state: Snapshot): string | null {
  const name = 'netwatch_tcp_rtt_fine_seconds';
  const counts = merged(state, name);
  const all = counts.reduce((sum, count) => sum + count, 0);
  return all === 0 ? null : `round trips: ${quantiles(counts, name)} (${all} closed connections)`;
}

/** Null without -r. */
function retransmitLine(state: Snapshot): string | null {
  const name = 'netwatch_tcp_retransmits_total';
  if (state.samplesOf(name).length === 0) return null;
  const causes = sums(state, name, (labels) => words(labels['network_tcp_retransmit_type'] ?? ''));
  const sent = total(
    sums(state, 'netwatch_tcp_segments_total', ({ network_io_direction: direction }) =>
      direction === 'transmit' ? direction : null,
    ),
  );
  if (causes.size === 0) return `retransmits: none of ${sent} segments sent`;
  const share = ((100 * total(causes)) / sent).toPrecision(2);
  return `retransmits: ${total(causes)} of ${sent} segments sent (${Number(share)} %): ${listed(causes)}`;
}

function requestLine(
  state: Snapshot,
  side: Side,
  what: string,
  { durations, partNs }: SideTotals,
): string | null {
  const name = `http_${side}_request_duration_seconds` as const;
  const counts = merged(state, name);
  const all = counts.reduce((sum, count) => sum + count, 0);
  if (all === 0) return null;
  const errors = new Map<string, number>();
  for (const { labels, counts: some } of state.histogramsOf(name)) {
    const status = labels['http_response_status_code'] ?? '';
    if (/^[45]/.test(status))
      errors.set(status, (errors.get(status) ?? 0) + some.reduce((sum, n) => sum + n, 0));
  }
  const statuses = [...errors].map(([status, count]) => [`with ${status}`, count] as const);
  const failed = statuses.length > 0 ? `; ${listed(new Map(statuses))}` : '';
  // of requests whose records were lost only the histogram knows
  const shown = durations.count === 0 ? quantiles(counts, name) : exactQuantiles(durations);
  return `${what}: ${all}, ${shown}${failed}${mostly(side, partNs)}`;
}

/** Null without -e. */
function faultLine(state: Snapshot): string | null {
  const drops = sums(state, 'netwatch_skb_drops_total', ({ reason = '' }) => `dropped ${reason}`);
  const resets = sums(state, 'netwatch_tcp_resets_total', ({ reason = '', ...labels }) =>
    labels['network_io_direction'] === 'receive' ? 'resets received' : `resets sent ${reason}`,
  );
  const all = new Map([...drops, ...resets]);
  return all.size === 0 ? null : `drops and resets: ${listed(all)}`;
}

function trafficLines({ processes, peers }: Traffic): string[] {
  const line = (what: string, largest: readonly (readonly [string, number])[]): string[] => {
    const shown = largest.map(([name, count]) => `${oneLine(name)} ${bytes(count)}`);
    return shown.length === 0 ? [] : [`${what}: ${shown.join(', ')}`];
  };
  return [
    ...line('busiest processes', processes.largest(MOST_NAMES)),
    ...line('busiest peers', peers.largest(MOST_NAMES)),
  ];
}

/** Null where nothing is in a unit or a container. */
function unitLine(state: Snapshot): string | null {
  const moved = sums(state, 'netwatch_unit_io_bytes_total', ({ unit = '', container = '' }) => {
    if (unit === 'other') return null;
    return unit === '-' ? container || null : unit;
  });
  const largest = [...moved].sort(([, a], [, b]) => b - a).slice(0, MOST_NAMES);
  const shown = largest.map(([name, count]) => `${oneLine(name)} ${bytes(count)}`);
  return shown.length === 0 ? null : `busiest units: ${shown.join(', ')}`;
}

/** The other end has closed, the process here has not: what leaks descriptors. */
function closeWaitLine(open: readonly Connection[]): string | null {
  const owners = new Map<string, number>();
  for (const { state, pid, comm } of open) {
    if (state !== TCP_CLOSE_WAIT) continue;
    const name = pid === 0 ? 'of nobody known' : `of ${oneLine(comm)} (pid ${pid})`;
    owners.set(name, (owners.get(name) ?? 0) + 1);
  }
  return owners.size === 0 ? null : `left in CLOSE_WAIT: ${listed(owners)}`;
}

/** Null without -e. */
function overflowLine(queues: Counts): string | null {
  return queues.size === 0 ? null : `accept queue was full: ${listed(queues)}`;
}

/**
 * `rowsNotShown`: rows that standard output did not take; `linesNotShown`: status lines and sentences
 * that standard error did not take, which are nobody's records.
 */
export function summaryLines(summary: Summary, rowsNotShown: number, linesNotShown = 0): string[] {
  const { seconds, connections, packets, faults, lost, written, state, open } = summary;
  const { traffic, overflows, requests } = summary;
  const files = [...written].map(([name, records]) => `${records} in ${name}`);
  const missing = losses(state, summary.stateErrors);
  const seen = packets === null ? '' : `${packets} packets, `;
  const lines = [
    `${seconds.toFixed(1)} s: ${seen}${connections} connections closed, ${faults} drops and resets; ${lost} records lost`,
    connectionLine(state),
    rttLine(state),
    requestLine(state, 'server', 'requests served', requests.counts.totals('server')),
    requestLine(state, 'client', 'requests made', requests.counts.totals('client')),
    slowestLine(requests.slowest),
    retransmitLine(state),
    faultLine(state),
    ...trafficLines(traffic),
    unitLine(state),
    closeWaitLine(open),
    overflowLine(overflows.counts),
    `lines written: ${files.join(', ')}`,
    missing.length > 0 ? `lost: ${missing.join(', ')}` : null,
    rowsNotShown > 0 ? `${rowsNotShown} rows not shown: the reader was too slow` : null,
    linesNotShown > 0 ? `${linesNotShown} status lines not shown: the terminal took nothing` : null,
    missing.length + rowsNotShown === 0 ? 'nothing lost' : null,
  ];
  return lines.filter((line) => line !== null);
}
