/**
 * What the events of `netwatch insight` cost: 1-byte request/response at full speed, each exchange
 * with a SEND, a RECEIVE and an RTT_UPDATE at each end; in the kernel per event, in all per event.
 */
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ROOT, stop } from '../lab.mjs';
import { runLoad } from '../load.mjs';
import { cpuNs } from '../process.mjs';
import { costs, openKernelMeter } from '../twin.mjs';

export const ids = ['kernel-insight', 'user-insight'];

const PROGRAM = join(ROOT, 'build', 'main.js');
const READY_MS = 15_000;
const WARM_UP_SECONDS = 1;
const SECONDS = 3;
/** Longer than it waits between two drains. */
const SETTLE_MS = 500;

/** @param {import('../lab.mjs').Lab} lab */
async function startInsight(lab) {
  const child = lab.start(process.execPath, [PROGRAM, 'insight', '--netns', lab.name, '-T']);
  let [tail, errors] = ['', ''];
  child.stdout?.pipe(createWriteStream('/dev/null'));
  child.stdout?.on('data', (text) => (tail = (tail + text).slice(-4096)));
  await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not ready: ${errors}`)), READY_MS);
    child.stderr?.on('data', (text) => {
      errors += text;
      if (!/ ready after /.test(errors)) return;
      clearTimeout(timer);
      resolve(undefined);
    });
  });
  return { child, pid: child.pid ?? 0, statistics: () => tail };
}

/** @param {import('../lab.mjs').Lab} lab */
export async function measure(lab) {
  const insight = await startInsight(lab);
  const meter = openKernelMeter(insight.pid);
  await runLoad(lab, 'rr', { seconds: WARM_UP_SECONDS });
  await sleep(SETTLE_MS);
  const before = { kernel: meter.read(), cpu: cpuNs(insight.pid) };
  await runLoad(lab, 'rr', { seconds: SECONDS });
  await sleep(SETTLE_MS);
  const list = costs(before.kernel, meter.read());
  const cpu = cpuNs(insight.pid) - before.cpu;
  meter.close();
  await stop(insight.child);
  const runs = list.reduce((sum, hook) => sum + hook.runs, 0);
  const ns = list.reduce((sum, hook) => sum + hook.runs * (hook.ours - hook.twin), 0);
  const count = (/** @type {string} */ name) =>
    Number(new RegExp(`${name}: +(\\d+)`).exec(insight.statistics())?.[1] ?? NaN);
  const [total, lost] = [count('Total events'), count('Lost events')];
  const perSecond = Math.round(total / (WARM_UP_SECONDS + SECONDS));
  const detail = `${perSecond.toLocaleString('en-US')} events/s, ${lost} lost to the terminal`;
  return [
    {
      id: 'kernel-insight',
      value: ns / runs,
      detail: `per program run, all events wanted; ${detail}`,
      hooks: list.map(({ program, runs: own, ours, twin }) => ({
        program,
        runsPerPacket: own / runs,
        ours,
        twin,
      })),
    },
    {
      id: 'user-insight',
      value: (cpu * (WARM_UP_SECONDS + SECONDS)) / SECONDS / (total - lost),
      detail: 'decoded, formatted as a table row, written to a pipe',
    },
  ];
}
