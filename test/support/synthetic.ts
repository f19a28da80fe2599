/** Series of every family that can be scraped, as input of promtool's rule tests. */
import { familyOf, LABEL_VALUES, type SnapshotName } from '../../src/metrics/families.js';

type LabelSet = Readonly<Record<string, string>>;

/** Values that a label takes; what strangers choose is `x`, so that families go together. */
const valuesOf = (label: string): readonly string[] =>
  (LABEL_VALUES as Readonly<Record<string, readonly string[]>>)[label] ?? ['x'];

/** All combinations. error_type and optional labels may be absent: an empty label is. */
function labelSets(name: SnapshotName): LabelSet[] {
  const { labels, optional } = familyOf(name);
  // a connection has one series of this, with or without
  const isOne = name === 'netwatch_connection_info';
  const mayLack = new Set(['error_type', ...(isOne ? [] : optional)]);
  let sets: LabelSet[] = [{ job: 'netwatch', instance: 'web1' }];
  for (const label of [...labels, ...optional]) {
    const values = [...valuesOf(label), ...(mayLack.has(label) ? [''] : [])];
    sets = sets.flatMap((set) => values.map((value) => ({ ...set, [label]: value })));
  }
  return sets;
}

interface InputSeries {
  readonly series: string;
  readonly values: string;
}

const seriesOf = (name: string, labels: LabelSet, values: string): InputSeries => {
  const pairs = Object.entries(labels).filter(([, value]) => value !== '');
  const text = pairs.map(([label, value]) => `${label}="${value}"`).join(',');
  return { series: `${name}{${text}}`, values };
};

const RISING = '0+60x30';
/** So that "what is not attached" has something to show. */
const steady = (name: SnapshotName): string =>
  name === 'netwatch_bpf_program_attached' ? '0x30' : '1x30';

export function syntheticSeries(name: SnapshotName): InputSeries[] {
  const { type, buckets } = familyOf(name);
  return labelSets(name).flatMap((labels) => {
    if (type === 'gauge') return [seriesOf(name, labels, steady(name))];
    if (type === 'counter') return [seriesOf(name, labels, RISING)];
    return [
      ...[...buckets, '+Inf'].map((le) =>
        seriesOf(`${name}_bucket`, { ...labels, le: String(le) }, RISING),
      ),
      seriesOf(`${name}_sum`, labels, RISING),
      seriesOf(`${name}_count`, labels, RISING),
    ];
  });
}
