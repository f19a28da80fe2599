/**
 * How long a scrape takes: `netwatch serve` on a netwatch.prom with 0 to 100,000 connections, every
 * family of `-x` for each, against a server that sends the same bytes from a buffer. As Prometheus
 * asks for it (gzip), and uncompressed. Meanwhile the file is replaced once a second.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectionLabels } from '../../../build/metrics/exposition.js';
import { FAMILIES, FAMILY_NAMES } from '../../../build/metrics/families.js';
import { Snapshot } from '../../../build/metrics/snapshot.js';
import { ROOT, stop } from '../lab.mjs';
import { peakRssMb } from '../process.mjs';
import { median, quantile } from '../statistics.mjs';

/** Connections by row. */
const SIZES = { 'scrape-0': 0, 'scrape-1k': 1000, 'scrape-10k': 10_000, 'scrape-100k': 100_000 };
export const ids = [...Object.keys(SIZES), 'scrape-static'];

const SCRAPES = 50;
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
function stateFile(/** @type {number} */ connections) {
  const snapshot = new Snapshot({ cap: Math.max(10_000, connections) });
  snapshot.add('netwatch_collection_interval_seconds', {}, 3600);
  const perConnection = FAMILY_NAMES.filter(
    (name) => FAMILIES[name].file === 'connects' && FAMILIES[name].labels.length === 3,
  );
  for (let i = 0; i < connections; i++) {
    const sock = `ffff8881${(i * 2048).toString(16).padStart(8, '0')}`;
    const src = `10.1.${(i >> 8) & 255}.${i & 255}:${30_000 + (i >> 4)}`;
    const labels = connectionLabels(sock, src, '192.0.2.7:443');
    for (const [k, name] of perConnection.entries()) snapshot.add(name, labels, i * (k + 1) + 0.5);
  }
  return snapshot.text();
}

/** Starts a server and gives the address that it prints. */
async function startServer(
  /** @type {import('../lab.mjs').Lab} */ lab,
  /** @type {readonly string[]} */ args,
) {
  const child = lab.start(process.execPath, args);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said += text));
  const deadline = performance.now() + READY_MS;
  for (;;) {
    const url = /http:\/\/127\.0\.0\.1:\d+/.exec(said)?.[0];
    if (url !== undefined) return { child, url };
    if (child.exitCode !== null || performance.now() > deadline)
      throw new Error(`no address: ${said}`);
    await sleep(5);
  }
}

const agent = new Agent({ keepAlive: true, maxSockets: 1 });

/** One scrape: ms until its last byte, and how many bytes came. */
function scrape(/** @type {string} */ url, /** @type {Record<string, string>} */ headers) {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    get(url, { agent, headers }, (response) => {
      let bytes = 0;
      response.on('data', (chunk) => (bytes += chunk.length));
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode !== 200) reject(new Error(`status ${response.statusCode}`));
        else resolve({ ms: performance.now() - start, bytes });
      });
    }).on('error', reject);
  });
}

/** p50 and p99 of the scrapes, in ms, after one that prepares. */
async function scrapes(/** @type {string} */ url, /** @type {Record<string, string>} */ headers) {
  await scrape(url, headers);
  const all = [];
  for (let i = 0; i < SCRAPES; i++) all.push(await scrape(url, headers));
  const times = all.map(({ ms }) => ms);
  return { p50: median(times), p99: quantile(times, 0.99), bytes: all.at(-1).bytes };
}

/** Replaces the file once a second, as the collector does, until it is told to stop. */
function keepReplacing(/** @type {string} */ path, /** @type {Buffer} */ body) {
  let on = body.length <= MOST_REPLACED_BYTES;
  const done = (async () => {
    while (on) {
      await writeFile(`${path}.tmp`, body);
      await rename(`${path}.tmp`, path);
      await sleep(REPLACE_MS);
    }
  })();
  return async () => {
    on = false;
    await done;
  };
}

const ms = (/** @type {number} */ value) => value.toFixed(value < 10 ? 2 : 0);
const mb = (/** @type {number} */ bytes) => `${(bytes / 1e6).toFixed(bytes < 1e6 ? 3 : 1)} MB`;

/** @param {import('../lab.mjs').Lab} lab @param {string} id @param {number} connections */
async function measureSize(lab, id, connections) {
  const data = join(lab.folder, id);
  mkdirSync(data);
  const path = join(data, 'netwatch.prom');
  writeFileSync(path, stateFile(connections));
  const program = join(ROOT, 'build', 'main.js');
  const endpoint = await startServer(lab, [
    program,
    'serve',
    '--data',
    data,
    '--listen',
    '127.0.0.1:0',
  ]);
  const metrics = `${endpoint.url}/metrics`;
  const ready = performance.now() + READY_MS;
  while ((await scrape(metrics, {})).bytes < readFileSync(path).length)
    if (performance.now() > ready) throw new Error('the endpoint does not serve the file');
    else await sleep(20);
  const stopReplacing = keepReplacing(path, readFileSync(path));
  const gzip = await scrapes(metrics, { 'accept-encoding': 'gzip' });
  const plain = await scrapes(metrics, {});
  await stopReplacing();
  const peak = peakRssMb(endpoint.child.pid);
  await stop(endpoint.child);
  const fixed = await startServer(lab, ['-e', STATIC, path]);
  const buffer = await scrapes(`${fixed.url}/`, {});
  await stop(fixed.child, 'SIGKILL');
  return {
    ratio: plain.p50 / buffer.p50,
    row: {
      id,
      value: gzip.p50,
      detail:
        `${mb(gzip.bytes)} gzip, p99 ${ms(gzip.p99)} ms; ` +
        `uncompressed ${mb(plain.bytes)} p50 ${ms(plain.p50)}, p99 ${ms(plain.p99)} ms; ` +
        `static buffer p50 ${ms(buffer.p50)}, p99 ${ms(buffer.p99)} ms; endpoint at most ${peak.toFixed(0)} MB`,
    },
  };
}

/** @param {import('../lab.mjs').Lab} lab @param {ReadonlySet<string>} wanted */
export async function measure(lab, wanted) {
  const rows = [];
  for (const [id, connections] of Object.entries(SIZES)) {
    const forRatio = id === 'scrape-10k' && wanted.has('scrape-static');
    if (!wanted.has(id) && !forRatio) continue;
    const { row, ratio } = await measureSize(lab, id, connections);
    rows.push(row);
    if (forRatio) rows.push({ id: 'scrape-static', value: ratio, detail: row.detail });
  }
  agent.destroy();
  return rows;
}
