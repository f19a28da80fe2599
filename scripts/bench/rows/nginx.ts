/**
 * What nginx loses: requests per second that wrk gets from it, with `netwatch -i` and without, in turns. Both
 * share one CPU, netwatch has the others; what the kernel side takes is taken from them.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ended, listenTo, stop } from '../child.js';
import { startCollector } from '../collector.js';
import { cpuNs } from '../process.js';
import type { Lab, Sizes } from '../lab.js';
import type { RowModule } from '../row-module.js';
import { median, pairRatios, spread } from '../statistics.js';
import type { Row } from '../table.js';

interface WrkSize {
  readonly turns: number;
  readonly seconds: number;
}

const SIZES: Sizes<WrkSize> = { full: { turns: 7, seconds: 3 }, smoke: { turns: 1, seconds: 1 } };
const PORT = 41_218;
const CONNECTIONS = 16;
const BODY = 'x'.repeat(1000);
const LISTENS_MS = 5000;
const NS_PER_US = 1000;

const configuration = (folder: string): string => `daemon off; master_process off; user root;
  pid ${folder}/pid; error_log stderr error;
  events { worker_connections 256; }
  http {
    access_log off;
    client_body_temp_path ${folder}; proxy_temp_path ${folder}; fastcgi_temp_path ${folder};
    uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
    keepalive_requests 100000000;
    server { listen 127.0.0.1:${PORT}; location / { return 200 "${BODY}"; } }
  }`;

const isThere = (command: string): boolean => spawnSync(command, ['-v']).error === undefined;
const onLoadCpu = (lab: Lab, args: readonly string[]): string[] => [
  '-c',
  String(lab.loadCpu),
  ...args,
];

/** Off the CPU of the load, if there is another one. */
function keepAside({ loadCpu }: Lab, pid: number): void {
  if (loadCpu > 0) spawnSync('taskset', ['-a', '-p', '-c', `0-${loadCpu - 1}`, String(pid)]);
}

async function untilListening(lab: Lab): Promise<void> {
  const deadline = performance.now() + LISTENS_MS;
  while (!lab.runInside('ss', ['-Htln', `sport = :${PORT}`]).includes(`:${PORT}`)) {
    if (performance.now() > deadline) throw new Error('nginx does not listen');
    await sleep(20);
  }
}

interface Load {
  /** Requests per second. */
  readonly rate: number;
  /** CPU of nginx in ns per request: it tells the cost also where others want the CPU. */
  readonly cpuNs: number;
}

async function load(lab: Lab, nginx: number): Promise<Load> {
  const seconds = `${lab.size(SIZES).seconds}s`;
  const url = `http://127.0.0.1:${PORT}/orders/1`;
  const wrk = ['wrk', '-t1', `-c${CONNECTIONS}`, `-d${seconds}`, url];
  const before = cpuNs(nginx);
  const child = lab.startInside('taskset', onLoadCpu(lab, wrk));
  const words = listenTo(child, 'wrk', [child.stdout, child.stderr]);
  await ended(child);
  const number = (pattern: RegExp): number => Number(pattern.exec(words.text())?.[1] ?? NaN);
  const rate = number(/^Requests\/sec:\s+([\d.]+)$/m);
  const requests = number(/^\s*(\d+) requests in /m);
  if (!(rate > 0 && requests > 0)) throw new Error(`wrk says no rate: ${words.text()}`);
  return { rate, cpuNs: (cpuNs(nginx) - before) / requests };
}

/** Without, with, without, … */
async function takeTurns(lab: Lab, nginx: number): Promise<Row> {
  const off = [await load(lab, nginx)];
  const on: Load[] = [];
  let lost = 0;
  for (let turn = 0; turn < lab.size(SIZES).turns; turn++) {
    const collector = await startCollector(lab, ['-i']);
    keepAside(lab, collector.pid);
    on.push(await load(lab, nginx));
    const books = await collector.stop();
    lost += books.lostInRing + books.lostInFile;
    off.push(await load(lab, nginx));
  }
  const rates = (loads: readonly Load[]): number[] => loads.map(({ rate }) => rate);
  const cpu = (loads: readonly Load[]): string =>
    (median(loads.map((one) => one.cpuNs)) / NS_PER_US).toFixed(1);
  const { median: value, q1, q3 } = spread(pairRatios(rates(off), rates(on)));
  const rate = Math.round(median(rates(off))).toLocaleString('en-US');
  const losses = lost > 0 ? `; ${lost} records lost` : '';
  return {
    id: 'nginx-http',
    value,
    detail: `middle half ${q1.toFixed(3)}–${q3.toFixed(3)} of ${on.length} pairs; without ${rate} requests/s, ${CONNECTIONS} connections, nginx and wrk on one CPU; nginx takes ${cpu(on)} µs of CPU per request, ${cpu(off)} without${losses}`,
  };
}

export const rows: RowModule = {
  ids: ['nginx-http'],
  measure: async (lab) => {
    const absent = ['nginx', 'wrk'].find((command) => !isThere(command));
    if (absent !== undefined)
      return [{ id: 'nginx-http', value: null, detail: `${absent} does not run here`, absent }];
    const folder = mkdtempSync(join(lab.folder, 'nginx-'));
    writeFileSync(join(folder, 'nginx.conf'), configuration(folder));
    const nginx = ['nginx', '-p', folder, '-c', join(folder, 'nginx.conf')];
    const child = lab.startInside('taskset', onLoadCpu(lab, nginx));
    await untilListening(lab);
    const row = await takeTurns(lab, child.pid ?? 0);
    await stop(child, 'SIGTERM');
    return [row];
  },
};
