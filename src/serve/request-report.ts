/** What a page is told of requests: their routes and kinds with exact quantiles, and the slowest. Pure. */
import { exactQuantile } from '../metrics/quantiles.js';
import { PARTS, type Side } from '../sources/exchange.js';
import type {
  ExactQuantiles,
  KindReport,
  PartSeconds,
  RequestReport,
  RequestsReport,
  RouteReport,
} from './types.js';
import type { SeenRequest } from './request-line.js';

const MOST_ROUTES = 100;
const MOST_KINDS = 500;
const MOST_SLOW = 20;

export function reportOf(
  requests: readonly SeenRequest[],
  atMs: number,
  fromMs: number,
): RequestsReport {
  return {
    ...{ atMs, fromMs, count: requests.length },
    routes: routesOf(requests),
    kinds: kindsOf(requests),
    slowest: slowestOf(requests),
  };
}

/** Groups by a few fields, one after the other: quicker than one long text for each request. */
function grouped(
  requests: readonly SeenRequest[],
  ...fields: readonly (keyof SeenRequest)[]
): (readonly SeenRequest[])[] {
  return fields.reduce<(readonly SeenRequest[])[]>(
    (groups, field) => groups.flatMap((group) => groupedBy(group, field)),
    [requests],
  );
}

function groupedBy(
  requests: readonly SeenRequest[],
  field: keyof SeenRequest,
): (readonly SeenRequest[])[] {
  const groups = new Map<unknown, SeenRequest[]>();
  for (const request of requests) {
    const group = groups.get(request[field]);
    if (group === undefined) groups.set(request[field], [request]);
    else group.push(request);
  }
  return [...groups.values()];
}

const ascending = (requests: readonly SeenRequest[]): Float64Array =>
  Float64Array.from(requests, ({ seconds }) => seconds).sort();

const quantilesOf = (seconds: Float64Array): ExactQuantiles => ({
  p50: exactQuantile(0.5, seconds),
  p95: exactQuantile(0.95, seconds),
  p99: exactQuantile(0.99, seconds),
});

const totalOf = (requests: readonly SeenRequest[]): number =>
  requests.reduce((sum, { seconds }) => sum + seconds, 0);

function routesOf(requests: readonly SeenRequest[]): RouteReport[] {
  return grouped(requests, 'side', 'method', 'route')
    .map((group) => ({ group, total: totalOf(group) }))
    .sort((a, b) => b.total - a.total)
    .slice(0, MOST_ROUTES)
    .map(({ group }) => routeReport(group));
}

function routeReport(group: readonly SeenRequest[]): RouteReport {
  const { side, method, route } = group[0]!;
  const seconds = ascending(group);
  return {
    ...{ side, method, route },
    count: group.length,
    errors: group.filter(({ errorType }) => errorType !== '').length,
    ...quantilesOf(seconds),
    most: seconds.at(-1) ?? 0,
    parts: meanParts(side, group),
  };
}

function meanParts(side: Side, group: readonly SeenRequest[]): PartSeconds {
  const sums = PARTS[side].map(() => 0);
  let explained = 0;
  for (const { parts } of group) {
    if (parts.includes(null)) continue;
    explained++;
    for (let i = 0; i < sums.length; i++) sums[i]! += parts[i]!;
  }
  return named(
    side,
    sums.map((sum) => (explained === 0 ? null : sum / explained)),
  );
}

function named(side: Side, parts: readonly (number | null)[]): PartSeconds {
  const known = PARTS[side].map(({ name }, i) => [name, parts[i] ?? null] as const);
  return Object.fromEntries(known.filter(([, seconds]) => seconds !== null)) as PartSeconds;
}

function kindsOf(requests: readonly SeenRequest[]): KindReport[] {
  const kinds = grouped(requests, 'side', 'method', 'status', 'port', 'errorType');
  return kinds
    .sort((a, b) => b.length - a.length)
    .slice(0, MOST_KINDS)
    .map((group) => {
      const { side, method, status, port, errorType } = group[0]!;
      return { side, method, status, port, errorType, ...quantilesOf(ascending(group)) };
    });
}

function slowestOf(requests: readonly SeenRequest[]): RequestReport[] {
  const slowest: SeenRequest[] = [];
  for (const request of requests) {
    if (slowest.length === MOST_SLOW && request.seconds <= slowest.at(-1)!.seconds) continue;
    const place = slowest.findIndex(({ seconds }) => seconds < request.seconds);
    slowest.splice(place < 0 ? slowest.length : place, 0, request);
    if (slowest.length > MOST_SLOW) slowest.pop();
  }
  return slowest.map(slowReport);
}

function slowReport(request: SeenRequest): RequestReport {
  const { endMs, side, method, path, status, outcome, process, src, dst } = request;
  const { seconds, parts, inside, retransmits, sock, errorType } = request;
  return {
    id: `${sock} ${side} ${endMs} ${seconds}`,
    ...{ endMs, side, method, path, status, outcome, process, sock, src, dst },
    ...{ seconds, inside, retransmits, isError: errorType !== '', parts: named(side, parts) },
  };
}
