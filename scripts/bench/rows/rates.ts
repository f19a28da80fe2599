/**
 * What netwatch takes of a core at 100, 10,000 and 100,000 packets a second, both sides together: for
 * someone who decides whether to leave it on. Both ends of the connection are here, so each segment
 * counts twice, as sent and as received.
 */
import { performance } from 'node:perf_hooks';
import type { RowId } from '../bar.js';
import { EVERYTHING, startCollector } from '../collector.js';
import { segments, type Lab, type Sizes } from '../lab.js';
import { runLoad } from '../load.js';
import { cpuNs, cpuShare } from '../process.js';
import type { RowModule } from '../row-module.js';
import type { Row } from '../table.js';
import { costs, netNs, openKernelMeter } from '../twin.js';

/** Packets a second; the one in the middle is the row's value. */
const RATES = [100, 10_000, 100_000] as const;
const ROUND_TRIP_PACKETS = 4;
const MIDDLE = 10_000;

/** Seconds at each rate, before which the compiler has had as many. */
const SIZES: Sizes<{ readonly warmUp: number; readonly seconds: number }> = {
  full: { warmUp: 5, seconds: 20 },
  smoke: { warmUp: 0, seconds: 1 },
};

const CASES: Readonly<Partial<Record<RowId, readonly string[]>>> = {
  'rates-default': [],
  'rates-http': ['-i'],
  'rates-all': EVERYTHING,
  'rates-no-packets': ['-x', '-r', '-i', '-e', '--packets', 'none'],
};

interface Share {
  readonly packets: number;
  /** Of one core, in percent. */
  readonly kernel: number;
  readonly user: number;
}

async function measureCase(lab: Lab, id: RowId, args: readonly string[]): Promise<Row> {
  const { warmUp, seconds } = lab.size(SIZES);
  const collector = await startCollector(lab, args);
  const { pid } = collector;
  const meter = openKernelMeter(pid);
  const share = async (packetsPerSecond: number): Promise<Share> => {
    const rate = packetsPerSecond / ROUND_TRIP_PACKETS;
    if (warmUp > 0) await runLoad(lab, 'rr', { seconds: warmUp, rate });
    const before = {
      at: performance.now(),
      kernel: meter.read(),
      cpu: cpuNs(pid),
      packets: segments(lab),
    };
    await runLoad(lab, 'rr', { seconds, rate });
    const ms = performance.now() - before.at;
    const kernelNs = netNs(costs(before.kernel, meter.read()));
    return {
      packets: ((segments(lab) - before.packets) / ms) * 1000,
      kernel: cpuShare(kernelNs, ms) * 100,
      user: cpuShare(cpuNs(pid) - before.cpu, ms) * 100,
    };
  };
  const shares: Share[] = [];
  for (const rate of RATES) shares.push(await share(rate));
  meter.close();
  const { lostInRing, lostInFile } = await collector.stop();
  const told = shares.map(({ packets, kernel, user }) => {
    const rate = Math.round(packets).toLocaleString('en-US');
    return `${rate}/s: ${(kernel + user).toFixed(2)} % (kernel ${kernel.toFixed(2)}, user ${user.toFixed(2)})`;
  });
  const { kernel, user } = shares[RATES.indexOf(MIDDLE)]!;
  return {
    id,
    value: kernel + user,
    detail: `${told.join('; ')}; ${lostInRing + lostInFile} lost`,
  };
}

export const rows: RowModule = {
  ids: Object.keys(CASES) as RowId[],
  measure: async (lab, wanted) => {
    const measured: Row[] = [];
    for (const [id, args] of Object.entries(CASES) as [RowId, readonly string[]][])
      if (wanted.has(id)) measured.push(await measureCase(lab, id, args));
    return measured;
  },
};
