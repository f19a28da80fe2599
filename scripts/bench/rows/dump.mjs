/**
 * 10,000 open connections (5,000 with both ends here): pulled from the kernel and formatted, beside
 * ss; and netwatch's memory with them.
 */
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConnectionTable } from '../../../build/collector/connection-table.js';
import { createClock } from '../../../build/kernel/clock.js';
import { ByteWriter } from '../../../build/metrics/bytes.js';
import { ConnectionSource } from '../../../build/sources/connection.js';
import { NO_FILTER } from '../../../build/sources/filter.js';
import { EVERYTHING, startCollector } from '../collector.mjs';
import { startLoad } from '../load.mjs';
import { peakRssMb, rssMb } from '../process.mjs';
import { median } from '../statistics.mjs';

export const ids = ['dump', 'dump-ss', 'dump-extra', 'rss-10k'];

const PAIRS = 5000;
const MOST_SECONDS = 120;
const RUNS = 15;
const PEER_RUNS = 5;
const RING_BYTES = 1 << 20;
/** Several intervals of one second, the first with every line. */
const COLLECTOR_MS = 5000;

/** Median duration in ms of `runs` calls. */
function timed(/** @type {number} */ runs, /** @type {() => void} */ action) {
  const durations = Array.from({ length: runs }, () => {
    const start = performance.now();
    action();
    return performance.now() - start;
  });
  return median(durations);
}

/** Pulls everything into a new table, so that every connection gives its lines. */
function pullAndFormat(
  /** @type {ConnectionSource} */ source,
  /** @type {string} */ path,
  /** @type {boolean} */ extra,
  /** @type {ByteWriter} */ out,
) {
  const toWallMs = createClock().toWallMs;
  const table = new ConnectionTable({ all: false, extra, retransmits: extra }, out, toWallMs);
  out.reset();
  table.beginDump();
  const count = source.dump(path, (connection) => table.sampled(connection));
  table.endDump();
  return { count, lines: table.takeLines(), bytes: out.length, table };
}

/** A pull into a table that has seen them all: only what changed gives lines. */
function pullAgain(/** @type {ConnectionSource} */ source, /** @type {string} */ path, table) {
  table.beginDump();
  source.dump(path, (connection) => table.sampled(connection));
  table.endDump();
}

/** @param {import('../lab.mjs').Lab} lab */
function ownRows(lab) {
  const filter = { ...NO_FILTER, namespaces: [lab.inode] };
  const source = new ConnectionSource({ filter, retransmits: true, ringBytes: RING_BYTES });
  source.seedOwners();
  const out = new ByteWriter(1 << 24);
  const pullMs = timed(RUNS, () => source.dump(lab.path, () => undefined));
  const plainMs = timed(RUNS, () => pullAndFormat(source, lab.path, false, out));
  const plain = pullAndFormat(source, lab.path, false, out);
  const extraMs = timed(PEER_RUNS, () => pullAndFormat(source, lab.path, true, out));
  const extra = pullAndFormat(source, lab.path, true, out);
  const againMs = timed(RUNS, () => pullAgain(source, lab.path, extra.table));
  // Detached, not closed: the maps that all sources of a process share are this one's.
  source.source.detach();
  const size = (/** @type {typeof plain} */ { lines, bytes }) =>
    `${lines.toLocaleString('en-US')} lines, ${(bytes / 1e6).toFixed(1)} MB`;
  const ssMs = (/** @type {string} */ flags) =>
    timed(PEER_RUNS, () => lab.runInside('sh', ['-c', `ss ${flags} | wc -l`]));
  const [tanMs, tianMs] = [ssMs('-tan'), ssMs('-tian')];
  return [
    {
      id: 'dump',
      value: plainMs,
      detail: `${plain.count.toLocaleString('en-US')} sockets: pull and decode alone ${pullMs.toFixed(1)} ms; ${size(plain)}`,
    },
    {
      id: 'dump-ss',
      value: plainMs / tianMs,
      detail: `ss -tan ${tanMs.toFixed(1)} ms, ss -tian ${tianMs.toFixed(1)} ms`,
    },
    {
      id: 'dump-extra',
      value: extraMs,
      detail: `${size(extra)}; a later pull, without changes, ${againMs.toFixed(1)} ms`,
    },
  ];
}

/** @param {import('../lab.mjs').Lab} lab */
async function memoryRow(lab) {
  const collector = await startCollector(lab, [...EVERYTHING, '--interval', '1']);
  await sleep(COLLECTOR_MS);
  const [value, peak] = [rssMb(collector.pid), peakRssMb(collector.pid)];
  const { lostLines } = await collector.stop();
  const losses = lostLines > 0 ? `; ${lostLines} lines of connects.log lost` : '';
  return {
    id: 'rss-10k',
    value,
    detail: `with \`-x -r -t -i -e\`; most so far ${peak.toFixed(1)} MB${losses}`,
  };
}

/** @param {import('../lab.mjs').Lab} lab @param {ReadonlySet<string>} wanted */
export async function measure(lab, wanted) {
  const load = await startLoad(lab, 'hold', { seconds: MOST_SECONDS, count: PAIRS });
  const rows = ids.some((id) => id !== 'rss-10k' && wanted.has(id)) ? ownRows(lab) : [];
  if (wanted.has('rss-10k')) rows.push(await memoryRow(lab));
  await load.stop();
  return rows;
}
