/** What a metric family is made of; the families themselves are in families.ts. */

/** The history logs, by what stands before `.log`. */
export const LOG_FILES = ['connects', 'packets', 'requests', 'err'] as const;
export type HistoryLog = (typeof LOG_FILES)[number];

/** `prom`: the state file. `endpoint`: only the HTTP endpoint. */
export type FamilyFile = 'prom' | 'endpoint' | HistoryLog;
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

/** A family whose type, labels and file the compiler knows. */
export interface Declared<
  T extends FamilyType,
  F extends FamilyFile,
  L extends readonly string[],
  O extends readonly string[],
> extends Family {
  readonly type: T;
  readonly file: F;
  readonly labels: L;
  readonly optional: O;
}

type NoLabels = readonly [];

/** Declares one; what it is called is the key it stands under. */
export function family<
  const T extends FamilyType,
  const F extends FamilyFile,
  const L extends readonly string[] = NoLabels,
  const O extends readonly string[] = NoLabels,
>(
  type: T,
  file: F,
  help: string,
  labels?: L,
  more: { optional?: O; buckets?: readonly number[] } = {},
): Declared<T, F, L, O> {
  return {
    type,
    help,
    labels: labels ?? ([] as unknown as L),
    optional: more.optional ?? ([] as unknown as O),
    buckets: more.buckets ?? [],
    file,
  };
}

/** Of the state file. */
export function counter<
  const L extends readonly string[] = NoLabels,
  const O extends readonly string[] = NoLabels,
>(help: string, labels?: L, more: { optional?: O } = {}): Declared<'counter', 'prom', L, O> {
  return family('counter', 'prom', help, labels, more);
}

/** Of the state file. */
export function gauge<
  const L extends readonly string[] = NoLabels,
  const O extends readonly string[] = NoLabels,
>(help: string, labels?: L, more: { optional?: O } = {}): Declared<'gauge', 'prom', L, O> {
  return family('gauge', 'prom', help, labels, more);
}

/** A histogram of the state file, with its bounds. */
export function timing<const L extends readonly string[] = NoLabels>(
  help: string,
  buckets: readonly number[],
  labels?: L,
): Declared<'histogram', 'prom', L, NoLabels> {
  return family('histogram', 'prom', help, labels, { buckets });
}

/** Only of the HTTP endpoint. */
export function ofEndpoint<
  const T extends 'counter' | 'gauge',
  const L extends readonly string[] = NoLabels,
>(type: T, help: string, labels?: L): Declared<T, 'endpoint', L, NoLabels> {
  return family(type, 'endpoint', help, labels);
}
