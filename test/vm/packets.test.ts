// On this kernel: as many packets as it counts itself, and with -t the layer times that it can have.
import t, { type Test } from 'tap';
import { startCollector } from '../support/collector.js';
import { countPackets } from '../support/account.js';
import { readLate, STOPPED_MS } from '../support/late-reader.js';
import { createNamespace } from '../support/netns.js';
import { first, onTheWire, packetLines, type PacketLine } from '../support/packets.js';
import { losses } from '../support/samples.js';
import { runTcp, TCP_PORT } from '../support/traffic.js';
import { hasExactTimes, hasTimes, needsKernel, since } from '../support/vm-kernel.js';

const CONNECTIONS = 3;
/** Fewer packets than a socket holds that have not been read: a slow machine sends some of them twice. */
const HELD = 200;
/** As many as fit into its first queue. */
const FIRST_QUEUE = 128;
/** Less than a segment on the loopback: no packet is cut or merged. */
const BYTES = 50_021;

/** Known traffic under the collector; the lines of packets.log, which are as many as the kernel counts. */
async function watch(t: Test, options: readonly string[]): Promise<readonly PacketLine[]> {
  const namespace = createNamespace(t, { sysctls: { 'ipv4/tcp_early_retrans': 0 } });
  const collector = await startCollector(t, namespace, ['-q', ...options]);
  const counted = await countPackets(namespace);
  for (const host of ['127.0.0.1', '::1']) {
    await runTcp(namespace, { host, connections: CONNECTIONS, rounds: 7 });
    await runTcp(namespace, { host, requestBytes: BYTES, replyBytes: BYTES, rounds: 5 });
  }
  const packets = await counted();
  t.strictSame(await collector.stop(), { code: 0, signal: null });
  const lines = packetLines(collector.samples('packets.log'));
  // before 6.6 a cgroup does not see the SYN-ACKs that are sent over IPv6
  const unseen = since('6.6') ? 0 : CONNECTIONS + 1;
  t.equal(lines.length, packets - unseen, 'a line for each packet that the kernel has counted');
  t.ok(packets > 200, `${packets} packets`);
  const payload = (received: boolean): number => {
    // a machine as slow as this one may send something twice
    const data = lines.filter((line) => line.received === received && line.bytes > 0);
    const once = new Map(data.map(({ src, dst, seq, bytes }) => [`${src} ${dst} ${seq}`, bytes]));
    return [...once.values()].reduce((sum, bytes) => sum + bytes, 0);
  };
  const bytes = 2 * (CONNECTIONS * 7 * 2 + 5 * 2 * BYTES);
  t.strictSame([payload(false), payload(true)], [bytes, bytes], 'with all their bytes');
  const state = collector.samples('netwatch.prom');
  t.strictSame(losses(state), {});
  return lines;
}

t.test('packets are as many as the kernel has counted', async (t) => {
  const lines = await watch(t, []);
  t.ok(
    lines.every(({ macUs, ipUs, tcpUs }) => [macUs, ipUs, tcpUs].every((us) => us === undefined)),
  );
});

t.test('with -t every packet has the times that this kernel can tell', async (t) => {
  const lines = await watch(t, ['-t']);
  /** Lines whose time is there although it should not be, or the other way round. */
  const wrong = (
    time: 'macUs' | 'ipUs' | 'tcpUs',
    expected: (line: PacketLine) => boolean,
  ): string[] =>
    first(
      lines.filter((line) => (typeof line[time] === 'number') !== expected(line)).map(onTheWire),
    );
  // 6.2 lets a program of a cgroup know the packet by its address
  const below = ({ received }: PacketLine): boolean =>
    hasTimes() && (!received || since('6.2') || hasExactTimes());
  t.strictSame(wrong('macUs', below), [], 'MAC times');
  t.strictSame(wrong('ipUs', below), [], 'IP times');
  const tcp = ({ received, bytes }: PacketLine): boolean =>
    bytes > 0 && hasTimes() && (received || since('6.16') || hasExactTimes());
  t.strictSame(wrong('tcpUs', tcp), [], 'TCP times, of data');
});

t.test(
  'packets that wait long to be read keep their TCP times',
  { skip: needsKernel('5.12', 'layer times') },
  async (t) => {
    const namespace = createNamespace(t);
    const collector = await startCollector(t, namespace, ['-q', '-t']);
    const writes = { segments: HELD, pauseMs: 1, host: '127.0.0.1', port: TCP_PORT };
    await readLate(namespace, writes);
    t.strictSame(await collector.stop(), { code: 0, signal: null });
    const lines = packetLines(collector.samples('packets.log'));
    const arrived = lines.filter(({ received, bytes }) => received && bytes > 0);
    t.ok(arrived.length > FIRST_QUEUE, `${arrived.length} packets of ${HELD} writes`);
    const early = arrived.filter(({ tcpUs }) => !(tcpUs && tcpUs >= STOPPED_MS * 1000));
    t.strictSame(first(early.map(onTheWire)), [], 'each was read after the pause');
  },
);

t.test('with all options at once every packet is there, too', async (t) => {
  await watch(t, ['-a', '-x', '-r', '-t', '-i', '-e']);
});
