/**
 * PromQL built from the family declarations, so that a name or a label that does not exist is a
 * compile error. The same expression serves a dashboard (its variables choose the hosts) and a rule
 * (all hosts).
 */
import {
  familyOf,
  LABEL_VALUES,
  type FamilyName,
  type HistogramName,
  type RequiredLabel,
  type SnapshotName,
} from '../../src/metrics/families.js';

/** Which series an expression looks at, and over which time it takes rates. */
export interface Scope {
  /** Label matchers, separated by commas; may be empty. */
  readonly matchers: string;
  readonly window: string;
}

export const DASHBOARD: Scope = {
  matchers: 'job=~"$job", instance=~"$instance"',
  window: '$__rate_interval',
};
export const RULES: Scope = { matchers: '', window: '5m' };

/** What the scrape adds to every series; a host may have more (environment, cluster). */
export const TARGET_LABELS = ['job', 'instance'] as const;

export type SampleName = SnapshotName | `${HistogramName}_${'bucket' | 'sum' | 'count'}`;

export function select(name: SampleName, scope: Scope, ...more: readonly string[]): string {
  const matchers = [scope.matchers, ...more].filter((matcher) => matcher !== '').join(', ');
  return matchers === '' ? name : `${name}{${matchers}}`;
}

export function rate(name: SampleName, scope: Scope, ...more: readonly string[]): string {
  return `rate(${select(name, scope, ...more)}[${scope.window}])`;
}

export function sumBy(labels: readonly string[], of: string): string {
  return labels.length === 0 ? `sum(${of})` : `sum by (${labels.join(', ')}) (${of})`;
}

export function allLabels(name: FamilyName): readonly string[] {
  return [...familyOf(name).labels, ...familyOf(name).optional];
}

/**
 * Sums over all labels of a family but these. Those that the scrape adds stay, whatever they are:
 * an alert says which host, environment or cluster it is about.
 */
export function sumKeeping<N extends SnapshotName>(
  name: N,
  keep: readonly RequiredLabel<N>[],
  of: string,
): string {
  const kept = new Set<string>(keep);
  const others = allLabels(name).filter((label) => !kept.has(label));
  return others.length === 0 ? of : `sum without (${others.join(', ')}) (${of})`;
}

/** A share of 0 where nothing of the part was ever seen, instead of no number. */
export function share(part: string, whole: string): string {
  return `(${part} or 0 * ${whole}) / ${whole}`;
}

export const QUANTILES = [0.5, 0.95, 0.99] as const;

/** p50, p95 … */
export const quantileName = (quantile: number): string => `p${quantile * 100}`;

/** Labels whose values differ in kind, not in degree: the times of layers do not mix. */
export function closedLabels(name: HistogramName): readonly string[] {
  const mixed = new Set(['network_type', 'url_scheme']);
  return familyOf(name).labels.filter((label) => label in LABEL_VALUES && !mixed.has(label));
}

/** The last word of a label, as level of a recording rule and in titles: `role`, `port`. */
export const shortLabel = (label: string): string => label.replace(/^.*_/, '');

/** The legend of series that differ in these labels. */
export const legendOf = (labels: readonly string[]): string =>
  labels.map((label) => `{{${label}}}`).join(' ');
