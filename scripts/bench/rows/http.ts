/**
 * What an HTTP head costs in netwatch beyond its packet: the same requests, all with different paths,
 * with `-i` and without, in turns. Each request and each answer is one segment, seen when sent and when
 * received: four heads on four packets.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { startCollector } from '../collector.js';
import { segments, type Lab } from '../lab.js';
import { checkExchanges, HTTP_LOAD, SETTLE_MS } from '../http-load.js';
import { runLoad } from '../load.js';
import { cpuNs } from '../process.js';
import type { RowModule } from '../row-module.js';
import { median } from '../statistics.js';
import type { Row } from '../table.js';

const HEADS_PER_REQUEST = 4;

interface Measured {
  readonly requests: number;
  readonly packets: number;
  readonly cpuNs: number;
  readonly lost: number;
}

async function measure(lab: Lab, args: readonly string[]): Promise<Measured> {
  const size = lab.size(HTTP_LOAD);
  const collector = await startCollector(lab, args);
  const warmUp = await runLoad(lab, 'http', size.warmUp);
  await sleep(SETTLE_MS);
  const [cpu, packets] = [cpuNs(collector.pid), segments(lab)];
  const { count } = await runLoad(lab, 'http', size.measured);
  await sleep(SETTLE_MS);
  const used = cpuNs(collector.pid) - cpu;
  const seen = segments(lab) - packets;
  const { lostInRing, lostInFile, exchanges } = await collector.stop();
  if (args.includes('-i')) checkExchanges(exchanges, warmUp.count + count);
  return { requests: count, packets: seen, cpuNs: used, lost: lostInRing + lostInFile };
}

export const rows: RowModule = {
  ids: ['user-head', 'http-ratio'],
  measure: async (lab) => {
    const perHead: number[] = [];
    const ratios: number[] = [];
    const plain: number[] = [];
    let lost = 0;
    for (let turn = 0; turn < lab.size(HTTP_LOAD).turns; turn++) {
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
