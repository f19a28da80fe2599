/**
 * Lines of one family look alike: the same name, the same labels in the same order. Such a shape is
 * compiled to a regular expression once, which then checks a whole line in 0.1 us; the strict
 * parser takes 5 us. A shape matches only what every consumer accepts, spelled as everybody spells
 * it (`name{a="x",b="y"} 1`); any other line is for the strict parser.
 */
import type { MetricType, Sample } from '../metrics/sample.js';

/** What a line of the shape is to its family. */
export type Part = 'plain' | 'bucket' | 'sum' | 'count';

export interface Shape {
  readonly name: string;
  /** Names of its labels, sorted: equal for shapes that could spell the same series. */
  readonly sortedLabels: string;
  readonly part: Part;
  /**
   * Sticky; the line with its newline. Of a part of a histogram it captures: labels before `le`,
   * `le`, labels after it, the value. Reads text in which each byte is one character.
   */
  readonly pattern: RegExp;
}

/** Not empty (that would be an absent label), without a NUL, and with no escape but the three. */
const VALUE = String.raw`"(?!")[^"\\\n\0]*(?:\\["\\n][^"\\\n\0]*)*"`;
/** So few digits that it cannot overflow, which the format forbids. */
const UNSIGNED = String.raw`(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d\d?)?`;
const NUMBER = `(?:[+-]?${UNSIGNED}|NaN|[+-]?Inf)`;
const POSITIVE = String.raw`\+?(?:${UNSIGNED}|Inf)`;

/**
 * Beyond this V8 may refuse to compile a pattern, and thousands of compiled ones are many megabytes;
 * ninety labels fit.
 */
const MOST_PATTERN_CHARS = 4096;

/** The shape of a sample of a family of `type`, or null if it has none that is beyond doubt. */
export function shapeOf(sample: Sample, family: string, type: MetricType | null): Shape | null {
  const { name } = sample;
  const labels = sample.labels.map(([label]) => label);
  const part = type === 'histogram' ? partOf(name, family) : 'plain';
  const isBucket = part === 'bucket';
  if (part === null || labels.includes('le') !== isBucket) return null;
  const number = type === 'counter' ? POSITIVE : NUMBER;
  const pattern =
    part === 'plain'
      ? `${name}${braces(labels.map(labelPattern).join(','))} ${number}\n`
      : `${name}${histogramLabels(labels)} (${number})\n`;
  if (pattern.length > MOST_PATTERN_CHARS) return null;
  return {
    name,
    sortedLabels: labels.toSorted().join(),
    part,
    pattern: new RegExp(pattern, 'y'),
  };
}

function partOf(name: string, family: string): Part | null {
  const suffix = name.slice(family.length);
  if (suffix === '_bucket') return 'bucket';
  if (suffix === '_sum') return 'sum';
  return suffix === '_count' ? 'count' : null;
}

function labelPattern(label: string): string {
  return `${label}=${VALUE}`;
}

function braces(labels: string): string {
  return labels === '' ? '' : String.raw`\{${labels}\}`;
}

/** In any case three groups: the labels before `le`, the value of `le`, the labels after it. */
function histogramLabels(labels: readonly string[]): string {
  if (labels.length === 0) return '()()()';
  const at = labels.indexOf('le');
  if (at < 0) return braces(`(${labels.map(labelPattern).join(',')})()()`);
  const before = labels.slice(0, at).map(labelPattern).join(',');
  const after = labels
    .slice(at + 1)
    .map(labelPattern)
    .join(',');
  const [left, right] = [before === '' ? '' : ',', after === '' ? '' : ','];
  return braces(String.raw`(${before})${left}le="([^"\\\n\0]+)"${right}(${after})`);
}
