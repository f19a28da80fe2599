// Counts while a program that runs for a task is interrupted by others: both CPUs send, one of them
// handles all that is received. The witness is the kernel's own count of segments.
import { once } from 'node:events';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { LayerTotals } from '../../src/generated/packet.js';
import { NO_FILTER } from '../../src/sources/filter.js';
import { PacketSource } from '../../src/sources/packet.js';
import { countPackets, packetAccount } from '../support/account.js';
import { startCollector, temporaryFolder } from '../support/collector.js';
import { compile } from '../support/compile.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { countFrom } from '../support/nstat.js';
import { receiveOn } from '../support/rps.js';
import { total } from '../support/samples.js';
import { needsRoot } from '../support/skip.js';

const PORT = 7101;
/** Full nearly always: most records are lost. */
const SMALL_RING_BYTES = 4096;
const { EXCHANGES = '15000' } = process.env;
const source = join(import.meta.dirname, '..', 'both-cpus', 'traffic.c');
const program = compile(source, temporaryFolder(t));
const skip = needsRoot || (program === null && 'no C compiler (cc or clang) on this machine');

/** What all CPUs send, the first or the second one receives. */
const CPUS = [0, 1] as const;

async function run(namespace: Namespace): Promise<void> {
  const child = namespace.spawn(program ?? '', [String(PORT), EXCHANGES], { stdio: 'inherit' });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`the traffic ended with ${String(code)}`);
}

async function sendAll(namespace: Namespace): Promise<void> {
  for (const cpu of CPUS) {
    receiveOn(namespace, cpu);
    await run(namespace);
  }
}

t.test(
  'every segment is written or counted as lost, whoever interrupts whom',
  { skip },
  async (t) => {
    const namespace = createNamespace(t);
    const collector = await startCollector(t, namespace, [
      '-q',
      '--ring',
      String(SMALL_RING_BYTES),
    ]);
    const segments = await countPackets(namespace);
    await sendAll(namespace);
    const seen = await segments();
    t.strictSame(await collector.stop(), { code: 0, signal: null });
    const prom = collector.samples('netwatch.prom');
    const { accepted, written, lostInFile, lostInRing } = packetAccount(prom);
    t.equal(total(prom, 'netwatch_events_total', { source: 'packet' }), seen, 'accepted: segments');
    t.equal(accepted + lostInRing, seen, 'to be written, or lost in the ring');
    t.equal(accepted, written + lostInFile);
    t.ok(lostInRing > seen / 10, `${lostInRing} of ${seen} lost`);
  },
);

/** Drains until `work` is done, and then what is left. */
async function drainDuring(packets: PacketSource, work: Promise<void>): Promise<number> {
  let read = 0;
  const drain = (): number => packets.drain((_view, _places, count) => (read += count));
  const timer = setInterval(drain, 1);
  await work.finally(() => {
    clearInterval(timer);
  });
  packets.stopWatching();
  packets.flushUnread(null);
  while (drain() > 0);
  return read;
}

/** Of one layer and direction: with a time, or known to have none. */
function counted({ duration, notMeasured }: LayerTotals, direction: number, layer: number): number {
  const histograms = duration[direction]?.[layer] ?? [];
  const buckets = histograms.flatMap((histogram) => histogram.buckets);
  return buckets.reduce((sum, count) => sum + count, notMeasured[direction]?.[layer] ?? NaN);
}

async function countLayers(t: Test, ringBytes: number): Promise<{ lost: number; seen: number }> {
  const namespace = createNamespace(t);
  const filter = { ...NO_FILTER, namespaces: [namespace.inode] };
  const ring = { bytes: ringBytes, loseEvery: 0 };
  const packets = new PacketSource({ filter, time: true, http: false, ring });
  t.teardown(() => {
    packets.source.close();
  });
  const grown = await countFrom(namespace);
  const read = await drainDuring(packets, sendAll(namespace));
  const { TcpInSegs, TcpOutSegs, TcpRetransSegs } = await grown();
  const sent = TcpOutSegs + TcpRetransSegs;
  const { accepted, lost } = packets.source.ringCounts();
  const layers = packets.layers();
  t.equal(accepted, TcpInSegs + sent, 'records');
  t.equal(read + lost, accepted);
  for (const layer of [0, 1]) {
    t.equal(counted(layers, 0, layer), TcpInSegs, `received, layer ${layer}`);
    t.equal(counted(layers, 1, layer), sent, `sent, layer ${layer}`);
  }
  // each exchange has two segments with data
  const data = Number(EXCHANGES) * 2 * 2 * CPUS.length;
  t.equal(counted(layers, 0, 2), data, 'received with data');
  t.equal(counted(layers, 1, 2) - TcpRetransSegs, data, 'sent with data');
  return { lost, seen: accepted };
}

t.test(
  'each layer has counted every packet, the records of which are read',
  { skip },
  async (t) => {
    const { lost } = await countLayers(t, 128 << 20);
    t.equal(lost, 0);
  },
);

t.test('each layer has counted every packet, though most records are lost', { skip }, async (t) => {
  const { lost, seen } = await countLayers(t, SMALL_RING_BYTES);
  t.ok(lost > seen / 10, `${lost} of ${seen} lost`);
});
