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
import { nextWaitMs } from '../../../build/sources/pace.js';
import { openCgroupRoot } from '../../../build/kernel/host.js';
import { startLoad } from '../load.mjs';
import { pairRatios, spread } from '../statistics.mjs';
import { openSwitchable } from '../switchable.mjs';

export const ids = ['rr-default', 'rr-all', 'bulk-default', 'bulk-all'];

const TURNS = 15;
const WARM_UP_MS = 1000;
/** After a switch: the kernel patches its tracepoints, the load finds its pace. */
const SETTLE_MS = 40;
const SEGMENT_MS = 400;
/** Far more than it takes; the load is stopped when we are done. */
const MOST_SECONDS = 300;
const CONTROL = [0.97, 1.03];

/** Counts per ms over one segment. */
async function segment(/** @type {() => number} */ counter) {
  const [count, at] = [counter(), performance.now()];
  await sleep(SEGMENT_MS);
  return (counter() - count) / (performance.now() - at);
}

/**
 * @typedef {object} Side one set of options
 * @property {import('../switchable.mjs').Switchable} set
 * @property {number[]} on speeds with it
 * @property {number[]} after speeds without, right after
 * @property {number} records let through while it was measured
 * @property {number} lost
 */

/** One segment with, one without. */
async function switchOnce(
  /** @type {Side} */ side,
  /** @type {number} */ cgroup,
  /** @type {() => number} */ counter,
) {
  side.set.attach(cgroup);
  await sleep(SETTLE_MS);
  const before = side.set.counts();
  side.on.push(await segment(counter));
  const { accepted, lost } = side.set.counts();
  side.records += accepted - before.accepted;
  side.lost += lost - before.lost;
  side.set.detach();
  await sleep(SETTLE_MS);
  side.after.push(await segment(counter));
}

/** Drains at the collector's pace until the returned function is called. */
function drainPaced(/** @type {readonly import('../switchable.mjs').Switchable[]} */ sets) {
  const fill = () => Math.max(...sets.map((set) => set.fill()));
  /** @type {NodeJS.Timeout} */
  let timer;
  const next = (/** @type {number} */ waitMs) => {
    timer = setTimeout(() => {
      const before = fill();
      for (const { drain } of sets) drain();
      next(nextWaitMs(waitMs, before, fill()));
    }, waitMs);
  };
  next(0);
  return () => clearTimeout(timer);
}

/**
 * @param {import('../lab.mjs').Lab} lab
 * @param {'rr' | 'bulk'} kind
 * @param {readonly import('../switchable.mjs').Switchable[]} sets
 */
async function turns(lab, kind, sets) {
  const cgroup = openCgroupRoot();
  const load = await startLoad(lab, kind, { seconds: MOST_SECONDS });
  const stopDraining = drainPaced(sets);
  /** @type {Side[]} */
  const sides = sets.map((set) => ({ set, on: [], after: [], records: 0, lost: 0 }));
  await sleep(WARM_UP_MS);
  const first = await segment(load.counter);
  for (let turn = 0; turn < TURNS; turn++)
    for (const side of sides) await switchOnce(side, cgroup, load.counter);
  stopDraining();
  closeSync(cgroup);
  await load.stop();
  if (sides.some(({ records }) => records === 0)) throw new Error('the programs saw no packet');
  return { first, sides };
}

const UNITS = { rr: ['round trips/s', 1000], bulk: ['GB/s', 1e-6] };
const tenths = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1 });

/**
 * @param {'rr' | 'bulk'} kind
 * @param {Awaited<ReturnType<typeof turns>>} result
 * @returns {import('../table.mjs').Row[]}
 */
function rowsOf(kind, { first, sides: [plain, all] }) {
  // without[0], plain, middle[0], all, without[1], plain, middle[1], …
  const without = [first, ...all.after];
  const middle = plain.after;
  const control = spread(pairRatios(without, middle)).median;
  const [low, high] = CONTROL;
  const noisy = control < low || control > high;
  const [unit, scale] = UNITS[kind];
  const speed = tenths.format(spread([...without, ...middle]).median * scale);
  const row = (
    /** @type {string} */ id,
    /** @type {Side} */ { on, records, lost },
    /** @type {(i: number) => number} */ beside,
  ) => {
    const { median, q1, q3 } = spread(on.map((value, i) => value / beside(i)));
    const losses = lost > 0 ? `; ${lost} of ${records} records lost` : '';
    return {
      id,
      value: median,
      detail: `middle half ${q1.toFixed(3)}–${q3.toFixed(3)} of ${on.length} pairs; control ${control.toFixed(3)}; without ${speed} ${unit}${losses}`,
      ...(noisy && {
        refused: `without against without is ${control.toFixed(3)}: the machine is not quiet`,
      }),
    };
  };
  return [
    row(`${kind}-default`, plain, (i) => (without[i] + middle[i]) / 2),
    row(`${kind}-all`, all, (i) => (middle[i] + without[i + 1]) / 2),
  ];
}

/** @param {import('../lab.mjs').Lab} lab @param {ReadonlySet<string>} wanted */
export async function measure(lab, wanted) {
  const sets = [openSwitchable(lab, false), openSwitchable(lab, true)];
  const rows = [];
  for (const kind of /** @type {const} */ (['rr', 'bulk']))
    if (wanted.has(`${kind}-default`) || wanted.has(`${kind}-all`))
      rows.push(...rowsOf(kind, await turns(lab, kind, sets)));
  return rows;
}
