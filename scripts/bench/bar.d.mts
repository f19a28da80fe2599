export interface Bar {
  readonly title: string;
  readonly unit: string;
  readonly limits?: readonly [excellent: number, good: number, fails: number];
  readonly more?: boolean;
}
export const BARS: Readonly<Record<string, Bar>>;
export type Grade = 'excellent' | 'good' | 'fair' | 'fails' | '';
export function grade(id: string, value: number | null): Grade;
