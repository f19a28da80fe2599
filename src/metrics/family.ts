/** What a metric family is made of; the families themselves are in families.ts. */

/**
 * `connects`, `packets`, `err`: the history logs. `prom`: the state file. `endpoint`: only the HTTP
 * endpoint.
 */
export type FamilyFile = 'prom' | 'connects' | 'packets' | 'err' | 'endpoint';
export type FamilyType = 'counter' | 'gauge' | 'histogram';

export interface Family {
  readonly type: FamilyType;
  readonly help: string;
  /** Always present, in the order in which they are written. */
  readonly labels: readonly string[];
  /** May be absent; written after the others. */
  readonly optional: readonly string[];
  /** Upper bounds, without +Inf, in seconds if the name says so; empty unless a histogram. */
  readonly buckets: readonly number[];
  readonly file: FamilyFile;
}

/** Declares one; what it is called is the key it stands under. */
export function family<
  const T extends FamilyType,
  const F extends FamilyFile,
  const L extends readonly string[] = [],
  const O extends readonly string[] = [],
>(
  type: T,
  file: F,
  help: string,
  labels?: L,
  more: { optional?: O; buckets?: readonly number[] } = {},
) {
  return {
    type,
    help,
    labels: labels ?? ([] as unknown as L),
    optional: more.optional ?? ([] as unknown as O),
    buckets: more.buckets ?? [],
    file,
  } as const;
}

/** Of the state file. */
export const counter = <const L extends readonly string[] = []>(help: string, labels?: L) =>
  family('counter', 'prom', help, labels);
export const gauge = <const L extends readonly string[] = []>(help: string, labels?: L) =>
  family('gauge', 'prom', help, labels);
/** A histogram of seconds, with its bounds. */
export const timing = <const L extends readonly string[] = []>(
  help: string,
  buckets: readonly number[],
  labels?: L,
) => family('histogram', 'prom', help, labels, { buckets });

/** Only of the HTTP endpoint. */
export const ofEndpoint = <
  const T extends 'counter' | 'gauge',
  const L extends readonly string[] = [],
>(
  type: T,
  help: string,
  labels?: L,
) => family(type, 'endpoint', help, labels);
