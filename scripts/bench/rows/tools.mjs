/**
 * What each tool costs in the kernel: beyond empty programs at the same hooks, per short connection
 * (five exchanges, both ends watched) and per 1-byte round trip.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { loadCommand, commandNames } from '../../../build/commands.js';
import { ROOT, stop } from '../lab.mjs';
import { runLoad } from '../load.mjs';
import { costs, netNs, openKernelMeter } from '../twin.mjs';

export const ids = ['kernel-tools'];

const PROGRAM = join(ROOT, 'build', 'main.js');
const READY_MS = 15_000;
const SETTLE_MS = 300;
const CHURN = { seconds: 10, rate: 1000, count: 1009 };
const ROUND_TRIPS = { seconds: 1 };

/** Arguments without which a tool does not start, by the flag of the option. */
const NEEDED = new Map([['--name', 'lo']]);

/** Tools that watch, with the arguments they need. */
async function watchingTools() {
  const tools = await Promise.all(commandNames().map(loadCommand));
  return tools
    .filter(({ sources = [] }) => sources.length > 0)
    .map((tool) => {
      const options = tool.command().options.filter(({ mandatory }) => mandatory);
      return { name: tool.name, args: options.flatMap(({ long }) => [long, NEEDED.get(long)]) };
    });
}

/** @param {import('../lab.mjs').Lab} lab */
async function startTool(lab, { name, args }) {
  const line = [PROGRAM, name, '--netns', lab.name, '-o', 'json', ...args];
  const child = lab.start(process.execPath, line);
  let errors = '';
  child.stdout?.resume();
  await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${name} is not ready: ${errors}`)), READY_MS);
    child.once('exit', () => reject(new Error(`${name} ended: ${errors}`)));
    child.stderr?.on('data', (text) => {
      errors += text;
      if (!/ ready after /.test(errors)) return;
      clearTimeout(timer);
      resolve(undefined);
    });
  });
  return child;
}

/** @param {import('../lab.mjs').Lab} lab */
async function measureTool(lab, tool) {
  const child = await startTool(lab, tool);
  const meter = openKernelMeter(child.pid ?? 0);
  const between = async (/** @type {() => Promise<{count: number}>} */ load) => {
    const before = meter.read();
    const { count } = await load();
    await sleep(SETTLE_MS);
    return netNs(costs(before, meter.read())) / count;
  };
  await runLoad(lab, 'churn', { seconds: 2, rate: 1000, count: 101 });
  const perConnection = await between(() => runLoad(lab, 'churn', CHURN));
  const perRoundTrip = await between(() => runLoad(lab, 'rr', ROUND_TRIPS));
  meter.close();
  await stop(child);
  return { tool: tool.name, perConnection, perRoundTrip };
}

/** @param {import('../lab.mjs').Lab} lab */
export async function measure(lab) {
  const tools = [];
  for (const tool of await watchingTools()) tools.push(await measureTool(lab, tool));
  const dearest = tools.reduce((a, b) => (a.perRoundTrip > b.perRoundTrip ? a : b));
  return [
    {
      id: 'kernel-tools',
      value: dearest.perRoundTrip,
      detail: `${dearest.tool}; all ${tools.length} tools below`,
      tools,
    },
  ];
}
