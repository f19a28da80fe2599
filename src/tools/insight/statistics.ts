/** What -T says at the end, out of the totals that the kernel side has counted. Pure. */
import type { InsightTotals } from '../../generated/insight.js';
import type { Summary } from '../../terminal/common.js';
import {
  EVENT_BITS,
  EVENT_CLASSES,
  EVENT_NAMES,
  maskOf,
  type EventName,
} from '../../sources/insight-events.js';

/** NW_RTT_BUCKETS: values up to 15 us have one each, then 16 for each doubling. */
const PER_OCTAVE = 16;

/** The values in us that a bucket holds: from `from`, less than `to`. */
export function rttBucket(index: number): { readonly from: number; readonly to: number } {
  if (index < PER_OCTAVE) return { from: index, to: index + 1 };
  const step = 2 ** (Math.floor(index / PER_OCTAVE) - 1);
  const from = (PER_OCTAVE + (index % PER_OCTAVE)) * step;
  return { from, to: from + step };
}

/** A quantile in us, interpolated within its bucket (1/16 of its lower bound wide); null of none. */
export function quantile(buckets: readonly number[], part: number): number | null {
  const count = buckets.reduce((sum, value) => sum + value, 0);
  if (count === 0) return null;
  const wanted = part * count;
  let before = 0;
  for (const [index, inside] of buckets.entries()) {
    if (inside > 0 && before + inside >= wanted) {
      const { from, to } = rttBucket(index);
      // whole numbers: the last one in it is below its end
      return from + ((to - 1 - from) * (wanted - before)) / inside;
    }
    before += inside;
  }
  return null;
}

export interface Counted {
  readonly totals: InsightTotals;
  /** Mask of the events that were watched: of others nothing is known. */
  readonly events: number;
  /** Open at the end; null: not counted. */
  readonly active: number | null;
  readonly lost: number;
}

interface Statistics {
  readonly events: Readonly<Partial<Record<EventName, number>>>;
  readonly classes: Readonly<Record<string, number | null>>;
  readonly total: number;
  readonly connections: number | null;
  readonly bytesSent: number | null;
  readonly bytesReceived: number | null;
  readonly retransmits: number | null;
  readonly rttUs: Readonly<Record<'mean' | 'p50' | 'p95' | 'p99', number | null>>;
  readonly cwnd: number | null;
  readonly active: number | null;
  readonly lost: number;
}

/** Null where none of these events was watched. */
function ifWatched<T>(watched: number, names: readonly EventName[], value: T): T | null {
  return (watched & maskOf(names)) === 0 ? null : value;
}

export function statisticsOf({ totals, events, active, lost }: Counted): Statistics {
  const countOf = (names: readonly EventName[]): number =>
    names.reduce((sum, name) => sum + (totals.events[EVENT_NAMES.indexOf(name)] ?? 0), 0);
  const watched = EVENT_NAMES.filter((name) => (events & EVENT_BITS[name]) !== 0);
  const samples = countOf(['RTT_UPDATE']);
  const mean = (sum: number): number | null => (samples === 0 ? null : sum / samples);
  const classes = Object.entries(EVENT_CLASSES).map(([name, members]) => [
    name,
    ifWatched(events, members, countOf(members)),
  ]);
  return {
    events: Object.fromEntries(watched.map((name) => [name, countOf([name])])),
    classes: Object.fromEntries(classes) as Record<string, number | null>,
    total: countOf(EVENT_NAMES),
    connections: ifWatched(events, ['CONNECT', 'ACCEPT'], countOf(['CONNECT', 'ACCEPT'])),
    bytesSent: ifWatched(events, ['SEND'], totals.bytesSent),
    bytesReceived: ifWatched(events, ['RECEIVE'], totals.bytesReceived),
    retransmits: ifWatched(events, ['RETRANSMIT'], totals.segmentsRetransmitted),
    rttUs: {
      mean: mean(totals.rttUs),
      p50: quantile(totals.rtt, 0.5),
      p95: quantile(totals.rtt, 0.95),
      p99: quantile(totals.rtt, 0.99),
    },
    cwnd: mean(totals.cwnd),
    active,
    lost,
  };
}

const text = (value: number | null, unit = ''): string =>
  value === null ? 'N/A' : `${Math.round(value * 100) / 100}${unit}`;

const line = (name: string, value: string): string => `${`${name}:`.padEnd(24)} ${value}`;

/** The statistics as tcp-insight prints them, and as one JSON object. */
export function statistics(counted: Counted): Summary {
  const found = statisticsOf(counted);
  const { rttUs } = found;
  const lines = [
    '',
    '=== TCP Insight Statistics ===',
    line('Total events', text(found.total)),
    ...Object.entries(found.classes).map(([name, value]) => line(`${name} events`, text(value))),
    ...Object.entries(found.events).map(([name, value]) => line(`  ${name}`, text(value))),
    '',
    '=== eBPF Global Statistics ===',
    line('Total eBPF events', text(found.total)),
    line('Total connections', text(found.connections)),
    line('Total bytes sent', text(found.bytesSent)),
    line('Total bytes received', text(found.bytesReceived)),
    line('Total retransmits', text(found.retransmits)),
    line('Average RTT', text(rttUs.mean, rttUs.mean === null ? '' : ' us')),
    line('RTT p50 / p95 / p99', [rttUs.p50, rttUs.p95, rttUs.p99].map((v) => text(v)).join(' / ')),
    line('Average CWND', text(found.cwnd)),
    line('Active connections', text(found.active)),
    line('Lost events', text(found.lost)),
  ];
  return { lines, json: { statistics: found } };
}
