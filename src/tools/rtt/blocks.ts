/**
 * Histograms of round-trip times as bcc's tcprtt titles them, or as the eunomia tutorial's program
 * writes its map. Pure.
 */
import type { RttBy, RttCounts, RttUnit } from '../../sources/rtt.js';
import { parsePrefix } from '../../sources/filter.js';
import { histogramLines } from '../../terminal/histogram.js';
import { histogramBlock, textBlock, type Block } from '../../terminal/report.js';

export interface RttForm {
  readonly by: RttBy;
  readonly unit: RttUnit;
  readonly average: boolean;
  readonly tutorial: boolean;
}

const TITLES: Readonly<Record<RttBy, string>> = {
  nothing: 'All Addresses',
  local: 'Local Address',
  peer: 'Remote Address',
};

const FIELDS: Readonly<Record<RttBy, string>> = {
  nothing: '',
  local: 'network_local_address',
  peer: 'network_peer_address',
};

const US_PER_UNIT: Readonly<Record<RttUnit, number>> = { usecs: 1, msecs: 1000 };

const AVERAGES: Readonly<Record<RttUnit, string>> = { usecs: 'average_us', msecs: 'average_ms' };

function sumIn(unit: RttUnit, { sumUs }: RttCounts): number {
  return Math.floor(sumUs / US_PER_UNIT[unit]);
}

function averageIn(unit: RttUnit, counts: RttCounts): number {
  return Math.floor(sumIn(unit, counts) / counts.count);
}

function titleOf(counts: RttCounts, { by, unit, average }: RttForm): string {
  const title = `${TITLES[by]} = ${counts.address ?? '*******'}`;
  return average ? `${title} [AVG ${averageIn(unit, counts)}]` : title;
}

function labelsOf(
  counts: RttCounts,
  { by, unit, average }: RttForm,
): Readonly<Record<string, string | number>> {
  return {
    ...(counts.address === null ? {} : { [FIELDS[by]]: counts.address }),
    ...(average ? { [AVERAGES[unit]]: averageIn(unit, counts), count: counts.count } : {}),
  };
}

/** The number that an IPv4 address is in memory; an IPv6 address is shown as it is. */
function keyOf(address: string | null): string {
  if (address === null) return '0';
  const prefix = parsePrefix(address);
  if (prefix === null || prefix.bits < 96 || address.includes(':')) return address;
  return String(new DataView(prefix.address.buffer).getUint32(12, true));
}

function tutorialLines(counts: RttCounts, { unit, average }: RttForm): readonly string[] {
  const [head = '', ...bars] = histogramLines(counts.buckets, '(unit)');
  return [
    `key =  ${keyOf(counts.address)}`,
    `latency = ${average ? sumIn(unit, counts) : 0}`,
    `cnt = ${average ? counts.count : 0}`,
    '',
    head.replace('count     ', 'count    '),
    ...bars,
    '',
  ];
}

/** A histogram of each address, the one with most segments first. */
export function rttBlocks(all: readonly RttCounts[], form: RttForm): readonly Block[] {
  const sorted = [...all].sort((a, b) => b.count - a.count);
  return sorted.flatMap((counts) => {
    const block = histogramBlock({
      title: titleOf(counts, form),
      labels: labelsOf(counts, form),
      unit: form.unit,
      counts: counts.buckets,
    });
    if (form.tutorial) return [{ ...block, table: () => tutorialLines(counts, form) }];
    return [textBlock(''), block];
  });
}
