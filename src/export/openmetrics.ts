/**
 * The table as OpenMetrics 1.0 text, family by family, that `promtool tsdb create-blocks-from
 * openmetrics` takes.
 */
import { ByteWriter } from '../metrics/bytes.js';
import { quoteLabel } from '../metrics/text.js';
import type { ExportFamily, OrderedSamples, SampleTable } from './table.js';

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
/** For the sample that fills a piece. */
const ROOM = 4096;

/** Yields the text in pieces, each a buffer of its own. */
export function* openMetrics(
  table: SampleTable,
  report: WriteReport,
): Generator<Buffer, void, undefined> {
  const ordered = table.inOrder();
  let out = new ByteWriter(CHUNK_BYTES + ROOM);
  for (const family of table.families.values()) {
    if (family.series.length === 0) continue;
    report.families++;
    writeHeader(out, family, titleOf(family, table, ordered));
    for (const series of family.series) {
      report.series++;
      const text = Buffer.from(table.texts[series]!);
      const end = ordered.starts[series + 1]!;
      for (let at = ordered.starts[series]!; at < end; at++) {
        const sample = ordered.samples[at]!;
        const next = at + 1 < end ? ordered.samples[at + 1]! : null;
        if (next !== null && isDouble(table, sample, next, report)) continue;
        writeSample(out, text, table.values[sample]!, table.times[sample]!, report);
        if (out.length < CHUNK_BYTES) continue;
        yield out.view();
        out = new ByteWriter(CHUNK_BYTES + ROOM);
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
  { name, type, series }: ExportFamily,
  table: SampleTable,
  { samples, starts }: OrderedSamples,
): FamilyTitle {
  if (type === 'counter') {
    if (name.endsWith('_total')) return { name: name.slice(0, -'_total'.length), type };
    return { name, type: 'unknown' };
  }
  if (type === 'gauge' && name.endsWith('_info')) {
    const isInfo = series.every((id) =>
      samples.subarray(starts[id], starts[id + 1]).every((i) => table.values[i] === 1),
    );
    if (isInfo) return { name: name.slice(0, -'_info'.length), type: 'info' };
  }
  return { name, type: type === null || type === 'untyped' ? 'unknown' : type };
}

function writeHeader(out: ByteWriter, { help }: ExportFamily, title: FamilyTitle): void {
  out.utf8(`# TYPE ${title.name} ${title.type}\n`);
  if (help !== null && help !== '') out.utf8(`# HELP ${title.name} ${quoteLabel(help)}\n`);
}

/** Whether `next` has the same millisecond: Prometheus keeps only one of them, we the later. */
function isDouble(table: SampleTable, sample: number, next: number, report: WriteReport): boolean {
  if (table.times[sample] !== table.times[next]) return false;
  report.doubles++;
  if (!Object.is(table.values[sample], table.values[next])) report.differing++;
  return true;
}

/**
 * Seconds with three decimals: up to the year 2038 a double multiplied by 1000 gives back the same
 * millisecond.
 */
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
