/**
 * The highest rate of packet records without a single one lost, with the log on disk. Every trial
 * also checks the books: what the kernel side let through is written or counted as lost.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { startCollector } from '../collector.mjs';
import { segments } from '../lab.mjs';
import { runLoad } from '../load.mjs';

export const ids = ['lossless'];

/** Two packets per exchange, each sent and received. */
const RECORDS_PER_EXCHANGE = 4;
const TRIAL_SECONDS = 3;
const PROOF_SECONDS = 10;
const TRIALS = 4;
const STEP_DOWN = 0.85;
const PROOFS = 3;
const SETTLE_MS = 1500;

/**
 * One run; rate 0 = as fast as it goes.
 * @param {import('../lab.mjs').Lab} lab
 * @param {number} rate records per second
 */
async function trial(lab, rate, seconds) {
  const collector = await startCollector(lab, []);
  const before = segments(lab);
  const load = await runLoad(lab, 'rr', {
    seconds,
    rate: Math.round(rate / RECORDS_PER_EXCHANGE),
  });
  await sleep(SETTLE_MS);
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

/** @typedef {Awaited<ReturnType<typeof trial>>} Trial */

/** @returns {import('../table.mjs').Row} */
function row(/** @type {Trial} */ best, /** @type {readonly Trial[]} */ all) {
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

const thousands = (/** @type {number} */ n) => Math.round(n).toLocaleString('en-US');

/** @param {import('../lab.mjs').Lab} lab */
export async function measure(lab) {
  const all = [await trial(lab, 0, TRIAL_SECONDS)];
  let target = 0;
  if (all[0].lost > 0) {
    let [low, high] = [0, all[0].rate];
    for (let i = 0; i < TRIALS; i++) {
      const result = await trial(lab, (low + high) / 2, TRIAL_SECONDS);
      all.push(result);
      if (result.lost === 0) low = result.rate;
      else high = (low + high) / 2;
    }
    target = low;
    if (target === 0) return [row(all[all.length - 1], all)];
  }
  for (let i = 0; i < PROOFS; i++) {
    const proof = await trial(lab, target, PROOF_SECONDS);
    all.push(proof);
    if (proof.lost === 0) return [row(proof, all)];
    target = proof.rate * STEP_DOWN;
  }
  return [row(all[all.length - 1], all)];
}
