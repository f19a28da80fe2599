/**
 * Merged families as text, in the Prometheus text format 0.0.4 or in OpenMetrics 1.0. Sample lines
 * are the same in both, and stay where they stand in large files.
 */
import type { MetricType } from '../metrics/sample.js';
import { escapeHelp } from '../metrics/text.js';
import { groupOf } from './groups.js';
import { FileBytes, readStretch, type FilePart } from './file-bytes.js';
import type { MergedFamily } from './merge.js';
import type { Format, Group } from './types.js';

/** What ends every OpenMetrics document; the endpoint's own families stand before it. */
export const OPENMETRICS_END = '# EOF\n';

/** From here on a stretch of a file is left there; what is shorter is copied together. */
const LONG_BYTES = 64 << 10;

/** Bytes, or where they stand. */
export type BodyPart = Uint8Array | FilePart;

/** The families of `groups` (null: all) in a buffer of its own; without OPENMETRICS_END. */
export function renderFamilies(
  families: readonly MergedFamily[],
  format: Format,
  groups: ReadonlySet<Group> | null,
): Buffer {
  return wholeOf(renderParts(families, format, groups));
}

/** The same in parts, the bytes in buffers of their own: of hundreds of megabytes only some kilobytes. */
export function renderParts(
  families: readonly MergedFamily[],
  format: Format,
  groups: ReadonlySet<Group> | null,
): BodyPart[] {
  const names = new Set(families.map(({ name }) => name));
  const parts: BodyPart[] = [];
  let short: Uint8Array[] = [];
  const close = (): void => {
    if (short.length > 0) parts.push(join(short));
    short = [];
  };
  for (const family of families) {
    if (groups !== null && !groups.has(groupOf(family.name))) continue;
    short.push(Buffer.from(format === 'text' ? textHeader(family) : openHeader(family, names)));
    for (const { bytes, part } of family.sources) {
      for (let i = 0; i < part.ranges.length; i += 2) {
        const [start, end] = [part.ranges[i]!, part.ranges[i + 1]!];
        if (bytes instanceof FileBytes && end - start >= LONG_BYTES) {
          close();
          parts.push(bytes.part(start, end));
        } else short.push(bytes.subarray(start, end));
      }
    }
  }
  close();
  return parts;
}

/** Bytes of all parts. */
export const lengthOf = (parts: readonly BodyPart[]): number =>
  parts.reduce((sum, part) => sum + (isInFile(part) ? part.end - part.start : part.length), 0);

export const isInFile = (part: BodyPart): part is FilePart => 'file' in part;

/** All parts in new memory. */
export const wholeOf = (parts: readonly BodyPart[]): Buffer =>
  Buffer.concat(
    parts.map((part) => (isInFile(part) ? readStretch(part.file.fd, part.start, part.end) : part)),
  );

function join(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

function textHeader({ name, type, help }: MergedFamily): string {
  return `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`;
}

function openHeader(family: MergedFamily, names: ReadonlySet<string>): string {
  const { name, type } = openTitle(family, names);
  const help = escapeHelp(family.help).replaceAll('"', '\\"');
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
}

type OpenType = Exclude<MetricType, 'untyped'> | 'unknown';

/**
 * How OpenMetrics calls a family. A counter loses its `_total`; one that has none, or whose short
 * name another family has, can only be `unknown` there, as can half a histogram.
 */
function openTitle(
  { name, type, sources }: MergedFamily,
  names: ReadonlySet<string>,
): { readonly name: string; readonly type: OpenType } {
  if (type === 'untyped') return { name, type: 'unknown' };
  if (type === 'histogram' && sources.some(({ part }) => part.isIncomplete))
    return { name, type: 'unknown' };
  if (type !== 'counter') return { name, type };
  const short = name.replace(/_total$/, '');
  if (short === name || short === '' || names.has(short)) return { name, type: 'unknown' };
  return { name: short, type };
}
