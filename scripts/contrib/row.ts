/**
 * A row of the dashboard: panels made by hand, then those of every family that belongs here and that
 * none of them shows. A new family thus has its panel without anybody adding it.
 */
import type { SnapshotName } from '../../src/metrics/families.js';
import { expressionsOf, familyPanels, scalarPanel, type Panel } from './panel.js';

export interface Row {
  readonly title: string;
  /** Families that belong here, unless a row before takes them. */
  readonly claims: RegExp;
  readonly collapsed: boolean;
  readonly panels: readonly Panel[];
  /** How a counter or gauge is shown. */
  readonly scalar?: (name: SnapshotName) => Panel;
}

export interface FilledRow {
  readonly title: string;
  readonly collapsed: boolean;
  readonly panels: readonly Panel[];
}

const mentions = (panels: readonly Panel[], name: string): boolean => {
  const whole = new RegExp(`(?<![a-z0-9_:])${name}(_bucket|_sum|_count)?(?![a-z0-9_:])`);
  return panels.flatMap(expressionsOf).some((expr) => whole.test(expr));
};

/** Gives each family to the first row that claims it. */
export function fillRows(rows: readonly Row[], families: readonly SnapshotName[]): FilledRow[] {
  const owner = (name: string): Row | undefined => rows.find(({ claims }) => claims.test(name));
  return rows.map((row) => {
    const missing = families.filter((name) => owner(name) === row && !mentions(row.panels, name));
    const added = missing.flatMap((name) => familyPanels(name, row.scalar ?? scalarPanel));
    return { title: row.title, collapsed: row.collapsed, panels: [...row.panels, ...added] };
  });
}
