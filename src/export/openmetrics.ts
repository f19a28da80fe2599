/** The table as OpenMetrics 1.0 text, family by family, that `promtool tsdb create-blocks-from openmetrics` takes. */
import { ByteWriter } from '../metrics/bytes.js';
import { quoteLabel } from '../metrics/text.js';
import type { ExportFamily, SampleTable } from './table.js';

export interface WriteReport {
  samples: number;
  series: number;
  families: number;
  /** Samples of a series in a millisecond that has another: the last one read is kept. */
  doubles: number;
  /** Those of them whose value was another. */
  differing: number;
  firstMs: number;
  lastMs: number;
}

/** How OpenMetrics calls a family: a counter loses its `_total`, an info its `_info`. */
interface FamilyTitle {
  readonly name: string;
  readonly type: string;
}

const CHUNK_BYTES = 256 * 1024;

/** Yields the text in pieces, each a buffer of its own. */
export function* openMetrics(
  table: SampleTable,
  report: WriteReport,
): Generator<Buffer, void, undefined> {
  const groups = table.bySeries();
  let out = new ByteWriter(CHUNK_BYTES + 4096);
  for (const family of table.families.values()) {
    const series = family.series.filter((id) => groups[id]!.length > 0);
    if (series.length === 0) continue;
    report.families++;
    writeHeader(out, family, titleOf(family, table, groups, series));
    for (const id of series) {
      report.series++;
      const text = Buffer.from(table.texts[id]!);
      const group = groups[id]!;
      for (let i = 0; i < group.length; i++) {
        if (!isLastOfItsTime(table, group, i, report)) continue;
        writeSample(out, text, table.values[group[i]!]!, table.times[group[i]!]!, report);
        if (out.length < CHUNK_BYTES) continue;
        yield out.view();
        out = new ByteWriter(CHUNK_BYTES + 4096);
      }
    }
  }
  out.ascii('# EOF\n');
  yield out.view();
}

export function emptyWriteReport(): WriteReport {
  return {
    samples: 0,
    series: 0,
    families: 0,
    doubles: 0,
    differing: 0,
    firstMs: Infinity,
    lastMs: -Infinity,
  };
}

function titleOf(
  { name, type }: ExportFamily,
  table: SampleTable,
  groups: readonly Int32Array[],
  series: readonly number[],
): FamilyTitle {
  if (type === 'counter') {
    if (name.endsWith('_total')) return { name: name.slice(0, -'_total'.length), type };
    return { name, type: 'unknown' };
  }
  if (type === 'gauge' && name.endsWith('_info')) {
    const isInfo = series.every((id) => groups[id]!.every((i) => table.values[i] === 1));
    if (isInfo) return { name: name.slice(0, -'_info'.length), type: 'info' };
  }
  return { name, type: type === null || type === 'untyped' ? 'unknown' : type };
}

function writeHeader(out: ByteWriter, { help }: ExportFamily, title: FamilyTitle): void {
  out.utf8(`# TYPE ${title.name} ${title.type}\n`);
  if (help !== null && help !== '') out.utf8(`# HELP ${title.name} ${quoteLabel(help)}\n`);
}

/** False for a sample that another one of the same millisecond follows: Prometheus keeps only one. */
function isLastOfItsTime(
  table: SampleTable,
  group: Int32Array,
  i: number,
  report: WriteReport,
): boolean {
  if (i + 1 === group.length) return true;
  const [here, next] = [group[i]!, group[i + 1]!];
  if (table.times[here] !== table.times[next]) return true;
  report.doubles++;
  if (!Object.is(table.values[here], table.values[next])) report.differing++;
  return false;
}

/** Seconds with three decimals: up to the year 2038 a double multiplied by 1000 gives back the same millisecond. */
function writeSample(
  out: ByteWriter,
  text: Buffer,
  value: number,
  timeMs: number,
  report: WriteReport,
): void {
  out.bytes(text);
  out.byte(0x20);
  out.number(value);
  out.byte(0x20);
  out.fixed(timeMs, 3);
  out.byte(0x0a);
  report.samples++;
  if (timeMs < report.firstMs) report.firstMs = timeMs;
  if (timeMs > report.lastMs) report.lastMs = timeMs;
}
