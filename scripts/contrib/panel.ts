/**
 * What a panel of the dashboard shows, apart from how Grafana writes it down (grafana.ts), and the
 * panels that follow from the declaration of a family: its type says which.
 */
import { familyOf, type HistogramName, type SnapshotName } from '../../src/metrics/families.js';
import {
  allLabels,
  closedLabels,
  DASHBOARD,
  legendOf,
  QUANTILES,
  quantileName,
  rate,
  select,
  shortLabel,
  sumBy,
} from './promql.js';
import { closeFrom, HISTOGRAMS, type Recorded } from './recording.js';

export interface Query {
  readonly expr: string;
  /** With `{{label}}` in it. */
  readonly legend: string;
}

interface Common {
  readonly title: string;
  readonly description: string;
  /** One of Grafana's unit ids. */
  readonly unit: string;
  readonly queries: readonly Query[];
}

export interface Column extends Query {
  readonly title: string;
  readonly unit: string;
}

export type Panel =
  | (Common & { readonly kind: 'timeseries'; readonly stacked?: boolean })
  | (Common & { readonly kind: 'heatmap' })
  | (Common & {
      readonly kind: 'stat';
      /** From here on it is red. */
      readonly limit?: number;
    })
  | {
      readonly kind: 'table';
      readonly title: string;
      readonly description: string;
      /** The labels come first, then the value of each. */
      readonly columns: readonly Column[];
      readonly hidden: readonly string[];
    }
  | { readonly kind: 'text'; readonly title: string; readonly markdown: string };

/** Words that are written otherwise than they are spelled in a name. */
const WORDS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ['tcp', 'http', 'rtt', 'bpf', 'cpu', 'ip'].map((word) => [word, word.toUpperCase()]),
  ),
  skb: 'packet',
  fds: 'file descriptors',
  srtt: 'smoothed RTT',
  mdev: 'RTT deviation',
  rttvar: 'RTT variance',
  cwnd: 'congestion window',
  rwnd: 'receive window',
  ssthresh: 'slow-start threshold',
  sndbuf: 'send buffer',
  rcvbuf: 'receive buffer',
  wmem: 'send memory',
  notsent: 'not sent',
  retrans: 'retransmits',
  mss: 'MSS',
  rto: 'retransmission timeout',
  snd: 'send',
  wnd: 'window',
  ecn: 'ECN',
  ce: 'CE',
};

/** `netwatch_tcp_retransmits_total` is "TCP retransmits". */
export function titleOf(name: SnapshotName): string {
  const words = name
    .replace(/^netwatch_(connection_)?/, '')
    .replace(/_total$/, '')
    .replace(/_(bytes_per_second|seconds|segments|bytes)$/, (unit) =>
      /tcp_(io_bytes|segments)|_(sent|received)_segments/.test(name) ? unit : '',
    )
    .split('_')
    .map((word) => WORDS[word] ?? word);
  const title = words.join(' ');
  return title.charAt(0).toUpperCase() + title.slice(1);
}

/** A moment, shown as its age. */
const isMoment = (name: string): boolean => /_(timestamp|start_time|mtime)_seconds$/.test(name);

export function unitOf(name: SnapshotName): string {
  if (familyOf(name).type === 'counter') {
    if (name.endsWith('_bytes_total')) return 'Bps';
    return name.endsWith('_seconds_total') ? 'percentunit' : 'cps';
  }
  if (name.endsWith('_bytes_per_second')) return 'Bps';
  if (name.endsWith('_bytes')) return 'bytes';
  return name.endsWith('_seconds') ? 's' : 'short';
}

/** That hosts are apart goes without saying. */
function by(labels: readonly string[]): string {
  const named = labels.filter((label) => label !== 'instance');
  return named.length === 0 ? '' : ` by ${named.map(shortLabel).join(', ')}`;
}

export function timeSeries(
  title: string,
  description: string,
  unit: string,
  ...queries: readonly Query[]
): Panel {
  return { kind: 'timeseries', title, description, unit, queries };
}

/** A counter as a rate, a gauge as it is: over the chosen hosts together, by these labels. */
export function scalarPanel(name: SnapshotName, labels = allLabels(name)): Panel {
  const { type, help } = familyOf(name);
  const of = type === 'counter' ? rate(name, DASHBOARD) : select(name, DASHBOARD);
  const value = isMoment(name)
    ? `time() - max by (${labels.join(', ')}) (${of})`
    : sumBy(labels, of);
  const title = `${titleOf(name)}${isMoment(name) ? ', age' : ''}${by(labels)}`;
  return timeSeries(title, help, unitOf(name), {
    expr: value,
    legend: legendOf(labels) || titleOf(name),
  });
}

/** The same for each host apart. */
export const hostPanel = (name: SnapshotName): Panel =>
  scalarPanel(name, ['instance', ...allLabels(name)]);

export function heatMap(title: string, name: HistogramName, ...matchers: readonly string[]): Panel {
  const buckets = select(`${name}_bucket`, DASHBOARD, ...matchers);
  return {
    kind: 'heatmap',
    title,
    description: `${familyOf(name).help} The darker, the more.`,
    unit: unitOf(name),
    queries: [{ expr: sumBy(['le'], `increase(${buckets}[$__rate_interval])`), legend: '{{le}}' }],
  };
}

const quantileExpr = (
  name: HistogramName,
  q: number,
  labels: readonly string[] = [],
  matchers: readonly string[] = [],
): string =>
  `histogram_quantile(${q}, ${sumBy(['le', ...labels], rate(`${name}_bucket`, DASHBOARD, ...matchers))})`;

/** A quantile lies somewhere in its bucket; how wide that is belongs beside it. */
function exactness(name: HistogramName): string {
  const { buckets } = familyOf(name);
  const from = closeFrom(name);
  if (from === null) throw new RangeError(`${name} has buckets too wide for a quantile`);
  const wide = buckets.filter((bound, i) => i > 0 && bound <= from);
  const widest = Math.max(...wide.map((bound) => bound / buckets[buckets.indexOf(bound) - 1]!));
  const range =
    wide.length === 0
      ? 'True to 10 %'
      : `True to 10 % from ${from} s on, below to a factor of ${Number(widest.toFixed(1))}`;
  return `${range}; what is longer than ${buckets.at(-1)} s is shown as that.`;
}

const quantileHelp = (name: HistogramName): string => `${familyOf(name).help} ${exactness(name)}`;

export function quantilesPanel(name: HistogramName, ...matchers: readonly string[]): Panel {
  const names = QUANTILES.map(quantileName);
  return timeSeries(
    `${titleOf(name)}: ${names.join(', ')}`,
    quantileHelp(name),
    's',
    ...QUANTILES.map((q) => ({
      expr: quantileExpr(name, q, [], matchers),
      legend: quantileName(q),
    })),
  );
}

/** One quantile, apart by these labels. */
export function quantileByPanel(
  name: HistogramName,
  labels: readonly string[],
  q: (typeof QUANTILES)[number] = 0.95,
  ...matchers: readonly string[]
): Panel {
  return timeSeries(`${titleOf(name)}: ${quantileName(q)}${by(labels)}`, quantileHelp(name), 's', {
    expr: quantileExpr(name, q, labels, matchers),
    legend: legendOf(labels),
  });
}

/** The mean, which a sum and a count tell exactly. */
export function meanByPanel(
  name: HistogramName,
  labels: readonly string[],
  ...matchers: readonly string[]
): Extract<Panel, { kind: 'timeseries' }> {
  const of = (what: 'sum' | 'count'): string =>
    sumBy(labels, rate(`${name}_${what}`, DASHBOARD, ...matchers));
  return {
    kind: 'timeseries',
    title: `${titleOf(name)}: mean${by(labels)}`,
    description: familyOf(name).help,
    unit: unitOf(name),
    queries: [{ expr: `${of('sum')} / ${of('count')}`, legend: legendOf(labels) || 'mean' }],
  };
}

/** Quantiles and a heat map, and p95 of what does not mix; the mean where buckets are too wide for a quantile. */
function histogramPanels(name: HistogramName): Panel[] {
  const labels = closedLabels(name);
  if (closeFrom(name) === null) return [meanByPanel(name, labels), heatMap(titleOf(name), name)];
  return [
    quantilesPanel(name),
    ...(labels.length === 0 ? [] : [quantileByPanel(name, labels)]),
    heatMap(titleOf(name), name),
  ];
}

const histograms = new Set<SnapshotName>(HISTOGRAMS);
const isHistogram = (name: SnapshotName): name is HistogramName => histograms.has(name);

/** What the declaration of a family says. */
export function familyPanels(
  name: SnapshotName,
  scalar: (name: SnapshotName) => Panel,
): readonly Panel[] {
  return isHistogram(name) ? histogramPanels(name) : [scalar(name)];
}

/** A ratio or a quantile that is recorded too, computed anew: it works without the rules. */
export function recordedPanel(rule: Recorded, description: string): Panel {
  return timeSeries(rule.title, description, rule.unit, {
    expr: rule.expr(DASHBOARD),
    legend: legendOf(['instance', ...rule.labels]),
  });
}

/** The metric names in a panel's expressions, as far as they are families of netwatch. */
export function expressionsOf(panel: Panel): readonly string[] {
  switch (panel.kind) {
    case 'text':
      return [];
    case 'table':
      return panel.columns.map(({ expr }) => expr);
    default:
      return panel.queries.map(({ expr }) => expr);
  }
}
