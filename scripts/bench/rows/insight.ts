/**
 * What the events of `netwatch insight` cost: 1-byte request/response at full speed, each exchange
 * with a SEND, a RECEIVE and an RTT_UPDATE at each end; in the kernel per event, in all per event.
 */
import type { ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { listenTo, stop } from '../child.js';
import { NETWATCH, type Lab, type Sizes } from '../lab.js';
import { runLoad, type LoadOptions } from '../load.js';
import { cpuNs } from '../process.js';
import type { RowModule } from '../row-module.js';
import { costs, hooksOf, netNs, openKernelMeter } from '../twin.js';

const SIZES: Sizes<{ readonly warmUp: LoadOptions; readonly measured: LoadOptions }> = {
  full: { warmUp: { seconds: 1 }, measured: { seconds: 3 } },
  smoke: { warmUp: { seconds: 1, count: 100 }, measured: { seconds: 1, count: 1000 } },
};
/** Longer than it waits between two drains. */
const SETTLE_MS = 500;
/** The statistics at the end are shorter. */
const TAIL_CHARACTERS = 4096;

interface Insight {
  readonly child: ChildProcess;
  readonly pid: number;
  /** The end of what it has printed. */
  tail(): string;
}

async function startInsight(lab: Lab): Promise<Insight> {
  const child = lab.start(process.execPath, [NETWATCH, 'insight', '--netns', lab.name, '-T']);
  let tail = '';
  child.stdout
    ?.setEncoding('utf8')
    .on('data', (text: string) => (tail = (tail + text).slice(-TAIL_CHARACTERS)));
  await listenTo(child, 'insight', [child.stderr]).heard(/ ready after /);
  return { child, pid: child.pid ?? 0, tail: () => tail };
}

export const rows: RowModule = {
  ids: ['kernel-insight', 'user-insight'],
  measure: async (lab) => {
    const size = lab.size(SIZES);
    const insight = await startInsight(lab);
    const meter = openKernelMeter(insight.pid);
    const warmUp = await runLoad(lab, 'rr', size.warmUp);
    await sleep(SETTLE_MS);
    const before = { kernel: meter.read(), cpu: cpuNs(insight.pid) };
    const measured = await runLoad(lab, 'rr', size.measured);
    await sleep(SETTLE_MS);
    const list = costs(before.kernel, meter.read());
    const cpu = cpuNs(insight.pid) - before.cpu;
    meter.close();
    await stop(insight.child);
    const runs = list.reduce((sum, hook) => sum + hook.runs, 0);
    const count = (name: string): number =>
      Number(new RegExp(`${name}: +(\\d+)`).exec(insight.tail())?.[1] ?? NaN);
    const [total, lost] = [count('Total events'), count('Lost events')];
    const perSecond = Math.round(total / (warmUp.seconds + measured.seconds));
    const detail = `${perSecond.toLocaleString('en-US')} events/s, ${lost} lost to the terminal`;
    // The statistics count the events of the warm-up too.
    const share = measured.count / (warmUp.count + measured.count);
    return [
      {
        id: 'kernel-insight',
        value: netNs(list) / runs,
        detail: `per program run, all events wanted; ${detail}`,
        hooks: hooksOf(list, runs),
      },
      {
        id: 'user-insight',
        value: cpu / share / (total - lost),
        detail: 'decoded, formatted as a table row, written to a pipe',
      },
    ];
  },
};
