/**
 * What the parts of HTTP exchanges cost. Kernel: the source as `-t -i` has it, with their points in time and
 * without, in turns. User side: `netwatch requests --top`. Each request has a path of its own and is an
 * exchange at either side.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { statSync } from 'node:fs';
import { KIND } from '../../../src/generated/packet.js';
import { NO_FILTER } from '../../../src/sources/filter.js';
import { nextWaitMs } from '../../../src/sources/pace.js';
import { kindOf, PacketSource } from '../../../src/sources/packet.js';
import { listenTo, stop } from '../child.js';
import { NETWATCH, type Lab } from '../lab.js';
import { checkExchanges, HTTP_LOAD, SETTLE_MS, SIDES } from '../http-load.js';
import { runLoad } from '../load.js';
import { cpuNs, userNs } from '../process.js';
import type { RowModule } from '../row-module.js';
import { median } from '../statistics.js';
import type { Row } from '../table.js';
import { costs, netNs, openKernelMeter } from '../twin.js';

const RING_BYTES = 1 << 24;
const READY = / ready after /;

interface Draining {
  /** Records of exchanges so far. */
  exchanges(): number;
  stop(): void;
}

/** Drains at netwatch's pace, and throws the records away. */
function drainPaced(source: PacketSource): Draining {
  let exchanges = 0;
  const { ring } = source.source;
  let timer: NodeJS.Timeout;
  const next = (waitMs: number): void => {
    timer = setTimeout(() => {
      const before = ring.used / ring.size;
      source.drain((view, places, count) => {
        for (let i = 0; i < count; i++)
          if (kindOf(view, places[i]!) === KIND.NW_KIND_HTTP_EXCHANGE) exchanges++;
      });
      next(nextWaitMs(waitMs, before, ring.used / ring.size));
    }, waitMs);
  };
  next(0);
  return { exchanges: () => exchanges, stop: () => clearTimeout(timer) };
}

/** Of all programs, in ns per exchange and side. */
async function kernelNs(lab: Lab, explain: boolean): Promise<number> {
  const { warmUp, measured } = lab.size(HTTP_LOAD);
  const source = new PacketSource({
    filter: { ...NO_FILTER, namespaces: [statSync(lab.path).ino] },
    ...{ time: true, http: true, explain, ring: { bytes: RING_BYTES, loseEvery: 0 } },
  });
  const draining = drainPaced(source);
  const meter = openKernelMeter(process.pid);
  try {
    const warm = await runLoad(lab, 'http', warmUp);
    const before = meter.read();
    const { count } = await runLoad(lab, 'http', measured);
    await sleep(SETTLE_MS);
    const ns = netNs(costs(before, meter.read())) / (count * SIDES);
    checkExchanges(draining.exchanges(), warm.count + count);
    return ns;
  } finally {
    meter.close();
    draining.stop();
    source.source.close();
  }
}

async function kernelRow(lab: Lab): Promise<Row> {
  const [without, withParts]: [number[], number[]] = [[], []];
  for (let turn = 0; turn < lab.size(HTTP_LOAD).turns; turn++) {
    without.push(await kernelNs(lab, false));
    withParts.push(await kernelNs(lab, true));
  }
  const differences = withParts.map((ns, turn) => ns - (without[turn] ?? NaN));
  return {
    id: 'kernel-exchange',
    value: median(differences),
    detail: `packets with layer times, heads and framing: ${Math.round(median(without))} ns per exchange and side without the parts, ${Math.round(median(withParts))} with them`,
  };
}

async function userRow(lab: Lab): Promise<Row> {
  const { warmUp, measured } = lab.size(HTTP_LOAD);
  const line = [NETWATCH, 'requests', '--netns', lab.name, '--top', '10', '-o', 'json'];
  const child = lab.start(process.execPath, line, { stdio: ['ignore', 'ignore', 'pipe'] });
  const words = listenTo(child, 'netwatch requests', [child.stderr]);
  await words.heard(READY);
  const pid = child.pid ?? 0;
  await runLoad(lab, 'http', warmUp);
  await sleep(SETTLE_MS);
  const [cpu, user] = [cpuNs(pid), userNs(pid)];
  const { count } = await runLoad(lab, 'http', measured);
  await sleep(SETTLE_MS);
  const used = cpuNs(pid) - cpu;
  const share = Math.round(((userNs(pid) - user) / used) * 100);
  await stop(child);
  return {
    id: 'user-exchange',
    value: used / (count * SIDES),
    detail: `${share} % of it in user mode; every path a new one, a table each second`,
  };
}

export const rows: RowModule = {
  ids: ['kernel-exchange', 'user-exchange'],
  measure: async (lab, wanted) => [
    ...(wanted.has('kernel-exchange') ? [await kernelRow(lab)] : []),
    ...(wanted.has('user-exchange') ? [await userRow(lab)] : []),
  ],
};
