// `netwatch netqtop`: packets and bytes of each queue, against what was sent and what the device has counted.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import t, { type Test } from 'tap';
import { provoke } from '../support/provoke.js';
import type { Json } from '../support/ndjson.js';
import {
  createQueuePair,
  DEVICE,
  HEADER_BYTES,
  linkCounters,
  sendDatagrams,
  sendThrough,
  type QueuePair,
} from '../support/nic.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { PROGRAM, temporaryFolder } from '../support/collector.js';
import { parseExposition, total } from '../support/samples.js';
import { needsRoot } from '../support/skip.js';
import { startTool } from '../support/tool.js';

const skip = needsRoot;

/** No report but the one at the end. */
const AT_END = ['-n', DEVICE, '-i', '1000'];

const HEAD = ' QueueID    avg_size   [0, 64)    [64, 512)  [512, 2K)  [2K, 16K)  [16K, 64K) ';

/** Frames at the ends of each class of sizes, and how many. */
const AT_BORDERS = { 63: 3, 64: 5, 511: 7, 512: 11, 2047: 13, 2048: 17, 16_383: 19, 16_384: 23 };

/** Two queues, all sizes. */
async function sendSizes(pair: QueuePair): Promise<void> {
  await sendThrough(pair, 2, 100, 307);
  for (const [bytes, count] of Object.entries(AT_BORDERS))
    await sendThrough(pair, 3, Number(bytes) - HEADER_BYTES, count);
  await sendDatagrams(pair.left, '127.0.0.1', 100, 23);
}

t.test('each queue has the packets that were sent through it, by size', { skip }, async (t) => {
  const pair = createQueuePair(t, 4);
  const wanted = [
    'TX',
    HEAD,
    ' 0          0          0          0          0          0          0          ',
    ' 1          0          0          0          0          0          0          ',
    ' 2          142.0      0          307        0          0          0          ',
    ' 3          7.57K      3          12         24         36         23         ',
    ' Total      1.94K      3          319        24         36         23         ',
    '',
    'RX',
    HEAD,
    ...[0, 1, 2, 3].map((queue) => ` ${queue}${'          0'.repeat(6)}          `),
    ' Total      0          0          0          0          0          0          ',
    '-'.repeat(77),
  ];
  const found = await provoke(
    async () => {
      const running = await startTool(t, pair.left, 'netqtop', AT_END);
      await sendSizes(pair);
      await running.stop();
      return running.lines();
    },
    (lines) => lines.slice(1).join('\n') === wanted.join('\n'),
  );
  t.match(found[0], /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ 1-3]\d \d\d:\d\d:\d\d 20\d\d$/);
  t.strictSame(found.slice(1), wanted);
});

const BURSTS = 12;
const BURST = 101;
const payloadOf = (burst: number): number => 200 + burst;

/** Packets and bytes sent, then received. */
type Totals = readonly (readonly [packets: number, bytes: number])[];

function totalsOf(value: (direction: string, field: 'packets' | 'bytes') => number): Totals {
  return ['transmit', 'receive'].map((direction) => [
    value(direction, 'packets'),
    value(direction, 'bytes'),
  ]);
}

/** What all reports say together, of one queue or of all. */
const reported = (rows: readonly Json[], only?: number): Totals =>
  totalsOf((direction, field) =>
    rows
      .filter((row) => row['network_io_direction'] === direction)
      .filter((row) => only === undefined || row['queue'] === only)
      .reduce((sum, row) => sum + Number(row[field]), 0),
  );

function kept(folder: string): Totals {
  const { samples } = parseExposition(readFileSync(join(folder, 'netqtop.prom'), 'utf8'));
  return totalsOf((network_io_direction, field) =>
    total(samples, `netwatch_nic_queue_${field}_total`, { network_io_direction }),
  );
}

async function ofDevice(namespace: Namespace): Promise<Totals> {
  const { tx, rx } = await linkCounters(namespace);
  return [tx, rx].map(({ packets, bytes }) => [packets, bytes] as const);
}

const minus = (a: Totals, b: Totals): Totals =>
  a.map(([packets, bytes], i) => [packets - (b[i]?.[0] ?? 0), bytes - (b[i]?.[1] ?? 0)] as const);

/** A side of the pair at work: reports many times, and keeps a file. */
async function watch(t: Test, namespace: Namespace): Promise<() => Promise<Seen>> {
  const folder = temporaryFolder(t);
  const before = await ofDevice(namespace);
  const args = ['-n', DEVICE, '-i', '0.05', '-o', 'json', '--data', folder];
  const running = await startTool(t, namespace, 'netqtop', args);
  return async () => {
    await running.stop();
    const rows = running.objects();
    const device = minus(await ofDevice(namespace), before);
    return { rows, reported: reported(rows), kept: kept(folder), device };
  };
}

interface Seen {
  readonly rows: readonly Json[];
  readonly reported: Totals;
  readonly kept: Totals;
  readonly device: Totals;
}

t.test('both ends count what the device counts, over all reports', { skip }, async (t) => {
  const pair = createQueuePair(t, 3);
  const sides = await provoke(
    async () => {
      const watching = await Promise.all([watch(t, pair.left), watch(t, pair.right)]);
      for (let i = 0; i < BURSTS; i++) await sendThrough(pair, i % 3, payloadOf(i), BURST);
      return Promise.all(watching.map((finish) => finish()));
    },
    (seen) => seen.every(({ reported, device }) => isDeepStrictEqual(reported, device)),
  );
  const bytes = Array.from({ length: BURSTS }, (_, i) => BURST * (payloadOf(i) + HEADER_BYTES));
  const sent = [BURSTS * BURST, bytes.reduce((a, b) => a + b)] as const;
  const [left, right] = sides;
  t.strictSame(left?.device, [sent, [0, 0]], 'the device has sent them');
  t.strictSame(right?.device, [[0, 0], sent], 'and received');
  for (const { reported, kept, device } of sides) {
    t.strictSame(reported, device);
    t.strictSame(kept, device, 'the file too');
  }
  const times = new Set(left?.rows.map(({ time }) => time));
  t.ok(times.size > 2, `${times.size} reports`);
  const queues = [0, 1, 2].map((queue) => reported(left?.rows ?? [], queue)[0]?.[0]);
  t.strictSame(queues, [404, 404, 404], 'a third through each queue');
});

t.test('-t, -i, -c and the formats change what they should', { skip }, async (t) => {
  const pair = createQueuePair(t, 2);
  const rates = await startTool(t, pair.left, 'netqtop', [...AT_END, '-t']);
  await sendThrough(pair, 1, 100, 10);
  await rates.stop();
  const lines = rates.lines();
  t.equal(lines[2], `${HEAD}BPS        PPS        `);
  t.match(lines[4], /^ 1 {10}142\.0 {6}0 {10}10( +0){3} +[\d.]+[KM]? +[\d.]+[KM]? +$/);
  t.equal(lines.at(-1), '-'.repeat(95));
  const three = await startTool(t, pair.left, 'netqtop', ['-n', DEVICE, '-i', '0.1', '-c', '3']);
  t.strictSame(await three.exited, { code: 0, signal: null });
  t.equal(three.lines().filter((line) => line === 'TX').length, 3);
  const csv = await startTool(t, pair.left, 'netqtop', [...AT_END, '-o', 'csv']);
  await sendThrough(pair, 0, 100, 5);
  await csv.stop();
  t.match(csv.lines()[0], /^TIME,DEVICE,DIRECTION,QUEUE,PACKETS,BYTES,AVERAGE_BYTES,/);
  t.match(csv.lines()[1], /^[^,]+,veth0,transmit,0,5,710,142,0,5,0,0,0,/);
  t.equal(csv.lines().length, 1 + 4, 'one head, two directions with two queues');
});

function refused(args: readonly string[]): Promise<{ code: unknown; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [PROGRAM, 'netqtop', ...args], (error, _, stderr) => {
      resolve({ code: error?.code ?? 0, stderr });
    });
  });
}

t.test('a device that is not there or has too many queues is refused', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const big = ['add', 'big0', 'numtxqueues', '1025', 'type', 'veth', 'peer', 'name', 'big1'];
  namespace.execSync('ip', ['link', ...big]);
  const cases = [
    ['none0', /^netwatch: Net interface none0 does not exist\.\n {2}\S/],
    ['../net/lo', /^netwatch: Net interface \.\.\/net\/lo does not exist\.\n {2}\S/],
    ['big0', /^netwatch: number of queues over 1024 is not supported\n {2}big0 has 1025/],
  ] as const;
  for (const [name, says] of cases) {
    const { code, stderr } = await refused(['-n', name, '--netns', namespace.name]);
    t.equal(code, 2, name);
    t.match(stderr, says);
  }
  const elsewhere = createNamespace(t);
  const { stderr } = await refused(['-n', 'big0', '--netns', elsewhere.name]);
  t.match(stderr, /big0 does not exist/, 'of another namespace');
});
