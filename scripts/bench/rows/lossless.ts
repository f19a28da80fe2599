/**
 * The highest rate of packet records without a single one lost, with the log on disk. Every trial
 * also checks the books: what the kernel side let through is written or counted as lost.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { startCollector } from '../collector.js';
import { segments, type Lab, type Sizes } from '../lab.js';
import { runLoad } from '../load.js';
import type { RowModule } from '../row-module.js';
import type { Row } from '../table.js';

/** Two packets per exchange, each sent and received. */
const RECORDS_PER_EXCHANGE = 4;

interface LosslessSize {
  readonly trialSeconds: number;
  readonly proofSeconds: number;
  readonly trials: number;
  readonly proofs: number;
  readonly settleMs: number;
}

const SIZES: Sizes<LosslessSize> = {
  full: { trialSeconds: 3, proofSeconds: 10, trials: 4, proofs: 3, settleMs: 1500 },
  smoke: { trialSeconds: 1, proofSeconds: 1, trials: 1, proofs: 1, settleMs: 500 },
};
const STEP_DOWN = 0.85;

/** One run. */
interface Trial {
  /** Records per second that the load made. */
  readonly rate: number;
  readonly packets: number;
  readonly written: number;
  readonly lost: number;
  readonly lostInRing: number;
  readonly lostInFile: number;
  readonly balanced: boolean;
}

/** @param rate records per second; 0 = as fast as it goes */
async function trial(lab: Lab, rate: number, seconds: number): Promise<Trial> {
  const collector = await startCollector(lab, []);
  const before = segments(lab);
  const load = await runLoad(lab, 'rr', {
    seconds,
    rate: Math.round(rate / RECORDS_PER_EXCHANGE),
  });
  await sleep(lab.size(SIZES).settleMs);
  const packets = segments(lab) - before;
  const { accepted, written, lostInRing, lostInFile } = await collector.stop();
  return {
    rate: (load.count * RECORDS_PER_EXCHANGE) / load.seconds,
    packets,
    written,
    lost: lostInRing + lostInFile,
    lostInRing,
    lostInFile,
    balanced: accepted === written + lostInFile && packets === accepted + lostInRing,
  };
}

const thousands = (n: number): string => Math.round(n).toLocaleString('en-US');

function row(best: Trial, all: readonly Trial[]): Row {
  const wrong = all.filter(({ balanced }) => !balanced);
  const losses = all
    .filter(({ lost }) => lost > 0)
    .map((t) => `${thousands(t.rate)}/s: ${t.lostInRing} in the ring, ${t.lostInFile} at the file`);
  const books =
    wrong.length === 0
      ? 'sent = written + lost in every run'
      : `BOOKS WRONG in ${wrong.length} of ${all.length} runs: ${wrong.map((t) => `sent ${t.packets}, written ${t.written}, lost ${t.lost}`).join('; ')}`;
  const parts = [
    `${best.written.toLocaleString('en-US')} written, ${best.lost} lost`,
    books,
    losses.length === 0 ? 'the generator goes no faster' : `lost at ${losses.join('; ')}`,
  ];
  return { id: 'lossless', value: best.lost === 0 ? best.rate : 0, detail: parts.join('; ') };
}

/** Between no load and one that loses: the highest rate found that does not; 0 if there is none. */
async function search(lab: Lab, all: Trial[], tooFast: number): Promise<number> {
  const { trials, trialSeconds } = lab.size(SIZES);
  let [low, high] = [0, tooFast];
  for (let i = 0; i < trials; i++) {
    const result = await trial(lab, (low + high) / 2, trialSeconds);
    all.push(result);
    if (result.lost === 0) low = result.rate;
    else high = (low + high) / 2;
  }
  return low;
}

async function measureRate(lab: Lab): Promise<Row> {
  const { trialSeconds, proofs, proofSeconds } = lab.size(SIZES);
  let last = await trial(lab, 0, trialSeconds);
  const all = [last];
  let target = last.lost === 0 ? 0 : await search(lab, all, last.rate);
  if (target === 0 && last.lost > 0) return row(all.at(-1) ?? last, all);
  for (let i = 0; i < proofs; i++) {
    last = await trial(lab, target, proofSeconds);
    all.push(last);
    if (last.lost === 0) break;
    target = last.rate * STEP_DOWN;
  }
  return row(last, all);
}

export const rows: RowModule = {
  ids: ['lossless'],
  measure: async (lab) => [await measureRate(lab)],
};
