/**
 * What the traffic itself loses: the same stream with the programs attached and without, in turns of
 * a fraction of a second.
 *
 * A turn: without, default options, without, `-x -r -t -i -e`. The second `without`, against the
 * first of this turn and of the next, is the control: if the machine makes those differ, nothing is
 * judged.
 */
import { closeSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { nextWaitMs } from '../../../src/sources/pace.js';
import { openCgroupRoot } from '../../../src/kernel/host.js';
import type { RowId } from '../bar.js';
import { EVERYTHING } from '../collector.js';
import type { Lab, Sizes } from '../lab.js';
import { startLoad } from '../load.js';
import type { RowModule } from '../row-module.js';
import { median, pairRatios, spread } from '../statistics.js';
import { openSwitchable, type Switchable } from '../switchable.js';
import type { Row } from '../table.js';

interface TurnSize {
  readonly turns: number;
  readonly warmUpMs: number;
  readonly segmentMs: number;
}

const SIZES: Sizes<TurnSize> = {
  full: { turns: 15, warmUpMs: 1000, segmentMs: 400 },
  smoke: { turns: 1, warmUpMs: 0, segmentMs: 100 },
};
/** After a switch: the kernel patches its tracepoints, the load finds its pace. */
const SETTLE_MS = 40;
/** Far more than it takes; the load is stopped when we are done. */
const MOST_SECONDS = 300;
const CONTROL = { low: 0.97, high: 1.03 };

interface Kind {
  readonly load: 'rr' | 'bulk';
  readonly plain: RowId;
  readonly all: RowId;
  readonly unit: string;
  /** From the load's counter per ms. */
  readonly scale: number;
}

const KINDS: readonly Kind[] = [
  { load: 'rr', plain: 'rr-default', all: 'rr-all', unit: 'round trips/s', scale: 1000 },
  { load: 'bulk', plain: 'bulk-default', all: 'bulk-all', unit: 'GB/s', scale: 1e-6 },
];

/** One set of options. */
interface Side {
  readonly set: Switchable;
  /** Speeds with it. */
  readonly on: number[];
  /** Speeds without, right after. */
  readonly after: number[];
  /** Let through while it was measured. */
  records: number;
  lost: number;
}

const sideOf = (set: Switchable): Side => ({ set, on: [], after: [], records: 0, lost: 0 });

/** Counts per ms over one segment. */
type Segment = () => Promise<number>;

/** One segment with, one without. */
async function switchOnce(side: Side, cgroupFd: number, segment: Segment): Promise<void> {
  side.set.attach(cgroupFd);
  await sleep(SETTLE_MS);
  const before = side.set.counts();
  side.on.push(await segment());
  const { accepted, lost } = side.set.counts();
  side.records += accepted - before.accepted;
  side.lost += lost - before.lost;
  side.set.detach();
  await sleep(SETTLE_MS);
  side.after.push(await segment());
}

/** Drains at the collector's pace until the returned function is called. */
function drainPaced(sets: readonly Switchable[]): () => void {
  const fill = (): number => Math.max(...sets.map((set) => set.fill()));
  let timer: NodeJS.Timeout;
  const next = (waitMs: number): void => {
    timer = setTimeout(() => {
      const before = fill();
      for (const set of sets) set.drain();
      next(nextWaitMs(waitMs, before, fill()));
    }, waitMs);
  };
  next(0);
  return () => clearTimeout(timer);
}

interface Turns {
  /** Speed before the first switch. */
  readonly first: number;
  readonly plain: Side;
  readonly all: Side;
}

async function takeTurns(
  lab: Lab,
  kind: Kind,
  sets: readonly [Switchable, Switchable],
): Promise<Turns> {
  const { turns, warmUpMs, segmentMs } = lab.size(SIZES);
  const cgroupFd = openCgroupRoot();
  const load = await startLoad(lab, kind.load, { seconds: MOST_SECONDS });
  const segment: Segment = async () => {
    const [count, at] = [load.counter(), performance.now()];
    await sleep(segmentMs);
    return (load.counter() - count) / (performance.now() - at);
  };
  const stopDraining = drainPaced(sets);
  const [plain, all] = [sideOf(sets[0]), sideOf(sets[1])];
  await sleep(warmUpMs);
  const first = await segment();
  for (let turn = 0; turn < turns; turn++)
    for (const side of [plain, all]) await switchOnce(side, cgroupFd, segment);
  stopDraining();
  closeSync(cgroupFd);
  await load.stop();
  if (plain.records === 0 || all.records === 0) throw new Error('the programs saw no packet');
  return { first, plain, all };
}

const tenths = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1 });

function rowsOf(kind: Kind, { first, plain, all }: Turns): Row[] {
  // without[0], plain, middle[0], all, without[1], plain, middle[1], …
  const without = [first, ...all.after];
  const middle = plain.after;
  const control = spread(pairRatios(without, middle)).median;
  const isNoisy = control < CONTROL.low || control > CONTROL.high;
  const speed = tenths.format(spread([...without, ...middle]).median * kind.scale);
  const row = (id: RowId, { on, records, lost }: Side, beside: readonly number[][]): Row => {
    const mean = (i: number): number => median(beside.map((one) => one[i] ?? NaN)); // of two
    const { median: value, q1, q3 } = spread(on.map((speed, i) => speed / mean(i)));
    const losses = lost > 0 ? `; ${lost} of ${records} records lost` : '';
    return {
      id,
      value,
      detail: `middle half ${q1.toFixed(3)}–${q3.toFixed(3)} of ${on.length} pairs; control ${control.toFixed(3)}; without ${speed} ${kind.unit}${losses}`,
      ...(isNoisy && {
        refused: `without against without is ${control.toFixed(3)}: the machine is not quiet`,
      }),
    };
  };
  return [
    row(kind.plain, plain, [without, middle]),
    row(kind.all, all, [middle, without.slice(1)]),
  ];
}

export const rows: RowModule = {
  ids: KINDS.flatMap(({ plain, all }) => [plain, all]),
  measure: async (lab, wanted) => {
    const sets = [openSwitchable(lab, []), openSwitchable(lab, EVERYTHING)] as const;
    const measured: Row[] = [];
    for (const kind of KINDS)
      if (wanted.has(kind.plain) || wanted.has(kind.all))
        measured.push(...rowsOf(kind, await takeTurns(lab, kind, sets)));
    return measured;
  },
};
