/**
 * What an HTTP head costs in netwatch beyond its packet: the same requests, all with different paths,
 * with `-i` and without, in turns. Each request and each answer is one segment, seen when sent and when
 * received: four heads on four packets.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { startCollector } from '../collector.js';
import { segments, type Lab, type Sizes } from '../lab.js';
import { runLoad, type LoadOptions } from '../load.js';
import { cpuNs } from '../process.js';
import type { RowModule } from '../row-module.js';
import { median } from '../statistics.js';
import type { Row } from '../table.js';

interface HttpSize {
  /** Until the optimizing compiler has seen netwatch's hot path. */
  readonly warmUp: LoadOptions;
  readonly measured: LoadOptions;
  readonly turns: number;
}

const SIZES: Sizes<HttpSize> = {
  full: {
    warmUp: { seconds: 4, rate: 15_000, count: 30_000 },
    measured: { seconds: 20, rate: 15_000, count: 60_000 },
    turns: 3,
  },
  smoke: {
    warmUp: { seconds: 1, count: 100 },
    measured: { seconds: 1, count: 1000 },
    turns: 1,
  },
};
/** Longer than netwatch waits between two drains. */
const SETTLE_MS = 300;
const HEADS_PER_REQUEST = 4;

interface Measured {
  readonly requests: number;
  readonly packets: number;
  readonly cpuNs: number;
  readonly lost: number;
}

async function measure(lab: Lab, args: readonly string[]): Promise<Measured> {
  const size = lab.size(SIZES);
  const collector = await startCollector(lab, args);
  await runLoad(lab, 'http', size.warmUp);
  await sleep(SETTLE_MS);
  const [cpu, packets] = [cpuNs(collector.pid), segments(lab)];
  const { count } = await runLoad(lab, 'http', size.measured);
  await sleep(SETTLE_MS);
  const used = cpuNs(collector.pid) - cpu;
  const seen = segments(lab) - packets;
  const { lostInRing, lostInFile } = await collector.stop();
  return { requests: count, packets: seen, cpuNs: used, lost: lostInRing + lostInFile };
}

export const rows: RowModule = {
  ids: ['user-head', 'http-ratio'],
  measure: async (lab) => {
    const perHead: number[] = [];
    const ratios: number[] = [];
    const plain: number[] = [];
    let lost = 0;
    for (let turn = 0; turn < lab.size(SIZES).turns; turn++) {
      const without = await measure(lab, []);
      const withHeads = await measure(lab, ['-i']);
      const packetNs = without.cpuNs / without.packets;
      plain.push(packetNs);
      perHead.push(
        (withHeads.cpuNs - packetNs * withHeads.packets) / (withHeads.requests * HEADS_PER_REQUEST),
      );
      ratios.push(withHeads.cpuNs / withHeads.packets / packetNs);
      lost += without.lost + withHeads.lost;
    }
    const losses = lost > 0 ? `; ${lost} records lost` : '';
    const detail = `a packet without: ${Math.round(median(plain))} ns; a head on every packet with data, every path a new one${losses}`;
    const row = (id: Row['id'], values: readonly number[]): Row => ({
      id,
      value: median(values),
      detail,
    });
    return [row('user-head', perHead), row('http-ratio', ratios)];
  },
};
