/**
 * What a web server that fills all cores loses to netwatch: wrk and nginx, requests per second without and
 * with, in turns (without, default, without, `-i`, …), each against the mean of its two neighbours. Nothing
 * is pinned: server, client and netwatch fight for the same cores. Each request is four packets of netwatch's.
 */
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RowId } from '../bar.js';
import { ended, listenTo } from '../child.js';
import { EVERYTHING, startCollector, type Books } from '../collector.js';
import { ROOT, segments, type Lab, type Sizes } from '../lab.js';
import { userNs } from '../process.js';
import type { RowModule } from '../row-module.js';
import { median, spread } from '../statistics.js';
import { number, type Row } from '../table.js';

const PORT = 41_219;
const CONNECTIONS = 50;
const THREADS = 2;
const LISTENS_MS = 5000;
const SETTLE_MS = 300;
/** Where scripts/setup unpacks nginx, which is not in the PATH of everybody. */
const NGINX = `${join(ROOT, '.cache/tools/usr/sbin')}:${process.env['PATH'] ?? ''}`;

interface WebSize {
  readonly warmUpSeconds: number;
  readonly seconds: number;
  readonly turns: number;
}
const SIZES: Sizes<WebSize> = {
  full: { warmUpSeconds: 2, seconds: 4, turns: 5 },
  smoke: { warmUpSeconds: 1, seconds: 1, turns: 1 },
};

interface Kind {
  readonly ratio: RowId;
  /** Null: no line per packet. */
  readonly user: RowId | null;
  readonly args: readonly string[];
}
const KINDS: readonly Kind[] = [
  { ratio: 'web-default', user: 'web-user-default', args: [] },
  { ratio: 'web-http', user: 'web-user-http', args: ['-i'] },
  { ratio: 'web-all', user: 'web-user-all', args: EVERYTHING },
  { ratio: 'web-no-packets', user: null, args: ['-x', '-r', '-i', '-e', '--packets', 'none'] },
];
const LOST: RowId = 'web-lost';
const IDS = [
  ...KINDS.flatMap(({ ratio, user }) => [ratio, ...(user === null ? [] : [user])]),
  LOST,
];

function configuration(folder: string): string {
  return `daemon off; worker_processes auto; user root; pid ${folder}/pid; error_log stderr crit;
    events { worker_connections 256; }
    http {
      access_log off; keepalive_requests 1000000000; client_body_temp_path ${folder}; proxy_temp_path ${folder};
      fastcgi_temp_path ${folder}; uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
      server { listen 127.0.0.1:${PORT}; location / { return 200 "hello\\n"; } }
    }`;
}

/** nginx, once it answers. */
async function startServer(lab: Lab): Promise<ChildProcess> {
  const folder = join(lab.folder, 'nginx');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'nginx.conf');
  writeFileSync(file, configuration(folder));
  const server = lab.startInside('env', [`PATH=${NGINX}`, 'nginx', '-p', folder, '-c', file]);
  const endMs = performance.now() + LISTENS_MS;
  for (;;) {
    if (lab.runInside('ss', ['-Hltn', `sport = :${PORT}`]) !== '') return server;
    if (performance.now() > endMs) throw new Error('nginx does not listen');
    await sleep(10);
  }
}

/** Requests that were answered, and per second. */
interface Load {
  readonly requests: number;
  readonly perSecond: number;
}

async function runWrk(lab: Lab, seconds: number): Promise<Load> {
  const sizes = [`-t${THREADS}`, `-c${CONNECTIONS}`, `-d${seconds}`];
  const child = lab.startInside('wrk', [...sizes, `http://127.0.0.1:${PORT}/abc?x=1`]);
  const words = listenTo(child, 'wrk', [child.stdout, child.stderr]);
  await ended(child);
  const text = words.text();
  const requests = Number(/(\d+) requests in/.exec(text)?.[1]);
  const perSecond = Number(/^Requests\/sec:\s*([\d.]+)/m.exec(text)?.[1]);
  if (!(requests > 0)) throw new Error(`wrk has made no request: ${text.trim()}`);
  return { requests, perSecond };
}

interface Measured {
  readonly perSecond: number;
  /** User CPU of netwatch per packet, in ns. */
  readonly userNs: number;
  readonly books: Books;
}

async function measure(lab: Lab, { args }: Kind): Promise<Measured> {
  const { warmUpSeconds, seconds } = lab.size(SIZES);
  const collector = await startCollector(lab, args);
  await runWrk(lab, warmUpSeconds);
  await sleep(SETTLE_MS);
  const [cpu, packets] = [userNs(collector.pid), segments(lab)];
  const { perSecond } = await runWrk(lab, seconds);
  await sleep(SETTLE_MS);
  const used = userNs(collector.pid) - cpu;
  const seen = segments(lab) - packets;
  return { perSecond, userNs: used / seen, books: await collector.stop() };
}

const text = (values: readonly number[]): string => {
  const { q1, q3 } = spread(values);
  return `middle half ${number(q1)}–${number(q3)} of ${values.length}`;
};

const lostOf = ({ lostInRing, lostInFile, lostLines }: Books): number =>
  lostInRing + lostInFile + lostLines;

/** The rows of one set of options. */
function rowsOf({ ratio, user }: Kind, all: readonly Measured[], ratios: readonly number[]): Row[] {
  const lost = all.reduce((sum, { books }) => sum + lostOf(books), 0);
  const losses = lost > 0 ? `; ${lost.toLocaleString('en-US')} packet records lost` : '';
  const userAll = all.map((one) => one.userNs);
  const rows: Row[] = [{ id: ratio, value: median(ratios), detail: `${text(ratios)}${losses}` }];
  if (user !== null)
    rows.push({ id: user, value: median(userAll), detail: `${text(userAll)}${losses}` });
  if (ratio !== 'web-http') return rows;
  const accepted = all.reduce((sum, { books }) => sum + books.accepted + books.lostInRing, 0);
  const detail = `${lost.toLocaleString('en-US')} of ${accepted.toLocaleString('en-US')} packet records`;
  return [...rows, { id: LOST, value: (100 * lost) / accepted, detail }];
}

export const rows: RowModule = {
  ids: IDS,
  measure: async (lab, wanted) => {
    const { turns, seconds, warmUpSeconds } = lab.size(SIZES);
    const kinds = KINDS.filter(
      ({ ratio, user }) =>
        wanted.has(ratio) ||
        (user !== null && wanted.has(user)) ||
        (ratio === 'web-http' && wanted.has(LOST)),
    );
    const measured = kinds.map(() => ({ all: [] as Measured[], ratios: [] as number[] }));
    const server = await startServer(lab);
    await runWrk(lab, warmUpSeconds);
    let before = await runWrk(lab, seconds);
    for (let turn = 0; turn < turns; turn++)
      for (const [i, kind] of kinds.entries()) {
        const one = await measure(lab, kind);
        const after = await runWrk(lab, seconds);
        measured[i]?.all.push(one);
        measured[i]?.ratios.push((2 * one.perSecond) / (before.perSecond + after.perSecond));
        before = after;
      }
    server.kill('SIGTERM');
    await ended(server);
    return kinds.flatMap((kind, i) =>
      rowsOf(kind, measured[i]?.all ?? [], measured[i]?.ratios ?? []),
    );
  },
};
