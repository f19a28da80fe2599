/**
 * What an alert consists of, with the series on which it is tried: one in which it fires and one in
 * which it does not. The type asks for both, so that no alert is without a test.
 */
export type Severity = 'critical' | 'warning' | 'info';

/** `job` and `instance` of the tests, which are added to every series. */
export const TEST_TARGET = { job: 'netwatch', instance: 'web1:41420' } as const;

export interface TestSeries {
  /** With label matchers, `name{a="b"}`; job and instance are added if they are not there. */
  readonly series: string;
  /** In promtool's notation, one value a minute: `0+60x30`. */
  readonly values: string;
}

export interface Firing {
  readonly series: readonly TestSeries[];
  /** Labels that the alert has beside those of the target and its severity. */
  readonly labels?: Readonly<Record<string, string>>;
  /** `{}` where the alert is about no host. */
  readonly target?: Readonly<Record<string, string>>;
  /** What stands for `{{ $value … }}` in the annotations. */
  readonly value: string;
}

export interface Alert {
  readonly alert: string;
  readonly severity: Severity;
  readonly expr: string;
  /** How long it has to hold. */
  readonly for: string;
  readonly summary: string;
  readonly description: string;
  /** What to do next, in a sentence. */
  readonly runbook: string;
  readonly fires: Firing;
  readonly quiet: readonly TestSeries[];
}

/** The alert as it stands in alerts.yml. */
export function ruleOf(alert: Alert): object {
  const { summary, description, runbook } = alert;
  return {
    alert: alert.alert,
    expr: alert.expr,
    for: alert.for,
    labels: { severity: alert.severity },
    annotations: { summary, description, runbook },
  };
}

/** A counter's series, rising by so many a minute, for half an hour. */
export const rising = (series: string, perMinute: number): TestSeries => ({
  series,
  values: `0+${perMinute}x30`,
});

/** A series that stays at one value for half an hour. */
export const steady = (series: string, value: number): TestSeries => ({
  series,
  values: `${value}x30`,
});

/** A counter's series that is not there before its first event. */
export const born = (series: string, value: number): TestSeries => ({
  series,
  values: `_x18 ${value}x12`,
});

/**
 * Counters whose series begin to exist with their first event: `increase` does not see that one.
 * What was there at any time of the last day is not new, also after a gap.
 */
export function grown(selector: string): string {
  const isNew = `(${selector} unless last_over_time(${selector}[1d] offset 5m)) > 0`;
  return `increase(${selector}[5m]) > 0 or ${isNew}`;
}
