/**
 * What netwatch takes when nothing happens, and how often it wakes at 10,000 records a second. With
 * the options of `make run`.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { EVERYTHING, startCollector } from '../collector.mjs';
import { segments } from '../lab.mjs';
import { runLoad } from '../load.mjs';
import { cpuNs, cpuShare, peakRssMb, rssMb, statusField } from '../process.mjs';

export const ids = ['idle-cpu', 'rss-idle', 'wakeups', 'cpu-10k'];

/** Until V8 has compiled what is hot: 70 ms of CPU on its own threads in the first 10 s. */
const START_MS = 20_000;
/** Two intervals of netwatch: state is pulled and netwatch.prom written twice. */
const IDLE_MS = 10_000;
const SECONDS = 5;
/** Round trips of four records. */
const RATE = 2500;

/** @param {number} pid @returns {Promise<import('../table.mjs').Row[]>} */
async function idle(pid) {
  const before = { cpu: cpuNs(pid), at: performance.now(), switches: switches(pid) };
  await sleep(IDLE_MS);
  const ms = performance.now() - before.at;
  const wakeups = ((switches(pid) - before.switches) / ms) * 1000;
  return [
    {
      id: 'idle-cpu',
      value: cpuShare(cpuNs(pid) - before.cpu, ms) * 100,
      detail: `of one core, with \`-x -r -t -i -e\`, over ${Math.round(ms / 1000)} s; ${wakeups.toFixed(0)} wake-ups/s`,
    },
    {
      id: 'rss-idle',
      value: rssMb(pid),
      detail: `with \`-x -r -t -i -e\`; most so far ${peakRssMb(pid).toFixed(1)} MB (while loading)`,
    },
  ];
}

const switches = (/** @type {number} */ pid) => statusField(pid, 'voluntary_ctxt_switches');

/** @param {import('../lab.mjs').Lab} lab @param {number} pid */
async function paced(lab, pid) {
  await runLoad(lab, 'rr', { seconds: 1, rate: RATE });
  const before = { cpu: cpuNs(pid), switches: switches(pid), records: segments(lab) };
  const { seconds } = await runLoad(lab, 'rr', { seconds: SECONDS, rate: RATE });
  const records = segments(lab) - before.records;
  const wakeups = switches(pid) - before.switches;
  const ns = cpuNs(pid) - before.cpu;
  return [
    {
      id: 'wakeups',
      value: wakeups / records,
      detail: `1 per ${Math.round(records / wakeups)} records; ${Math.round(wakeups / seconds)}/s`,
    },
    {
      id: 'cpu-10k',
      value: cpuShare(ns, seconds * 1000) * 100,
      detail: `${Math.round(records / seconds).toLocaleString('en-US')} records/s, ${Math.round(ns / records)} ns each; the kernel side not included`,
    },
  ];
}

/** @param {import('../lab.mjs').Lab} lab @param {ReadonlySet<string>} wanted */
export async function measure(lab, wanted) {
  const collector = await startCollector(lab, EVERYTHING);
  await sleep(START_MS);
  const rows = [];
  if (wanted.has('idle-cpu') || wanted.has('rss-idle')) rows.push(...(await idle(collector.pid)));
  if (wanted.has('wakeups') || wanted.has('cpu-10k'))
    rows.push(...(await paced(lab, collector.pid)));
  await collector.stop();
  return rows;
}
