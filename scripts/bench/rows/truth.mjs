/**
 * Are the packets complete? A known number of exchanges, counted by the generator, by tcpdump, by the
 * kernel's own counters and by netwatch. On loopback tcpdump sees a packet once, netwatch twice: when
 * it is sent and when it is received.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { startCollector } from '../collector.mjs';
import { segments, stop } from '../lab.mjs';
import { runLoad } from '../load.mjs';

export const ids = ['truth'];

const COUNT = 20_011;
const RATE = 10_000;
const MOST_SECONDS = 10;
const START_MS = 700;
const SETTLE_MS = 500;

/** @param {import('../lab.mjs').Lab} lab */
async function startTcpdump(lab) {
  const args = ['-i', 'lo', '-n', '-s', '96', '-B', '65536', '-w', '/dev/null', 'tcp'];
  const child = lab.startInside('tcpdump', args);
  let text = '';
  child.stderr?.on('data', (data) => (text += data));
  await sleep(START_MS);
  const number = (/** @type {string} */ what) =>
    Number(new RegExp(`(\\d+) packets? ${what}`).exec(text)?.[1]);
  return {
    finish: async () => {
      await stop(child);
      return { captured: number('captured'), dropped: number('dropped by kernel') };
    },
  };
}

/** @param {import('../lab.mjs').Lab} lab @returns {Promise<import('../table.mjs').Row[]>} */
export async function measure(lab) {
  const collector = await startCollector(lab, []);
  const tcpdump = await startTcpdump(lab);
  const before = segments(lab);
  const { count } = await runLoad(lab, 'rr', { seconds: MOST_SECONDS, rate: RATE, count: COUNT });
  await sleep(SETTLE_MS);
  const counted = segments(lab) - before;
  const { captured, dropped } = await tcpdump.finish();
  const { accepted, written, lostInRing, lostInFile } = await collector.stop();
  const detail = `${count} exchanges; tcpdump ${captured} packets (${dropped} dropped), TcpInSegs + TcpOutSegs ${counted}, netwatch ${accepted} records = ${written} written + ${lostInRing + lostInFile} lost`;
  return [
    { id: 'truth', value: Math.abs(accepted + lostInRing - 2 * (captured + dropped)), detail },
  ];
}
