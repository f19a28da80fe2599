/**
 * What a packet costs, in the kernel and in netwatch: 1-byte request/response at full speed, two
 * packets per exchange, each seen when sent and when received.
 */
import { closeSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RowId } from '../bar.js';
import { EVERYTHING, startCollector } from '../collector.js';
import { segments, type Lab, type Sizes } from '../lab.js';
import { runLoad, type LoadOptions } from '../load.js';
import { cpuNs, userNs } from '../process.js';
import type { RowModule } from '../row-module.js';
import type { Row } from '../table.js';
import { costs, hooksOf, netNs, openKernelMeter, type Cost } from '../twin.js';

interface PacketSize {
  /** Until the optimizing compiler has seen netwatch's hot path. */
  readonly warmUp: LoadOptions;
  readonly measured: LoadOptions;
  readonly referenceRecords: number;
}

const SIZES: Sizes<PacketSize> = {
  full: { warmUp: { seconds: 1 }, measured: { seconds: 4 }, referenceRecords: 400_000 },
  smoke: {
    warmUp: { seconds: 1, count: 100 },
    measured: { seconds: 1, count: 2000 },
    referenceRecords: 20_000,
  },
};
/** Longer than netwatch waits between two drains. */
const SETTLE_MS = 300;
/** Beyond this share of packets that are not ours, the kernel row is not judged. */
const FOREIGN = 0.02;
const REFERENCE_BLOCK = 64 << 10;

interface Case {
  readonly kernel: RowId;
  readonly user: RowId;
  readonly args: readonly string[];
}

const DEFAULT: Case = { kernel: 'kernel-packet', user: 'user-packet', args: [] };
const CASES: readonly Case[] = [
  DEFAULT,
  { kernel: 'kernel-packet-time', user: 'user-packet-time', args: ['-t'] },
  { kernel: 'kernel-packet-all', user: 'user-packet-all', args: EVERYTHING },
];
const COMBINED = ['user-reference', 'total-packet'] as const;

/** Programs that see each packet once: those with layer times take the place of the others. */
const SEEING = ['packet_ingress', 'packet_egress', 'timed_ingress', 'timed_egress'];

function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/**
 * CPU in ns per record of the plain way to write the same line: a template string per record,
 * collected into 64 KiB and written at once.
 */
function referenceNs(lab: Lab): number {
  const { referenceRecords } = lab.size(SIZES);
  const path = join(lab.folder, 'reference');
  const fd = openSync(path, 'w');
  const sock = 'ffff8b0a4c3d2e80';
  let block = '';
  let startUs = 0;
  for (let i = -referenceRecords; i < referenceRecords; i++) {
    if (i === 0) startUs = cpuUs(); // the first half was the warm-up
    const src = `127.0.0.1:${40_000 + (i & 1)}`;
    block += `netwatch_packet_bytes{sock="${sock}",src="${src}",dst="127.0.0.1:41217",seq="${
      i + 3_000_000_000
    }",ack="${i + 2_000_000_000}",rx="${i & 1}"} 1 ${1_700_000_000_000 + i}\n`;
    if (block.length < REFERENCE_BLOCK) continue;
    writeSync(fd, block);
    block = '';
  }
  const ns = ((cpuUs() - startUs) * 1000) / referenceRecords;
  closeSync(fd);
  unlinkSync(path);
  return ns;
}

interface Measured {
  readonly list: readonly Cost[];
  /** Packets that the programs saw, and those that there were. */
  readonly seen: number;
  readonly packets: number;
  readonly seconds: number;
  readonly lost: number;
  readonly kernelNs: number;
  readonly userNs: number;
  readonly userShare: number;
}

const runsOf = (list: readonly Cost[], name: string): number =>
  list.find(({ program }) => program === name)?.runs ?? 0;

async function measureCase(lab: Lab, args: readonly string[]): Promise<Measured> {
  const size = lab.size(SIZES);
  const collector = await startCollector(lab, args);
  const meter = openKernelMeter(collector.pid);
  const { pid } = collector;
  const read = (): { cpu: number; user: number; packets: number } => ({
    cpu: cpuNs(pid),
    user: userNs(pid),
    packets: segments(lab),
  });
  await runLoad(lab, 'rr', size.warmUp);
  await sleep(SETTLE_MS);
  const before = { kernel: meter.read(), ...read() };
  const { seconds } = await runLoad(lab, 'rr', size.measured);
  await sleep(SETTLE_MS);
  const after = { kernel: meter.read(), ...read() };
  meter.close();
  const { lostInRing, lostInFile } = await collector.stop();
  const list = costs(before.kernel, after.kernel);
  const seen = SEEING.reduce((sum, program) => sum + runsOf(list, program), 0);
  const packets = after.packets - before.packets;
  const lost = lostInRing + lostInFile;
  const cpu = after.cpu - before.cpu;
  return {
    list,
    seen,
    packets,
    seconds,
    lost,
    kernelNs: netNs(list) / seen,
    userNs: cpu / (packets - lost),
    userShare: (after.user - before.user) / cpu,
  };
}

function kernelRow(id: RowId, { list, seen, packets, kernelNs }: Measured): Row {
  const foreign = Math.abs(seen / packets - 1);
  const all = list.reduce((sum, { runs, ours }) => sum + runs * ours, 0) / seen;
  const twins = list.reduce((sum, { runs, twin }) => sum + runs * twin, 0) / seen;
  return {
    id,
    value: kernelNs,
    detail: `${Math.round(all)} ns, less ${Math.round(twins)} ns of empty programs at the same hooks; ${seen.toLocaleString('en-US')} packets`,
    ...(foreign > FOREIGN && {
      refused: `${(foreign * 100).toFixed(1)} % of the packets were other traffic`,
    }),
    hooks: hooksOf(list, seen),
  };
}

function userRow(id: RowId, { packets, lost, seconds, userNs: value, userShare }: Measured): Row {
  const rate = Math.round((packets - lost) / seconds).toLocaleString('en-US');
  const losses = lost > 0 ? `; ${lost} lost` : '';
  const detail = `${Math.round(userShare * 100)} % of it in user mode; ${rate} records/s${losses}`;
  return { id, value, detail };
}

function combinedRows({ kernelNs, userNs: ns }: Measured, reference: number): Row[] {
  return [
    {
      id: 'user-reference',
      value: ns / reference,
      detail: `the loop takes ${Math.round(reference)} ns per line`,
    },
    {
      id: 'total-packet',
      value: kernelNs + ns,
      detail: 'default options; tcptop publishes 1,300 ns',
    },
  ];
}

export const rows: RowModule = {
  ids: [...CASES.flatMap(({ kernel, user }) => [kernel, user]), ...COMBINED],
  measure: async (lab, wanted) => {
    const measured: Row[] = [];
    for (const one of CASES) {
      const combined = one === DEFAULT && COMBINED.some((id) => wanted.has(id));
      if (!wanted.has(one.kernel) && !wanted.has(one.user) && !combined) continue;
      const result = await measureCase(lab, one.args);
      measured.push(kernelRow(one.kernel, result), userRow(one.user, result));
      if (combined) measured.push(...combinedRows(result, referenceNs(lab)));
    }
    return measured;
  },
};
