// On this kernel: the two definitions of the layer times, at functions (fentry) and at tracepoints, agree
// about the same packets: a boundary at a function lies between the tracepoints as docs/principles.md says.
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { startCollector, type Collector } from '../support/collector.js';
import { createNamespace } from '../support/netns.js';
import { difference, first, onTheWire, packetLines, SAME } from '../support/packets.js';
import type { PacketLine } from '../support/packets.js';
import { copyProgram } from '../support/program-copy.js';
import { losses } from '../support/samples.js';
import { runTcp } from '../support/traffic.js';
import { hasExactTimes, since } from '../support/vm-kernel.js';

/** A copy of the program that finds no fentry. */
function withoutTrampolines(t: Test): string {
  const { program } = copyProgram(t);
  const module = join(dirname(program), 'kernel/trampoline.js');
  writeFileSync(module, "export const whyNoTrampoline = () => 'not in this test';\n");
  return program;
}

/** One packet as both collectors have seen it. */
interface Pair {
  readonly exact: PacketLine;
  readonly plain: PacketLine;
}

const sightOf = (line: PacketLine): string =>
  `${line.received ? 'received' : 'sent'} ${onTheWire(line)}`;

/** Packet by packet; what was sent again in its order. */
function pairsOf(exact: readonly PacketLine[], plain: readonly PacketLine[]): Pair[] {
  const waiting = new Map<string, PacketLine[]>();
  for (const line of plain)
    waiting.set(sightOf(line), [...(waiting.get(sightOf(line)) ?? []), line]);
  return exact.flatMap((line) => {
    const other = waiting.get(sightOf(line))?.shift();
    return other === undefined ? [] : [{ exact: line, plain: other }];
  });
}

/** Both on the same traffic; the one that is named first is attached first, and so runs first at each hook. */
async function watchTwice(t: Test, order: readonly ['exact' | 'plain', 'exact' | 'plain']) {
  const namespace = createNamespace(t);
  const options = { exact: {}, plain: { program: withoutTrampolines(t) } };
  const collectors: Partial<Record<'exact' | 'plain', Collector>> = {};
  for (const name of order)
    collectors[name] = await startCollector(t, namespace, ['-q', '-t'], options[name]);
  for (const host of ['127.0.0.1', '::1']) {
    await runTcp(namespace, { host, connections: 3, rounds: 7 });
    await runTcp(namespace, { host, requestBytes: 5003, replyBytes: 20_011, rounds: 3 });
  }
  const linesOf = async (name: 'exact' | 'plain'): Promise<PacketLine[]> => {
    const collector = collectors[name];
    if (collector === undefined) throw new Error(name);
    t.strictSame(await collector.stop(), { code: 0, signal: null });
    t.strictSame(losses(collector.samples('netwatch.prom')), {});
    return packetLines(collector.samples('packets.log'));
  };
  const [exact, plain] = [await linesOf('exact'), await linesOf('plain')];
  t.strictSame(difference(plain.map(sightOf), exact.map(sightOf)), SAME, 'the same packets');
  return pairsOf(exact, plain);
}

/** Fails for each pair whose times are both known and not in order. */
function inOrder(
  t: Test,
  pairs: readonly Pair[],
  time: 'macUs' | 'ipUs' | 'tcpUs',
  holds: (exact: number, plain: number) => boolean,
  message: string,
): void {
  const known = pairs.flatMap(({ exact, plain }) => {
    const [a, b] = [exact[time], plain[time]];
    return typeof a === 'number' && typeof b === 'number' ? [{ a, b, exact }] : [];
  });
  const wrong = known.filter(({ a, b }) => !holds(a, b));
  t.ok(known.length > 50, `${message}: ${known.length} packets have both`);
  t.strictSame(first(wrong.map(({ a, b, exact }) => `${sightOf(exact)}: ${a}, ${b}`)), [], message);
}

const atLeast = (exact: number, plain: number): boolean => exact >= plain;
const atMost = (exact: number, plain: number): boolean => exact <= plain;
const received = ({ exact }: Pair): boolean => exact.received;
const sent = ({ exact }: Pair): boolean => !exact.received && exact.bytes > 0;

const skip = hasExactTimes()
  ? false
  : 'this kernel has one definition only: no fentry, or no times';

t.test(
  'functions first: IP begins later and ends earlier than at tracepoints',
  { skip },
  async (t) => {
    const pairs = await watchTwice(t, ['exact', 'plain']);
    const arrived = pairs.filter(received);
    // 6.2 lets a program of a cgroup know the packet, without which there is nothing to compare
    if (since('6.2')) {
      inOrder(t, arrived, 'macUs', atLeast, 'MAC lasts until ip_rcv_core');
      inOrder(t, arrived, 'ipUs', atMost, 'IP lasts from ip_rcv_core to tcp_v4_rcv');
    } else {
      t.ok(arrived.every(({ plain }) => plain.macUs === null && plain.ipUs === null));
      t.ok(arrived.every(({ exact }) => typeof exact.macUs === 'number'));
    }
  },
);

t.test('tracepoints first: TCP has a packet longer by the functions', { skip }, async (t) => {
  const pairs = await watchTwice(t, ['plain', 'exact']);
  const data = pairs.filter(received).filter(({ exact }) => exact.bytes > 0);
  inOrder(t, data, 'tcpUs', atLeast, 'TCP has it from tcp_v4_rcv');
  if (since('6.16'))
    inOrder(t, pairs.filter(sent), 'tcpUs', atLeast, 'TCP has it from the entry of the write');
  else {
    t.ok(pairs.filter(sent).every(({ plain }) => plain.tcpUs === null));
    t.ok(pairs.filter(sent).every(({ exact }) => typeof exact.tcpUs === 'number'));
  }
});
