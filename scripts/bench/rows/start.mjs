/**
 * How long until the first program is attached, and until netwatch is ready: alternating with
 * bpftrace, tcplife and tcpstates.
 */
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { commandLine } from '../collector.mjs';
import { stop } from '../lab.mjs';
import { hasAttached, rssMb } from '../process.mjs';
import { median, spread } from '../statistics.mjs';

export const ids = ['attach', 'ready', 'attach-bpftrace', 'rss-bpftrace'];

const RUNS = 10;
const POLL_MS = 1;
const MOST_MS = 5000;
const BPFTRACE = 'tracepoint:sock:inet_sock_set_state{@[args->newstate]=count()}';

/** @param {import('../lab.mjs').Lab} lab @returns {[command: string, args: string[]][]} */
function contestants(lab) {
  const data = mkdtempSync(join(lab.folder, 'start-'));
  return [
    [process.execPath, commandLine(lab, data, [])],
    ['bpftrace', ['-e', BPFTRACE]],
    ['tcplife', []],
    ['tcpstates', []],
  ];
}

/**
 * Starts one and ends it; ms from spawn to the first attached program and to the ready line, null
 * where there was none.
 */
async function startOnce(
  /** @type {import('../lab.mjs').Lab} */ lab,
  /** @type {string} */ command,
  /** @type {readonly string[]} */ args,
) {
  const start = performance.now();
  const child = lab.start(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let [over, said] = [false, ''];
  /** @type {number | null} */
  let readyMs = null;
  child.once('error', () => (over = true));
  child.once('exit', () => (over = true));
  child.stderr?.on('data', (text) => {
    said += text;
    if (readyMs === null && /^netwatch: ready/m.test(said)) readyMs = performance.now() - start;
  });
  /** @type {number | null} */
  let attachMs = null;
  const waitsFor = () => attachMs === null || (command === process.execPath && readyMs === null);
  while (!over && waitsFor() && performance.now() - start < MOST_MS) {
    if (attachMs === null && hasAttached(child.pid ?? 0)) attachMs = performance.now() - start;
    await sleep(POLL_MS);
  }
  const rss = rssMb(child.pid ?? 0);
  // The peers hold nothing that outlives them, and bpftrace is deaf while it starts.
  if (!over) await stop(child, command === process.execPath ? 'SIGINT' : 'SIGKILL');
  return { attachMs, readyMs, rss };
}

/** @typedef {{name: string, attach: number[], ready: number[], rss: number[]}} Times */

/** Alternates between them. @param {import('../lab.mjs').Lab} lab */
async function startAll(lab) {
  const list = contestants(lab);
  /** @type {Times[]} */
  const times = list.map(([name]) => ({ name, attach: [], ready: [], rss: [] }));
  for (let run = 0; run < RUNS; run++)
    for (const [i, [command, args]] of list.entries()) {
      const { attachMs, readyMs, rss } = await startOnce(lab, command, args);
      if (attachMs === null) continue;
      times[i].attach.push(attachMs);
      times[i].rss.push(rss);
      if (readyMs !== null) times[i].ready.push(readyMs);
    }
  return times;
}

const middle = (/** @type {readonly number[]} */ values) => {
  const { q1, q3 } = spread(values);
  return `${q1.toFixed(0)}–${q3.toFixed(0)}`;
};

const told = (/** @type {Times} */ { name, attach }) =>
  attach.length === 0
    ? `${name} does not run here`
    : `${name} ${median(attach).toFixed(0)} ms (${middle(attach)})`;

/** @param {import('../lab.mjs').Lab} lab @returns {Promise<import('../table.mjs').Row[]>} */
export async function measure(lab) {
  const [own, bpftrace, ...others] = await startAll(lab);
  const runs = `middle half ${middle(own.attach)}, ${RUNS} runs`;
  const rows = [
    {
      id: 'attach',
      value: median(own.attach),
      detail: [runs, ...[bpftrace, ...others].map(told)].join('; '),
    },
    { id: 'ready', value: median(own.ready), detail: `middle half ${middle(own.ready)}` },
  ];
  if (bpftrace.attach.length === 0)
    return [
      ...rows,
      { id: 'attach-bpftrace', value: null, detail: told(bpftrace) },
      { id: 'rss-bpftrace', value: null, detail: told(bpftrace) },
    ];
  const [ownMb, bpftraceMb] = [median(own.rss), median(bpftrace.rss)];
  return [
    ...rows,
    {
      id: 'attach-bpftrace',
      value: median(own.attach) / median(bpftrace.attach),
      detail: told(bpftrace),
    },
    {
      id: 'rss-bpftrace',
      value: ownMb / bpftraceMb,
      detail: `${ownMb.toFixed(1)} MB; bpftrace ${bpftraceMb.toFixed(1)} MB when attached`,
    },
  ];
}
