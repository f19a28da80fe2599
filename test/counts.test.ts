/**
 * What several programs count or take at once, compiled natively from the headers in bpf/include; and
 * the same counts made by the reader. STEPS says how many steps the races have.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { decodeLayerTotals, LAYER_TOTALS, PACKET } from '../src/generated/packet.js';
import { familyOf, type HistogramName } from '../src/metrics/families.js';
import {
  fineSlotSeconds,
  foldFine,
  foldLog2,
  LONG_SLOTS,
  NANOSECOND,
  sortInto,
} from '../src/metrics/histogram.js';
import { LayerCounts } from '../src/sources/layer-counts.js';
import { temporaryFolder } from './support/collector.js';
import { compile } from './support/compile.js';

const { STEPS = '8000000' } = process.env;

const build = (folder: string): string | null =>
  compile(join(import.meta.dirname, folder, 'race.c'), temporaryFolder(t), ['-pthread']);
const works = build('http-works');
const histogram = build('histogram');
const skip = works === null && 'no C compiler (cc or clang) on this machine';

t.test('an HTTP work has one owner at a time, whoever interrupts whom', { skip }, (t) => {
  const { status, stdout } = spawnSync(works ?? '', [STEPS], { encoding: 'utf8' });
  t.match(stdout, new RegExp(`^steps ${STEPS} interrupts [1-9]\\d* .* wrong 0\n$`));
  t.equal(status, 0);
  t.comment(stdout.trim());
  t.end();
});

t.test('a histogram counts everything once, whoever interrupts whom', { skip }, (t) => {
  const { status, stdout } = spawnSync(histogram ?? '', ['count', STEPS], { encoding: 'utf8' });
  t.match(stdout, new RegExp(`^steps ${STEPS} interrupts [1-9]\\d* wrong 0\n$`));
  t.equal(status, 0);
  t.comment(stdout.trim());
  t.end();
});

interface FakePacket {
  readonly rx: boolean;
  readonly family: number;
  readonly payloadBytes: number;
  /** MAC, IP, TCP; null: not known. */
  readonly ns: readonly [bigint | null, bigint | null, bigint | null];
  readonly reorderNs?: bigint;
  readonly marks?: number;
}

/** A record's bytes, as far as its times need them. */
function recordOf({ rx, family, payloadBytes, ns, reorderNs, marks = 0 }: FakePacket): DataView {
  const view = new DataView(new ArrayBuffer(PACKET.size));
  const { at } = PACKET;
  view.setUint8(at.rx, rx ? 1 : 0);
  view.setUint16(at.family, family, true);
  view.setUint32(at.payloadBytes, payloadBytes, true);
  view.setUint8(at.marks, marks);
  for (const [i, field] of [at.macNs, at.ipNs, at.tcpNs].entries())
    view.setBigUint64(field, ns[i] ?? 0xffff_ffff_ffff_ffffn, true);
  view.setBigUint64(at.reorderNs, reorderNs ?? 0xffff_ffff_ffff_ffffn, true);
  return view;
}

/** Adds packets to totals of the kernel in which each word is `before`. */
function totalsOf(packets: readonly FakePacket[], before = 0n) {
  const counts = new LayerCounts();
  for (const packet of packets) counts.add(recordOf(packet), 0);
  const words = new BigUint64Array(LAYER_TOTALS.size / 8).fill(before);
  counts.addTo(new DataView(words.buffer));
  return decodeLayerTotals(new DataView(words.buffer), 0);
}

/** The bucket that the kernel side puts each duration into, and the sum of all in nanoseconds. */
function kernelBuckets(kind: 'wide' | 'fine' | 'short' | 'long', durations: readonly number[]) {
  const input = `${durations.join('\n')}\n`;
  const { stdout } = spawnSync(histogram ?? '', [kind], { encoding: 'utf8', input });
  const found = stdout.trim().split('\n').map(Number);
  return { sumNs: found.pop(), found };
}

/** Whole numbers of nanoseconds, which seconds in binary are not. */
const inNs = (bounds: readonly number[]): number[] =>
  bounds.map((seconds) => Math.round(seconds / NANOSECOND));

/** Where bounds in seconds lie, in a unit of which they are whole numbers, and one to each side. */
const around = (bounds: readonly number[], unit: number): number[] => {
  const edges = bounds.map((seconds) => Math.round(seconds / unit));
  return [...new Set([0, 1, ...edges.flatMap((edge) => [edge - 1, edge, edge + 1])])];
};

t.test('the reader puts a duration into the bucket that the kernel puts it into', { skip }, (t) => {
  const { buckets: bounds } = familyOf('netwatch_packet_layer_duration_seconds');
  const durations = [...around(bounds, NANOSECOND), 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 53 - 1];
  const found = durations.map((ns) => {
    const packet = { rx: true, family: 2, payloadBytes: 1, ns: [BigInt(ns), null, null] } as const;
    const { buckets = [], sumNs } = totalsOf([packet]).duration[0]?.[0]?.[0] ?? {};
    return buckets.indexOf(1) + (sumNs === ns ? 0 : NaN);
  });
  t.strictSame(found, kernelBuckets('short', durations).found);
  t.strictSame(
    found,
    durations.map((ns) => sortInto(inNs(bounds), [ns]).indexOf(1)),
  );
  t.equal(new Set(found).size, bounds.length + 1, 'all buckets are met');
  t.end();
});

t.test('times of connections count in the bucket that the bounds say', { skip }, (t) => {
  const of = (
    kind: 'wide' | 'long',
    family: HistogramName,
    fold: (slots: number[], bounds: readonly number[]) => number[],
  ): void => {
    const { buckets: bounds } = familyOf(family);
    const durations = [...around(bounds, NANOSECOND), 2 ** 50];
    const { found, sumNs } = kernelBuckets(kind, durations);
    t.equal(
      BigInt(sumNs ?? 0),
      durations.reduce((sum, ns) => sum + BigInt(ns), 0n),
      family,
    );
    const folded = found.map((slot) => {
      const slots = new Array<number>(kind === 'wide' ? 40 : 258).fill(0);
      slots[slot] = 1;
      return fold(slots, bounds).indexOf(1);
    });
    const wanted = durations.map((ns) => sortInto(inNs(bounds), [ns]).indexOf(1));
    t.strictSame(folded, wanted, family);
    t.equal(new Set(folded).size, bounds.length + 1, 'all buckets are met');
  };
  const long = (slots: number[], bounds: readonly number[]): number[] =>
    foldFine(slots, bounds, LONG_SLOTS);
  of('long', 'netwatch_tcp_handshake_duration_seconds', long);
  of('long', 'netwatch_tcp_connection_duration_seconds', long);
  of('wide', 'netwatch_tcp_state_duration_seconds', (slots, bounds) => foldLog2(slots, bounds));
  t.end();
});

t.test('bounds of times from which quantiles are read lie at most 10 % apart', (t) => {
  for (const name of [
    'netwatch_packet_layer_duration_seconds',
    'netwatch_tcp_handshake_duration_seconds',
    'netwatch_tcp_connection_duration_seconds',
    'netwatch_http_request_duration_seconds',
  ] as const) {
    const { buckets } = familyOf(name);
    for (const [i, bound] of buckets.slice(1).entries())
      t.ok(1 - buckets[i]! / bound < 0.1, `${name} ${bound}`);
  }
  t.end();
});

t.test('a round trip counts in the narrow bucket that its bounds say', { skip }, (t) => {
  const last = 2 ** 24;
  const edges = fineSlotSeconds(0, 24).map((seconds) => Math.round(seconds * 1e6));
  const times = [...new Set([0, ...edges.flatMap((us) => [us, us + 1]), 2 ** 29])];
  const { found, sumNs } = kernelBuckets('fine', times);
  t.equal(sumNs, times.reduce((sum, us) => sum + us, 0) * 1000);
  const bound = (us: number): number =>
    us > last ? 193 : us < 1 ? 0 : Math.ceil(8 * Math.log2(us) - 1e-9);
  t.strictSame(found, times.map(bound));
  t.equal(new Set(found).size, edges.length + 1, 'every bucket is met, and what lies above');
  const widths = edges.slice(1).map((us, i) => us / (edges[i]! + 1));
  t.ok(Math.max(...widths) < 2 ** (1 / 8), 'from its first microsecond to its last: 9 %');
  t.end();
});

t.test('a packet counts once in each layer, by direction and family, beside lost ones', (t) => {
  const { duration, notMeasured } = totalsOf(
    [
      { rx: true, family: 2, payloadBytes: 1, ns: [125n, 126n, 1000n], reorderNs: 0n },
      { rx: true, family: 10, payloadBytes: 1, ns: [125n, 126n, 1000n], reorderNs: 251n },
      // sent before
      { rx: false, family: 2, payloadBytes: 1, ns: [125n, null, 1000n], marks: 1 },
      { rx: true, family: 10, payloadBytes: 0, ns: [250n, null, 1n] },
      { rx: false, family: 10, payloadBytes: 7, ns: [null, 0n, null] },
      { rx: false, family: 2, payloadBytes: 0, ns: [null, 5_000_000_000n, null] },
    ],
    1n,
  );
  const word = (direction: number, layer: number, type: number): Record<number, number> => {
    const { buckets = [], sumNs = NaN } = duration[direction]?.[layer]?.[type] ?? {};
    const more = [...buckets, sumNs].map((count, i) => [i, count - 1] as const);
    return Object.fromEntries(more.filter(([, count]) => count !== 0));
  };
  /** After the buckets. */
  const SUM = 146;
  const all = [0, 1].map((d) => [0, 1, 2, 3].map((l) => [0, 1].map((type) => word(d, l, type))));
  t.strictSame(all, [
    [
      [
        { 8: 1, [SUM]: 125 },
        { 8: 1, 16: 1, [SUM]: 375 },
      ],
      [
        { 8: 1, [SUM]: 126 },
        { 8: 1, [SUM]: 126 },
      ],
      [
        { 32: 1, [SUM]: 1000 },
        { 32: 1, [SUM]: 1000 },
      ],
      // those that waited for an earlier segment
      [{}, { 16: 1, [SUM]: 251 }],
    ],
    [
      [{}, {}],
      [{ 145: 1, [SUM]: 5_000_000_000 }, { 0: 1 }],
      [{}, {}],
      [{}, {}],
    ],
  ]);
  t.strictSame(notMeasured, [
    [1, 2, 1, 1],
    [3, 1, 2, 1],
  ]);
  t.end();
});
