/**
 * 10,000 open connections (5,000 with both ends here): pulled from the kernel and formatted, beside
 * ss; and netwatch's memory with them.
 */
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConnectionTable } from '../../../src/collector/connection-table.js';
import { createClock } from '../../../src/kernel/clock.js';
import { ByteWriter } from '../../../src/metrics/bytes.js';
import type { ConnectionSource } from '../../../src/sources/connection.js';
import { EVERYTHING, startCollector } from '../collector.js';
import type { Lab, Sizes } from '../lab.js';
import { startLoad } from '../load.js';
import { openOwn } from '../own.js';
import { peakRssMb, rssMb } from '../process.js';
import type { RowModule } from '../row-module.js';
import { median } from '../statistics.js';
import type { Row } from '../table.js';

interface DumpSize {
  readonly pairs: number;
  readonly runs: number;
  readonly peerRuns: number;
  /** Several intervals of one second, the first with every line. */
  readonly collectorMs: number;
}

const SIZES: Sizes<DumpSize> = {
  full: { pairs: 5000, runs: 15, peerRuns: 5, collectorMs: 5000 },
  smoke: { pairs: 50, runs: 1, peerRuns: 1, collectorMs: 1500 },
};
const MOST_SECONDS = 120;

/** Median duration in ms of `runs` calls. */
function timed(runs: number, action: () => unknown): number {
  const durations = Array.from({ length: runs }, () => {
    const start = performance.now();
    action();
    return performance.now() - start;
  });
  return median(durations);
}

/** What a pull gave. */
interface Pulled {
  readonly count: number;
  readonly lines: number;
  readonly bytes: number;
  readonly table: ConnectionTable;
}

function pull(source: ConnectionSource, path: string, table: ConnectionTable): number {
  table.beginDump();
  const count = source.dump(path, (connection) => table.sampled(connection));
  table.endDump();
  return count;
}

/** Pulls everything into a new table, so that every connection gives its lines. */
function pullAndFormat(
  source: ConnectionSource,
  path: string,
  extra: boolean,
  out: ByteWriter,
): Pulled {
  const clock = createClock();
  const toWallMs = (ns: number): number => clock.toWallMs(ns);
  const options = { all: false, extra, retrans: extra, connects: 'changes' } as const;
  const table = new ConnectionTable(options, out, toWallMs);
  out.reset();
  const count = pull(source, path, table);
  return { count, lines: table.takeLines(), bytes: out.length, table };
}

const sizeOf = ({ lines, bytes }: Pulled): string =>
  `${lines.toLocaleString('en-US')} lines, ${(bytes / 1e6).toFixed(1)} MB`;

function ownRows(lab: Lab): Row[] {
  const { runs, peerRuns } = lab.size(SIZES);
  const { sources } = openOwn(lab, ['-r']);
  sources.packets?.source.detach();
  const source = sources.connections;
  source.seedOwners();
  const out = new ByteWriter(1 << 24);
  const format = (extra: boolean): Pulled => pullAndFormat(source, lab.path, extra, out);
  const pullMs = timed(runs, () => source.dump(lab.path, () => undefined));
  const plainMs = timed(runs, () => format(false));
  const plain = format(false);
  const extraMs = timed(peerRuns, () => format(true));
  const extra = format(true);
  // Into a table that has seen them all: only what changed gives lines.
  const againMs = timed(runs, () => pull(source, lab.path, extra.table));
  // Detached, not closed: the maps that all sources of a process share are these.
  source.source.detach();
  const ssMs = (flags: string): number =>
    timed(peerRuns, () => lab.runInside('sh', ['-c', `ss ${flags} | wc -l`]));
  const [tanMs, tianMs] = [ssMs('-tan'), ssMs('-tian')];
  return [
    {
      id: 'dump',
      value: plainMs,
      detail: `${plain.count.toLocaleString('en-US')} sockets: pull and decode alone ${pullMs.toFixed(1)} ms; ${sizeOf(plain)}`,
    },
    {
      id: 'dump-ss',
      value: plainMs / tianMs,
      detail: `ss -tan ${tanMs.toFixed(1)} ms, ss -tian ${tianMs.toFixed(1)} ms`,
    },
    {
      id: 'dump-extra',
      value: extraMs,
      detail: `${sizeOf(extra)}; a later pull, without changes, ${againMs.toFixed(1)} ms`,
    },
  ];
}

async function memoryRow(lab: Lab): Promise<Row> {
  const collector = await startCollector(lab, [...EVERYTHING, '--interval', '1']);
  await sleep(lab.size(SIZES).collectorMs);
  const [value, peak] = [rssMb(collector.pid), peakRssMb(collector.pid)];
  const { lostLines } = await collector.stop();
  const losses = lostLines > 0 ? `; ${lostLines} lines of connects.log lost` : '';
  return {
    id: 'rss-10k',
    value,
    detail: `with \`-x -r -t -i -e\`; most so far ${peak.toFixed(1)} MB${losses}`,
  };
}

const OWN = ['dump', 'dump-ss', 'dump-extra'] as const;

export const rows: RowModule = {
  ids: [...OWN, 'rss-10k'],
  measure: async (lab, wanted) => {
    const count = lab.size(SIZES).pairs;
    const load = await startLoad(lab, 'hold', { seconds: MOST_SECONDS, count });
    const measured = OWN.some((id) => wanted.has(id)) ? ownRows(lab) : [];
    if (wanted.has('rss-10k')) measured.push(await memoryRow(lab));
    await load.stop();
    return measured;
  },
};
