/**
 * The rows of the table and their limits. A value up to `excellent` is excellent, up to `good` good,
 * beyond `fails` it fails; between good and fails it is fair. Where more is better it is the other
 * way round. Rows without limits are shown for comparison only. The order is that of the table.
 *
 * The limits stand on costs measured on the 2-core development machine: per packet a parse of 45 ns,
 * one clock reading 57, one ring record 34; per state change tracepoint 12, socket storage 42, clock
 * 57; user side 200 ns per packet line; connections 5 ms for the iterator and 400 ns per line.
 */

export interface Bar {
  readonly title: string;
  readonly unit: string;
  readonly limits?: readonly [excellent: number, good: number, fails: number];
  /** More is better. */
  readonly more?: boolean;
}

const ROWS = {
  truth: {
    title: 'packet records missing or too many, against tcpdump',
    unit: '',
    limits: [0, 0, 0],
  },
  'kernel-packet': { title: 'kernel, per packet', unit: 'ns', limits: [180, 260, 400] },
  'kernel-packet-time': {
    title: 'kernel, per packet, with layer times (`-t`)',
    unit: 'ns',
    limits: [300, 450, 700],
  },
  'kernel-packet-all': { title: 'kernel, per packet, `-x -r -t -i -e`', unit: 'ns' },
  'kernel-state': { title: 'kernel, per state change', unit: 'ns', limits: [160, 300, 500] },
  'kernel-insight': {
    title: 'kernel, `netwatch insight` with all 15 events, per program run',
    unit: 'ns',
    limits: [300, 450, 800],
  },
  'user-insight': {
    title: 'user side, `netwatch insight`, per event decoded and shown as a row',
    unit: 'ns',
    limits: [2000, 4000, 10_000],
  },
  'kernel-tools': { title: 'kernel, the dearest tool, per 1-byte round trip', unit: 'ns' },
  'user-packet': {
    title: 'user side, per packet record decoded, formatted, written',
    unit: 'ns',
    limits: [300, 600, 1500],
  },
  'user-packet-time': { title: 'the same with `-t`', unit: 'ns', limits: [300, 600, 1500] },
  'user-packet-all': { title: 'the same with `-x -r -t -i -e`', unit: 'ns' },
  'user-head': {
    title: 'user side, per HTTP head (`-i`) beyond its packet',
    unit: 'ns',
    limits: [250, 400, 2000],
  },
  'http-ratio': {
    title: 'user side at the same HTTP load, with `-i` against without',
    unit: '×',
    limits: [1.15, 1.3, 2],
  },
  'kernel-exchange': {
    title: 'kernel, the parts of an HTTP exchange, per exchange and side, beyond `-t -i`',
    unit: 'ns',
    limits: [250, 700, 1500],
  },
  'user-exchange': {
    title: 'user side, `netwatch requests --top`, per exchange and side',
    unit: 'ns',
    limits: [1000, 2000, 5000],
  },
  'web-default': {
    title: 'wrk and nginx on all cores, requests/s with against without',
    unit: '×',
    limits: [0.85, 0.75, 0.6],
    more: true,
  },
  'web-http': {
    title: 'the same, `-i`',
    unit: '×',
    limits: [0.75, 0.65, 0.45],
    more: true,
  },
  'web-all': {
    title: 'the same, `-x -r -t -i -e`',
    unit: '×',
    limits: [0.7, 0.6, 0.4],
    more: true,
  },
  'web-no-packets': {
    title: 'the same, `-x -r -i -e --packets none`',
    unit: '×',
    limits: [0.88, 0.78, 0.6],
    more: true,
  },
  'web-user-default': {
    title: 'user side there, per packet',
    unit: 'ns',
    limits: [250, 400, 1500],
  },
  'web-user-http': { title: 'the same, `-i`', unit: 'ns', limits: [400, 1000, 3000] },
  'web-user-all': { title: 'the same, `-x -r -t -i -e`', unit: 'ns', limits: [500, 1300, 3000] },
  'web-lost': { title: 'records lost there with `-i`, of all', unit: '%', limits: [0, 0.1, 5] },
  'user-reference': {
    title: 'the same, against a plain loop (template string, 64 KiB writes)',
    unit: '×',
    limits: [0.6, 1, 2],
  },
  'total-packet': {
    title: 'kernel and user side, per packet',
    unit: 'ns',
    limits: [700, 1300, 2500],
  },
  'cpu-10k': { title: 'CPU at 10,000 packet records/s', unit: '% of a core' },
  'rates-default': {
    title: 'kernel and user side at 10,000 packets/s (beside it: 100 and 100,000)',
    unit: '% of a core',
  },
  'rates-http': { title: 'the same, `-i`', unit: '% of a core' },
  'rates-all': { title: 'the same, `-x -r -t -i -e`', unit: '% of a core' },
  'rates-no-packets': {
    title: 'the same, `-x -r -i -e --packets none`',
    unit: '% of a core',
  },
  'short-connection': {
    title: 'CPU per end of a short connection (open, 10 data packets, close)',
    unit: 'µs',
    limits: [8, 20, 50],
  },
  closed: {
    title: 'records of closed connections missing or too many',
    unit: '',
    limits: [0, 0, 0],
  },
  'closed-tcplife': {
    title: 'CPU at the same connections, against tcplife',
    unit: '×',
    limits: [5, 10, 50],
  },
  lossless: {
    title: 'packet records/s without loss, 10 s, log on disk',
    unit: '/s',
    limits: [200_000, 100_000, 20_000],
    more: true,
  },
  wakeups: {
    title: 'wake-ups per record at 10,000/s',
    unit: '',
    limits: [1 / 200, 1 / 20, 1],
  },
  dump: {
    title: '10,000 connections pulled and formatted',
    unit: 'ms',
    limits: [15, 30, 100],
  },
  'dump-ss': { title: 'the former, against `ss -tian`', unit: '×', limits: [0.5, 1, 2] },
  'dump-extra': {
    title: '10,000 connections pulled and formatted with `-x` (every value a line)',
    unit: 'ms',
  },
  'scrape-0': { title: 'scrape of the endpoint, no connections, p50', unit: 'ms' },
  'scrape-1k': { title: 'the same, 1,000 connections with `-x`', unit: 'ms' },
  'scrape-10k': {
    title: 'the same, 10,000 connections',
    unit: 'ms',
    limits: [10, 25, 250],
  },
  'scrape-100k': {
    title: 'the same, 100,000 connections',
    unit: 'ms',
    limits: [120, 400, 2000],
  },
  'scrape-static': {
    title: 'the same bytes uncompressed, 10,000 connections, against a static buffer',
    unit: '×',
    limits: [1.2, 1.5, 3],
  },
  attach: {
    title: 'start until the first program is attached',
    unit: 'ms',
    limits: [250, 500, 1500],
  },
  ready: { title: 'start until ready', unit: 'ms', limits: [250, 500, 1500] },
  'attach-bpftrace': {
    title: 'start until the first program is attached, against bpftrace',
    unit: '×',
    limits: [1.3, 2.6, 8],
  },
  'rss-idle': { title: 'memory (RSS), idle', unit: 'MB', limits: [70, 100, 250] },
  'rss-10k': { title: 'memory (RSS), 10,000 connections', unit: 'MB', limits: [90, 130, 400] },
  'rss-bpftrace': {
    title: 'memory (RSS) when ready, against bpftrace',
    unit: '×',
    limits: [1, 1.3, 3],
  },
  'idle-cpu': { title: 'CPU when nothing happens', unit: '%', limits: [0.1, 0.5, 1] },
  'bulk-default': {
    title: 'loopback throughput, with against without',
    unit: '×',
    limits: [0.98, 0.95, 0.9],
    more: true,
  },
  'bulk-all': {
    title: 'the same, `-x -r -t -i -e`',
    unit: '×',
    limits: [0.98, 0.95, 0.9],
    more: true,
  },
  'rr-default': {
    title: '1-byte request/response, with against without',
    unit: '×',
    limits: [0.94, 0.88, 0.75],
    more: true,
  },
  'rr-all': {
    title: 'the same, `-x -r -t -i -e`',
    unit: '×',
    limits: [0.94, 0.88, 0.75],
    more: true,
  },
} as const satisfies Readonly<Record<string, Bar>>;

export type RowId = keyof typeof ROWS;

export const BARS: Readonly<Record<RowId, Bar>> = ROWS;

/** In the order of the table. */
export const ROW_IDS = Object.keys(ROWS) as readonly RowId[];

/** `''` where there is nothing to judge. */
export type Grade = 'excellent' | 'good' | 'fair' | 'fails' | '';

/** Which side of the row's limits a value is on. */
export function grade(id: RowId, value: number | null): Grade {
  const { limits, more = false } = BARS[id];
  if (limits === undefined || value === null || Number.isNaN(value)) return '';
  const sign = more ? -1 : 1;
  const within = (limit: number): boolean => sign * value <= sign * limit;
  if (within(limits[0])) return 'excellent';
  if (within(limits[1])) return 'good';
  return within(limits[2]) ? 'fair' : 'fails';
}
