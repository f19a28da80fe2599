/**
 * What a short connection costs: in the kernel per state change, in all per connection, beside
 * tcplife and tcpstates on the same connections. On loopback both ends are watched, so each
 * connection counts as two, as on two hosts.
 */
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startCollector } from '../collector.mjs';
import { segments, stop } from '../lab.mjs';
import { PORT, runLoad } from '../load.mjs';
import { cpuNs, hasAttached, rssMb } from '../process.mjs';
import { costs, netNs, openKernelMeter } from '../twin.mjs';

export const ids = ['kernel-state', 'short-connection', 'closed', 'closed-tcplife'];

const WARM_UP_COUNT = 1009;
const COUNT = 5003; // prime: no accident makes the counts equal
const RATE = 1000;
const MOST_SECONDS = 15;
const SETTLE_MS = 500;
const ATTACH_MS = 3000;

/**
 * A peer that prints a line per event; null if it is not installed.
 * @param {import('../lab.mjs').Lab} lab
 * @param {string} command
 */
async function startPeer(lab, command) {
  const file = join(lab.folder, command);
  const fd = openSync(file, 'w');
  const child = lab.start(command, ['-T'], { stdio: ['ignore', fd, 'ignore'] });
  closeSync(fd);
  let missing = false;
  child.once('error', () => (missing = true));
  for (let waited = 0; waited < ATTACH_MS && !missing; waited += 20) {
    if (hasAttached(child.pid ?? 0)) return { command, child, file, pid: child.pid ?? 0 };
    await sleep(20);
  }
  child.kill();
  return null;
}

/** Lines of a peer's output that are about our connections. */
function linesOf(/** @type {string} */ file) {
  const ours = new RegExp(`\\s${PORT}\\s`);
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => ours.test(line)).length;
}

/** @param {import('../lab.mjs').Lab} lab */
async function measureChurn(lab) {
  const peers = [await startPeer(lab, 'tcplife'), await startPeer(lab, 'tcpstates')].filter(
    (peer) => peer !== null,
  );
  const collector = await startCollector(lab, []);
  const meter = openKernelMeter(collector.pid);
  const processes = [{ command: 'netwatch', pid: collector.pid }, ...peers];
  await runLoad(lab, 'churn', { seconds: MOST_SECONDS, rate: RATE, count: WARM_UP_COUNT });
  await sleep(SETTLE_MS);
  const read = () => ({
    kernel: meter.read(),
    segments: segments(lab),
    cpu: new Map(processes.map(({ command, pid }) => [command, cpuNs(pid)])),
  });
  const before = read();
  const { count } = await runLoad(lab, 'churn', {
    seconds: MOST_SECONDS,
    rate: RATE,
    count: COUNT,
  });
  await sleep(SETTLE_MS);
  const after = read();
  const rss = new Map(processes.map(({ command, pid }) => [command, rssMb(pid)]));
  meter.close();
  for (const { child } of peers) await stop(child);
  const { closed } = await collector.stop();
  return {
    list: costs(before.kernel, after.kernel),
    ends: 2 * count,
    packetsPerEnd: (after.segments - before.segments) / (2 * count),
    allEnds: 2 * (count + WARM_UP_COUNT),
    closed,
    cpuNs: (/** @type {string} */ name) =>
      ((after.cpu.get(name) ?? NaN) - (before.cpu.get(name) ?? NaN)) / (2 * count),
    rss,
    lines: new Map(peers.map(({ command, file }) => [command, linesOf(file)])),
  };
}

/** @typedef {Awaited<ReturnType<typeof measureChurn>>} Churn */

/** @returns {import('../table.mjs').Row} */
function stateRow(/** @type {Churn} */ m) {
  const hook = m.list.find(({ program }) => program === 'inet_sock_set_state');
  if (hook === undefined) return { id: 'kernel-state', value: null, detail: 'it did not run' };
  const { runs, ours, twin } = hook;
  return {
    id: 'kernel-state',
    value: ours - twin,
    detail: `${Math.round(ours)} ns, less ${Math.round(twin)} ns of an empty program; ${runs.toLocaleString('en-US')} changes`,
  };
}

/** @returns {import('../table.mjs').Row} */
function costRow(/** @type {Churn} */ m) {
  const kernelUs = netNs(m.list) / m.ends / 1000;
  const userUs = m.cpuNs('netwatch') / 1000;
  return {
    id: 'short-connection',
    value: kernelUs + userUs,
    detail: `kernel ${kernelUs.toFixed(1)} + netwatch ${userUs.toFixed(1)} µs; ${m.packetsPerEnd.toFixed(1)} packets per end, ${RATE} connections/s`,
    hooks: m.list.map(({ program, runs, ours, twin }) => ({
      program,
      runsPerPacket: runs / (m.ends * m.packetsPerEnd),
      ours,
      twin,
    })),
  };
}

/** @returns {import('../table.mjs').Row[]} */
function peerRows(/** @type {Churn} */ m) {
  const all = [...m.lines].map(([name, count]) => `${name} ${count} lines`);
  const cpu = ['netwatch', ...m.lines.keys()].map(
    (name) => `${name} ${(m.cpuNs(name) / 1000).toFixed(1)} µs, ${m.rss.get(name)?.toFixed(1)} MB`,
  );
  return [
    {
      id: 'closed',
      value: Math.abs(m.closed - m.allEnds),
      detail: [`netwatch ${m.closed} of ${m.allEnds}`, ...all].join('; '),
    },
    m.lines.has('tcplife')
      ? {
          id: 'closed-tcplife',
          value: m.cpuNs('netwatch') / m.cpuNs('tcplife'),
          detail: `per end: ${cpu.join('; ')} (netwatch also writes every packet)`,
        }
      : { id: 'closed-tcplife', value: null, detail: 'tcplife does not run here' },
  ];
}

/** @param {import('../lab.mjs').Lab} lab */
export async function measure(lab) {
  const measured = await measureChurn(lab);
  return [stateRow(measured), costRow(measured), ...peerRows(measured)];
}
