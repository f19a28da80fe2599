/**
 * How long a scrape takes: `netwatch serve` on a netwatch.prom with 0 to 100,000 connections, every
 * family of `-x -r` for each, in turn with a server that sends the same bytes from a buffer. As Prometheus
 * asks for it (gzip), and uncompressed. Meanwhile the file is replaced once a second.
 */
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { valuesOf } from '../../../src/collector/state/connection-values.js';
import { connectionLabels } from '../../../src/metrics/exposition.js';
import { Snapshot } from '../../../src/metrics/snapshot.js';
import { listenTo, stop } from '../child.js';
import { LAUNCHER, type Lab, type Sizes } from '../lab.js';
import { peakRssMb } from '../process.js';
import type { RowModule } from '../row-module.js';
import { median, quantile } from '../statistics.js';
import type { Row } from '../table.js';

const IDS = ['scrape-0', 'scrape-1k', 'scrape-10k', 'scrape-100k'] as const;
type ScrapeId = (typeof IDS)[number];

interface ScrapeSize {
  readonly connections: Readonly<Record<ScrapeId, number>>;
  readonly scrapes: number;
}

const SIZES: Sizes<ScrapeSize> = {
  full: {
    connections: {
      'scrape-0': 0,
      'scrape-1k': 1000,
      'scrape-10k': 10_000,
      'scrape-100k': 100_000,
    },
    scrapes: 50,
  },
  smoke: {
    connections: { 'scrape-0': 0, 'scrape-1k': 10, 'scrape-10k': 100, 'scrape-100k': 1000 },
    scrapes: 2,
  },
};
const PER_CONNECTION = valuesOf({ extra: true, retrans: true });
const REPLACE_MS = 1000;
/** Replacing hundreds of megabytes each second would measure the disk. */
const MOST_REPLACED_BYTES = 64e6;
const READY_MS = 60_000;
const STATIC = `
  const { createServer } = require('node:http');
  const body = require('node:fs').readFileSync(process.argv[1]);
  const server = createServer((_, response) => response.writeHead(200, {
    'content-type': 'text/plain', 'content-length': body.length }).end(body));
  server.listen(0, '127.0.0.1', () => console.log('http://127.0.0.1:' + server.address().port + '/'));`;

/** A state file of so many connections. */
function stateFile(connections: number): Buffer {
  const snapshot = new Snapshot({ cap: Math.max(10_000, connections) });
  snapshot.add('netwatch_collection_interval_seconds', {}, 3600);
  for (let i = 0; i < connections; i++) {
    const sock = `ffff8881${(i * 2048).toString(16).padStart(8, '0')}`;
    const src = `10.1.${(i >> 8) & 255}.${i & 255}:${30_000 + (i >> 4)}`;
    const labels = connectionLabels(sock, src, '192.0.2.7:443');
    for (const [k, { family }] of PER_CONNECTION.entries())
      snapshot.add(family, labels, i * (k + 1) + 0.5);
  }
  return snapshot.text();
}

interface Server {
  readonly child: ChildProcess;
  readonly url: string;
}

/** Starts a server and gives the address that it prints. */
async function startServer(lab: Lab, program: string, args: readonly string[]): Promise<Server> {
  const child = lab.start(program, args);
  const words = listenTo(child, 'the server', [child.stdout, child.stderr]);
  const address = /http:\/\/127\.0\.0\.1:\d+/;
  await words.heard(address);
  return { child, url: address.exec(words.text())?.[0] ?? '' };
}

const agent = new Agent({ keepAlive: true, maxSockets: 1 });

/** Until its last byte. */
interface Scrape {
  readonly ms: number;
  readonly bytes: number;
}

/** What a client says it takes. */
type Headers = Readonly<Record<string, string>>;
const GZIP: Headers = { 'accept-encoding': 'gzip' };
const PLAIN: Headers = {};

function scrape(url: string, headers: Headers): Promise<Scrape> {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    get(url, { agent, headers }, (response) => {
      let bytes = 0;
      response.on('data', (chunk: Buffer) => (bytes += chunk.length));
      response.on('error', reject);
      response.on('end', () => {
        const { statusCode = 0 } = response;
        if (statusCode === 200) resolve({ ms: performance.now() - start, bytes });
        else reject(new Error(`status ${statusCode}`));
      });
    }).on('error', reject);
  });
}

interface Scrapes {
  /** ms */
  readonly p50: number;
  /** ms */
  readonly p99: number;
  readonly bytes: number;
}

/** So many scrapes of each address in turn, after one that prepares. */
async function scrapeOften(
  urls: readonly string[],
  headers: Headers,
  times: number,
): Promise<Scrapes[]> {
  const all = urls.map(() => ({ bytes: 0, ms: [] as number[] }));
  for (const [i, url] of urls.entries()) all[i]!.bytes = (await scrape(url, headers)).bytes;
  for (let time = 0; time < times; time++)
    for (const [i, url] of urls.entries()) all[i]!.ms.push((await scrape(url, headers)).ms);
  return all.map(({ bytes, ms }) => ({ p50: median(ms), p99: quantile(ms, 0.99), bytes }));
}

/** Replaces the file once a second, as the collector does, until the returned function is called. */
function keepReplacing(path: string, body: Buffer): () => Promise<void> {
  const end = new AbortController();
  const replace = async (): Promise<void> => {
    while (!end.signal.aborted) {
      await writeFile(`${path}.tmp`, body);
      await rename(`${path}.tmp`, path);
      await sleep(REPLACE_MS, undefined, { signal: end.signal }).catch(() => undefined);
    }
  };
  const done = body.length <= MOST_REPLACED_BYTES ? replace() : Promise.resolve();
  return async () => {
    end.abort();
    await done;
  };
}

/** `netwatch serve` on a folder, once it serves the file in it whole. */
async function startEndpoint(lab: Lab, data: string, body: Buffer): Promise<Server> {
  const args = ['serve', '--data', data, '--listen', '127.0.0.1:0'];
  const { child, url } = await startServer(lab, LAUNCHER, args);
  const metrics = `${url}/metrics`;
  const deadline = performance.now() + READY_MS;
  while ((await scrape(metrics, PLAIN)).bytes < body.length) {
    if (performance.now() > deadline) throw new Error('the endpoint does not serve the file');
    await sleep(20);
  }
  return { child, url: metrics };
}

const ms = (value: number): string => value.toFixed(value < 10 ? 2 : 0);
const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(bytes < 1e6 ? 3 : 1)} MB`;

interface Measured {
  readonly row: Row;
  /** Uncompressed, against a static buffer. */
  readonly ratio: number;
}

async function measureSize(lab: Lab, id: ScrapeId): Promise<Measured> {
  const { connections, scrapes } = lab.size(SIZES);
  const data = join(lab.folder, id);
  mkdirSync(data);
  const path = join(data, 'netwatch.prom');
  const body = stateFile(connections[id]);
  writeFileSync(path, body);
  const endpoint = await startEndpoint(lab, data, body);
  const stopReplacing = keepReplacing(path, body);
  const [gzip] = (await scrapeOften([endpoint.url], GZIP, scrapes)) as [Scrapes];
  const fixed = await startServer(lab, process.execPath, ['-e', STATIC, path]);
  const both = [endpoint.url, `${fixed.url}/`];
  const [plain, buffer] = (await scrapeOften(both, PLAIN, scrapes)) as [Scrapes, Scrapes];
  await stopReplacing();
  const peak = peakRssMb(endpoint.child.pid ?? 0);
  await stop(endpoint.child);
  await stop(fixed.child, 'SIGKILL');
  const detail =
    `${mb(gzip.bytes)} gzip, p99 ${ms(gzip.p99)} ms; ` +
    `uncompressed ${mb(plain.bytes)} p50 ${ms(plain.p50)}, p99 ${ms(plain.p99)} ms; ` +
    `static buffer p50 ${ms(buffer.p50)}, p99 ${ms(buffer.p99)} ms; endpoint at most ${peak.toFixed(0)} MB`;
  return { row: { id, value: gzip.p50, detail }, ratio: plain.p50 / buffer.p50 };
}

export const rows: RowModule = {
  ids: [...IDS, 'scrape-static'],
  measure: async (lab, wanted) => {
    const measured: Row[] = [];
    for (const id of IDS) {
      const isCompared = id === 'scrape-10k' && wanted.has('scrape-static');
      if (!wanted.has(id) && !isCompared) continue;
      const { row, ratio } = await measureSize(lab, id);
      measured.push(row);
      if (isCompared) measured.push({ id: 'scrape-static', value: ratio, detail: row.detail });
    }
    agent.destroy();
    return measured;
  },
};
