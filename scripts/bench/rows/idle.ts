/**
 * What netwatch takes when nothing happens, and how often it wakes at 10,000 records a second. With
 * the options of `make run`.
 */
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { EVERYTHING, startCollector } from '../collector.js';
import { segments, type Lab, type Sizes } from '../lab.js';
import { runLoad } from '../load.js';
import { cpuNs, cpuShare, peakRssMb, rssMb, statusField } from '../process.js';
import type { RowModule } from '../row-module.js';
import type { Row } from '../table.js';

interface IdleSize {
  /** Until V8 has compiled what is hot: 70 ms of CPU on its own threads in the first 10 s. */
  readonly startMs: number;
  /** Two intervals of netwatch: state is pulled and netwatch.prom written twice. */
  readonly idleMs: number;
  readonly seconds: number;
}

const SIZES: Sizes<IdleSize> = {
  full: { startMs: 20_000, idleMs: 10_000, seconds: 5 },
  smoke: { startMs: 0, idleMs: 1000, seconds: 1 },
};
/** Round trips of four records. */
const RATE = 2500;

const switches = (pid: number): number => statusField(pid, 'voluntary_ctxt_switches');

async function idle(lab: Lab, pid: number): Promise<Row[]> {
  const before = { cpu: cpuNs(pid), at: performance.now(), switches: switches(pid) };
  await sleep(lab.size(SIZES).idleMs);
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

async function paced(lab: Lab, pid: number): Promise<Row[]> {
  await runLoad(lab, 'rr', { seconds: 1, rate: RATE });
  const before = { cpu: cpuNs(pid), switches: switches(pid), records: segments(lab) };
  const { seconds } = await runLoad(lab, 'rr', { seconds: lab.size(SIZES).seconds, rate: RATE });
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

export const rows: RowModule = {
  ids: ['idle-cpu', 'rss-idle', 'wakeups', 'cpu-10k'],
  measure: async (lab, wanted) => {
    const collector = await startCollector(lab, EVERYTHING);
    await sleep(lab.size(SIZES).startMs);
    const measured: Row[] = [];
    if (wanted.has('idle-cpu') || wanted.has('rss-idle'))
      measured.push(...(await idle(lab, collector.pid)));
    if (wanted.has('wakeups') || wanted.has('cpu-10k'))
      measured.push(...(await paced(lab, collector.pid)));
    await collector.stop();
    return measured;
  },
};
