/**
 * How long until the first program is attached, and until netwatch is ready: alternating with
 * bpftrace, tcplife and tcpstates.
 */
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { endOf, listenTo, stop } from '../child.js';
import { commandLine, READY } from '../collector.js';
import type { Lab, Sizes } from '../lab.js';
import { hasAttached, rssMb } from '../process.js';
import type { RowModule } from '../row-module.js';
import { median, spread } from '../statistics.js';
import type { Row } from '../table.js';

const RUNS: Sizes<number> = { full: 10, smoke: 1 };
const POLL_MS = 1;
const MOST_MS = 15_000;
const BPFTRACE = 'tracepoint:sock:inet_sock_set_state{@[args->newstate]=count()}';

interface Contestant {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Ours says when it is ready; the peers only attach. */
  readonly isOurs: boolean;
}

const netwatch = (lab: Lab): Contestant => ({
  name: 'netwatch',
  command: process.execPath,
  args: commandLine(lab, mkdtempSync(join(lab.folder, 'start-')), []),
  isOurs: true,
});

const peer = (name: string, args: readonly string[] = []): Contestant => ({
  name,
  command: name,
  args,
  isOurs: false,
});

interface Start {
  /** ms from spawn to the first attached program, null if there was none. */
  readonly attachMs: number | null;
  /** ms to the ready line, null if there was none. */
  readonly readyMs: number | null;
  readonly rss: number;
}

/** Starts one and ends it. */
async function startOnce(lab: Lab, { command, args, isOurs }: Contestant): Promise<Start> {
  const start = performance.now();
  const child = lab.start(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const { pid = 0 } = child;
  const end = endOf(child);
  const words = listenTo(child, command, [child.stderr]);
  const seen: { attachMs: number | null; readyMs: number | null } = {
    attachMs: null,
    readyMs: null,
  };
  const ms = (): number => performance.now() - start;
  child.stderr?.on('data', () => {
    if (READY.test(words.text())) seen.readyMs ??= ms();
  });
  const isWaiting = (): boolean => seen.attachMs === null || (isOurs && seen.readyMs === null);
  while (!end.isOver && isWaiting() && ms() < MOST_MS) {
    if (seen.attachMs === null && hasAttached(pid)) seen.attachMs = ms();
    await sleep(POLL_MS);
  }
  const rss = rssMb(pid);
  // The peers hold nothing that outlives them, and bpftrace is deaf while it starts.
  if (!end.isOver) await stop(child, isOurs ? 'SIGINT' : 'SIGKILL');
  return { ...seen, rss };
}

interface Times {
  readonly name: string;
  readonly attach: number[];
  readonly ready: number[];
  readonly rss: number[];
}

/** Alternates between them. */
async function startAll(lab: Lab, list: readonly Contestant[]): Promise<Times[]> {
  const timesOf = ({ name }: Contestant): Times => ({ name, attach: [], ready: [], rss: [] });
  const all = list.map((one) => ({ one, times: timesOf(one) }));
  for (let run = 0; run < lab.size(RUNS); run++)
    for (const { one, times } of all) {
      const { attachMs, readyMs, rss } = await startOnce(lab, one);
      if (attachMs === null) continue;
      times.attach.push(attachMs);
      times.rss.push(rss);
      if (readyMs !== null) times.ready.push(readyMs);
    }
  return all.map(({ times }) => times);
}

function middle(values: readonly number[]): string {
  const { q1, q3 } = spread(values);
  return `${q1.toFixed(0)}–${q3.toFixed(0)}`;
}

const told = ({ name, attach }: Times): string =>
  attach.length === 0
    ? `${name} does not run here`
    : `${name} ${median(attach).toFixed(0)} ms (${middle(attach)})`;

/** Ours against bpftrace. */
function ratioRows(own: Times, bpftrace: Times): Row[] {
  const detail = told(bpftrace);
  if (bpftrace.attach.length === 0) {
    const absent = bpftrace.name;
    return [
      { id: 'attach-bpftrace', value: null, detail, absent },
      { id: 'rss-bpftrace', value: null, detail, absent },
    ];
  }
  const [ownMb, bpftraceMb] = [median(own.rss), median(bpftrace.rss)];
  return [
    { id: 'attach-bpftrace', value: median(own.attach) / median(bpftrace.attach), detail },
    {
      id: 'rss-bpftrace',
      value: ownMb / bpftraceMb,
      detail: `${ownMb.toFixed(1)} MB; bpftrace ${bpftraceMb.toFixed(1)} MB when attached`,
    },
  ];
}

export const rows: RowModule = {
  ids: ['attach', 'ready', 'attach-bpftrace', 'rss-bpftrace'],
  measure: async (lab) => {
    const list = [
      netwatch(lab),
      peer('bpftrace', ['-e', BPFTRACE]),
      peer('tcplife'),
      peer('tcpstates'),
    ];
    const [own, bpftrace, ...others] = await startAll(lab, list);
    if (own === undefined || bpftrace === undefined) return [];
    const runs = `middle half ${middle(own.attach)}, ${lab.size(RUNS)} runs`;
    return [
      {
        id: 'attach',
        value: median(own.attach),
        detail: [runs, ...[bpftrace, ...others].map(told)].join('; '),
      },
      { id: 'ready', value: median(own.ready), detail: `middle half ${middle(own.ready)}` },
      ...ratioRows(own, bpftrace),
    ];
  },
};
