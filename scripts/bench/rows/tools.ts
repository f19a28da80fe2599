/**
 * What each tool costs in the kernel: beyond empty programs at the same hooks, per short connection
 * (five exchanges, both ends watched) and per 1-byte round trip.
 */
import type { ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { commandNames, loadCommand } from '../../../src/commands.js';
import { listenTo, stop } from '../child.js';
import { NETWATCH, type Lab, type Sizes } from '../lab.js';
import { runLoad, type Done, type LoadOptions } from '../load.js';
import type { RowModule } from '../row-module.js';
import type { ToolCost } from '../table.js';
import { costs, netNs, openKernelMeter } from '../twin.js';

interface ToolsSize {
  readonly warmUp: LoadOptions;
  readonly churn: LoadOptions;
  readonly roundTrips: LoadOptions;
  readonly settleMs: number;
}

const SIZES: Sizes<ToolsSize> = {
  full: {
    warmUp: { seconds: 2, rate: 1000, count: 101 },
    churn: { seconds: 10, rate: 1000, count: 1009 },
    roundTrips: { seconds: 1 },
    settleMs: 300,
  },
  smoke: {
    warmUp: { seconds: 2, rate: 1000, count: 1 },
    churn: { seconds: 10, rate: 1000, count: 11 },
    roundTrips: { seconds: 1, count: 101 },
    settleMs: 10,
  },
};

/** Arguments without which a tool does not start, by the flag of the option. */
const NEEDED: ReadonlyMap<string, string> = new Map([['--name', 'lo']]);

interface WatchingTool {
  readonly name: string;
  readonly args: readonly string[];
}

/** Tools that watch, with the arguments they need. */
async function watchingTools(): Promise<WatchingTool[]> {
  const tools = await Promise.all(commandNames().map(loadCommand));
  return tools
    .filter(({ trial }) => trial !== undefined)
    .map((tool) => {
      const flags = tool
        .command()
        .options.filter(({ mandatory }) => mandatory)
        .map(({ long, flags: all }) => long ?? all);
      return { name: tool.name, args: flags.flatMap((flag) => [flag, NEEDED.get(flag) ?? '']) };
    });
}

async function startTool(lab: Lab, { name, args }: WatchingTool): Promise<ChildProcess> {
  const line = [NETWATCH, name, '--netns', lab.name, '-o', 'json', ...args];
  const child = lab.start(process.execPath, line);
  child.stdout?.resume();
  await listenTo(child, name, [child.stderr]).heard(/ ready after /);
  return child;
}

async function measureTool(lab: Lab, tool: WatchingTool): Promise<ToolCost> {
  const { warmUp, churn, roundTrips, settleMs } = lab.size(SIZES);
  const child = await startTool(lab, tool);
  const meter = openKernelMeter(child.pid ?? 0);
  const perUnit = async (load: () => Promise<Done>): Promise<number> => {
    const before = meter.read();
    const { count } = await load();
    await sleep(settleMs);
    return netNs(costs(before, meter.read())) / count;
  };
  await runLoad(lab, 'churn', warmUp);
  const perConnection = await perUnit(() => runLoad(lab, 'churn', churn));
  const perRoundTrip = await perUnit(() => runLoad(lab, 'rr', roundTrips));
  meter.close();
  await stop(child);
  return { tool: tool.name, perConnection, perRoundTrip };
}

export const rows: RowModule = {
  ids: ['kernel-tools'],
  measure: async (lab) => {
    const tools: ToolCost[] = [];
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
  },
};
