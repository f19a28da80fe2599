/**
 * What a short connection costs: in the kernel per state change, in all per connection, beside
 * tcplife and tcpstates on the same connections. On loopback both ends are watched, so each
 * connection counts as two, as on two hosts.
 */
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { endOf, stop } from '../child.js';
import { startCollector } from '../collector.js';
import { segments, type Lab, type Sizes } from '../lab.js';
import { PORT, runLoad } from '../load.js';
import { cpuNs, hasAttached, rssMb } from '../process.js';
import type { RowModule } from '../row-module.js';
import type { Row } from '../table.js';
import { costs, hooksOf, netNs, openKernelMeter, type Cost } from '../twin.js';

/** Primes: no accident makes the counts equal. */
const COUNTS: Sizes<{ readonly warmUp: number; readonly measured: number }> = {
  full: { warmUp: 1009, measured: 5003 },
  smoke: { warmUp: 11, measured: 101 },
};
const RATE = 1000;
const MOST_SECONDS = 15;
const SETTLE_MS = 500;
const ATTACH_MS = 15_000;
const PEERS = ['tcplife', 'tcpstates'];

interface Peer {
  readonly command: string;
  readonly child: ChildProcess;
  readonly pid: number;
  /** What it prints. */
  readonly file: string;
}

/** A peer that prints a line per event; null if it does not run here. */
async function startPeer(lab: Lab, command: string): Promise<Peer | null> {
  const file = join(lab.folder, command);
  const fd = openSync(file, 'w');
  const child = lab.start(command, ['-T'], { stdio: ['ignore', fd, 'ignore'] });
  closeSync(fd);
  const end = endOf(child);
  for (let waited = 0; waited < ATTACH_MS && !end.isOver; waited += 20) {
    const { pid = 0 } = child;
    if (hasAttached(pid)) return { command, child, file, pid };
    await sleep(20);
  }
  child.kill();
  return null;
}

/** Lines of a peer's output that are about our connections. */
function linesOf(file: string): number {
  const ours = new RegExp(`\\s${PORT}\\s`);
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => ours.test(line)).length;
}

/** One of the programs that watched the connections. */
interface Watcher {
  readonly command: string;
  /** CPU time in ns per end of a connection. */
  readonly cpuNs: number;
  readonly rssMb: number;
}

interface Churn {
  readonly list: readonly Cost[];
  readonly ends: number;
  readonly packetsPerEnd: number;
  /** With those of the warm-up. */
  readonly allEnds: number;
  readonly closed: number;
  readonly own: Watcher;
  readonly peers: readonly (Watcher & { readonly lines: number })[];
}

async function measureChurn(lab: Lab): Promise<Churn> {
  const counts = lab.size(COUNTS);
  const peers: Peer[] = [];
  for (const command of PEERS) {
    const peer = await startPeer(lab, command);
    if (peer !== null) peers.push(peer);
  }
  const collector = await startCollector(lab, []);
  const meter = openKernelMeter(collector.pid);
  const churn = { seconds: MOST_SECONDS, rate: RATE };
  await runLoad(lab, 'churn', { ...churn, count: counts.warmUp });
  await sleep(SETTLE_MS);
  const read = (): { cpu: number; peerCpu: number[] } => ({
    cpu: cpuNs(collector.pid),
    peerCpu: peers.map(({ pid }) => cpuNs(pid)),
  });
  const before = { kernel: meter.read(), segments: segments(lab), ...read() };
  const { count } = await runLoad(lab, 'churn', { ...churn, count: counts.measured });
  await sleep(SETTLE_MS);
  const after = { kernel: meter.read(), segments: segments(lab), ...read() };
  const ends = 2 * count;
  const watcher = (command: string, pid: number, from = NaN, to = NaN): Watcher => ({
    command,
    cpuNs: (to - from) / ends,
    rssMb: rssMb(pid),
  });
  const own = watcher('netwatch', collector.pid, before.cpu, after.cpu);
  const others = peers.map(({ command, pid }, i) =>
    watcher(command, pid, before.peerCpu[i], after.peerCpu[i]),
  );
  meter.close();
  for (const { child } of peers) await stop(child);
  const { closed } = await collector.stop();
  return {
    list: costs(before.kernel, after.kernel),
    ends,
    packetsPerEnd: (after.segments - before.segments) / ends,
    allEnds: 2 * (count + counts.warmUp),
    closed,
    own,
    peers: others.map((peer, i) => ({ ...peer, lines: linesOf(peers[i]?.file ?? '') })),
  };
}

function stateRow({ list }: Churn): Row {
  const hook = list.find(({ program }) => program === 'inet_sock_set_state');
  if (hook === undefined) return { id: 'kernel-state', value: null, detail: 'it did not run' };
  const { runs, ours, twin } = hook;
  return {
    id: 'kernel-state',
    value: ours - twin,
    detail: `${Math.round(ours)} ns, less ${Math.round(twin)} ns of an empty program; ${runs.toLocaleString('en-US')} changes`,
  };
}

function costRow({ list, ends, packetsPerEnd, own }: Churn): Row {
  const kernelUs = netNs(list) / ends / 1000;
  const userUs = own.cpuNs / 1000;
  return {
    id: 'short-connection',
    value: kernelUs + userUs,
    detail: `kernel ${kernelUs.toFixed(1)} + netwatch ${userUs.toFixed(1)} µs; ${packetsPerEnd.toFixed(1)} packets per end, ${RATE} connections/s`,
    hooks: hooksOf(list, ends * packetsPerEnd),
  };
}

function peerRows({ own, peers, closed, allEnds }: Churn): Row[] {
  const lines = peers.map((peer) => `${peer.command} ${peer.lines} lines`);
  const cpu = [own, ...peers].map(
    (one) => `${one.command} ${(one.cpuNs / 1000).toFixed(1)} µs, ${one.rssMb.toFixed(1)} MB`,
  );
  const tcplife = peers.find(({ command }) => command === 'tcplife');
  const id = 'closed-tcplife';
  return [
    {
      id: 'closed',
      value: Math.abs(closed - allEnds),
      detail: [`netwatch ${closed} of ${allEnds}`, ...lines].join('; '),
    },
    tcplife === undefined
      ? { id, value: null, detail: 'tcplife does not run here', absent: 'tcplife' }
      : {
          id,
          value: own.cpuNs / tcplife.cpuNs,
          detail: `per end: ${cpu.join('; ')} (netwatch also writes every packet)`,
        },
  ];
}

export const rows: RowModule = {
  ids: ['kernel-state', 'short-connection', 'closed', 'closed-tcplife'],
  measure: async (lab) => {
    const measured = await measureChurn(lab);
    return [stateRow(measured), costRow(measured), ...peerRows(measured)];
  },
};
