export interface Spread {
  readonly median: number;
  readonly q1: number;
  readonly q3: number;
  readonly iqr: number;
}
export function quantile(values: readonly number[], q: number): number;
export function median(values: readonly number[]): number;
export function spread(values: readonly number[]): Spread;
export function pairRatios(off: readonly number[], on: readonly number[]): number[];
