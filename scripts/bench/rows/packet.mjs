/**
 * What a packet costs, in the kernel and in netwatch: 1-byte request/response at full speed, two
 * packets per exchange, each seen when sent and when received.
 */
import { closeSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EVERYTHING, startCollector } from '../collector.mjs';
import { segments } from '../lab.mjs';
import { runLoad } from '../load.mjs';
import { cpuNs, userNs } from '../process.mjs';
import { costs, netNs, openKernelMeter } from '../twin.mjs';

/** Until the optimizing compiler has seen netwatch's hot path. */
const WARM_UP_SECONDS = 1;
const SECONDS = 4;
/** Longer than netwatch waits between two drains. */
const SETTLE_MS = 300;
/** Beyond this share of packets that are not ours, the kernel row is not judged. */
const FOREIGN = 0.02;

const CASES = [
  { suffix: '', args: [] },
  { suffix: '-time', args: ['-t'] },
  { suffix: '-all', args: EVERYTHING },
];

export const ids = [
  ...CASES.flatMap(({ suffix }) => [`kernel-packet${suffix}`, `user-packet${suffix}`]),
  'user-reference',
  'total-packet',
];

const REFERENCE_RECORDS = 400_000;
const REFERENCE_BLOCK = 64 << 10;

/**
 * CPU in ns per record of the plain way to write the same line: a template string per record,
 * collected into 64 KiB and written at once.
 * @param {import('../lab.mjs').Lab} lab
 */
export function referenceNs(lab) {
  const path = join(lab.folder, 'reference');
  const fd = openSync(path, 'w');
  const sock = 'ffff8b0a4c3d2e80';
  let block = '';
  let startUs = 0;
  for (let i = -REFERENCE_RECORDS; i < REFERENCE_RECORDS; i++) {
    if (i === 0) startUs = cpuUs(); // the first half was the warm-up
    const src = `127.0.0.1:${40_000 + (i & 1)}`;
    block += `netwatch_packet_bytes{sock="${sock}",src="${src}",dst="127.0.0.1:41217",seq="${
      i + 3_000_000_000
    }",ack="${i + 2_000_000_000}",rx="${i & 1}"} 1 ${1_700_000_000_000 + i}\n`;
    if (block.length < REFERENCE_BLOCK) continue;
    writeSync(fd, block);
    block = '';
  }
  const ns = ((cpuUs() - startUs) * 1000) / REFERENCE_RECORDS;
  closeSync(fd);
  unlinkSync(path);
  return ns;
}

/** Programs that see each packet once: those with layer times take the place of the others. */
const SEEING = ['packet_ingress', 'packet_egress', 'timed_ingress', 'timed_egress'];

function cpuUs() {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** @param {import('../lab.mjs').Lab} lab @param {readonly string[]} args */
async function measureCase(lab, args) {
  const collector = await startCollector(lab, args);
  const meter = openKernelMeter(collector.pid);
  const { pid } = collector;
  const read = () => ({
    kernel: meter.read(),
    cpu: cpuNs(pid),
    user: userNs(pid),
    packets: segments(lab),
  });
  await runLoad(lab, 'rr', { seconds: WARM_UP_SECONDS });
  await sleep(SETTLE_MS);
  const before = read();
  await runLoad(lab, 'rr', { seconds: SECONDS });
  await sleep(SETTLE_MS);
  const after = read();
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
    lost,
    kernelNs: netNs(list) / seen,
    userNs: cpu / (packets - lost),
    userShare: (after.user - before.user) / cpu,
  };
}

function runsOf(/** @type {ReturnType<typeof costs>} */ list, /** @type {string} */ name) {
  return list.find(({ program }) => program === name)?.runs ?? 0;
}

/** @typedef {Awaited<ReturnType<typeof measureCase>>} Measured */

/** @returns {import('../table.mjs').Row} */
function kernelRow(/** @type {string} */ id, /** @type {Measured} */ m) {
  const foreign = Math.abs(m.seen / m.packets - 1);
  const all = m.list.reduce((sum, { runs, ours }) => sum + runs * ours, 0) / m.seen;
  const twins = m.list.reduce((sum, { runs, twin }) => sum + runs * twin, 0) / m.seen;
  return {
    id,
    value: m.kernelNs,
    detail: `${Math.round(all)} ns, less ${Math.round(twins)} ns of empty programs at the same hooks; ${m.seen.toLocaleString('en-US')} packets`,
    ...(foreign > FOREIGN && {
      refused: `${(foreign * 100).toFixed(1)} % of the packets were other traffic`,
    }),
    hooks: m.list.map(({ program, runs, ours, twin }) => ({
      program,
      runsPerPacket: runs / m.seen,
      ours,
      twin,
    })),
  };
}

/** @returns {import('../table.mjs').Row} */
function userRow(/** @type {string} */ id, /** @type {Measured} */ m) {
  const rate = Math.round((m.packets - m.lost) / SECONDS).toLocaleString('en-US');
  const lost = m.lost > 0 ? `; ${m.lost} lost` : '';
  const detail = `${Math.round(m.userShare * 100)} % of it in user mode; ${rate} records/s${lost}`;
  return { id, value: m.userNs, detail };
}

/** @returns {import('../table.mjs').Row[]} */
function combinedRows(/** @type {Measured} */ plain, /** @type {number} */ reference) {
  return [
    {
      id: 'user-reference',
      value: plain.userNs / reference,
      detail: `the loop takes ${Math.round(reference)} ns per line`,
    },
    {
      id: 'total-packet',
      value: plain.kernelNs + plain.userNs,
      detail: 'default options; tcptop publishes 1,300 ns',
    },
  ];
}

/**
 * @param {import('../lab.mjs').Lab} lab
 * @param {ReadonlySet<string>} wanted
 */
export async function measure(lab, wanted) {
  const rows = [];
  for (const { suffix, args } of CASES) {
    const combined = suffix === '' && (wanted.has('user-reference') || wanted.has('total-packet'));
    const [kernel, user] = [`kernel-packet${suffix}`, `user-packet${suffix}`];
    if (!wanted.has(kernel) && !wanted.has(user) && !combined) continue;
    const measured = await measureCase(lab, args);
    rows.push(kernelRow(kernel, measured), userRow(user, measured));
    if (combined) rows.push(...combinedRows(measured, referenceNs(lab)));
  }
  return rows;
}
