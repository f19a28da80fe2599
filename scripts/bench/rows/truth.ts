/**
 * Are the packets complete? A known number of exchanges, counted by the generator, by tcpdump, by the
 * kernel's own counters and by netwatch. On loopback tcpdump sees a packet once, netwatch twice: when
 * it is sent and when it is received.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { listenTo, stop } from '../child.js';
import { startCollector } from '../collector.js';
import { segments, type Lab, type Sizes } from '../lab.js';
import { runLoad } from '../load.js';
import type { RowModule } from '../row-module.js';

const COUNTS: Sizes<number> = { full: 20_011, smoke: 1009 };
const RATE = 10_000;
const MOST_SECONDS = 10;
const SETTLE_MS = 500;

interface Captured {
  readonly captured: number;
  readonly dropped: number;
}

interface Tcpdump {
  finish(): Promise<Captured>;
}

async function startTcpdump(lab: Lab): Promise<Tcpdump> {
  const args = [
    '-i',
    'lo',
    '-n',
    '-s',
    '96',
    '-B',
    '65536',
    '--immediate-mode',
    '-w',
    '/dev/null',
    'tcp',
  ];
  const child = lab.startInside('tcpdump', args);
  const words = listenTo(child, 'tcpdump', [child.stderr]);
  await words.heard(/listening on/);
  const number = (what: string): number =>
    Number(new RegExp(`(\\d+) packets? ${what}`).exec(words.text())?.[1]);
  return {
    finish: async () => {
      await stop(child);
      return { captured: number('captured'), dropped: number('dropped by kernel') };
    },
  };
}

export const rows: RowModule = {
  ids: ['truth'],
  measure: async (lab) => {
    const collector = await startCollector(lab, []);
    const tcpdump = await startTcpdump(lab);
    const before = segments(lab);
    const { count } = await runLoad(lab, 'rr', {
      seconds: MOST_SECONDS,
      rate: RATE,
      count: lab.size(COUNTS),
    });
    await sleep(SETTLE_MS);
    const counted = segments(lab) - before;
    const { captured, dropped } = await tcpdump.finish();
    const { accepted, written, lostInRing, lostInFile } = await collector.stop();
    const detail = `${count} exchanges; tcpdump ${captured} packets (${dropped} dropped), TcpInSegs + TcpOutSegs ${counted}, netwatch ${accepted} records = ${written} written + ${lostInRing + lostInFile} lost`;
    return [
      { id: 'truth', value: Math.abs(accepted + lostInRing - 2 * (captured + dropped)), detail },
    ];
  },
};
