// packets.log against tcpdump: each packet is one line when it is sent and one when it is received, with
// its layer times, whatever the reader, the device or the queue do.
import t, { type Test } from 'tap';
import { plainDevice, setOffloads, slowQueue, wideWindow } from '../../scripts/traffic/faults.js';
import { startCollector } from '../support/collector.js';
import { readLate, STOPPED_MS } from '../support/late-reader.js';
import {
  createJoinedNamespaces,
  createNamespace,
  type Namespace,
  type Teardown,
} from '../support/netns.js';
import {
  difference,
  first,
  hasPort,
  onTheWire,
  packetLines,
  parted,
  SAME,
  wayOf,
  type PacketLine,
} from '../support/packets.js';
import { select, total, type Sample } from '../support/samples.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { sockets } from '../support/ss.js';
import { startCapture, type Packet } from '../support/tcpdump.js';
import { untilWhole } from '../support/tries.js';
import { runHttp, runTcp, startProgram } from '../support/traffic.js';
import { until } from '../support/wait.js';

const skip = needsRoot || needsCommands('tcpdump', 'tc');

interface Case {
  /** Plays the traffic; nothing else uses the port. */
  readonly play: (namespace: Namespace, port: number) => Promise<unknown>;
  /** What only this traffic shows; lines of the collector with -t. */
  readonly check?: (t: Test, lines: readonly PacketLine[], port: number) => void;
  /** What passes no hook: over IPv6, a reset for a closed port belongs to no socket at all. */
  readonly unseen?: (sent: Packet) => boolean;
}

type Options = Parameters<typeof runTcp>;

const tcp =
  (client: Options[1] = {}, server: Options[2] = {}): Case['play'] =>
  (namespace, port) =>
    runTcp(namespace, { port, ...client }, { port, ...server });

/** Received at the server, with payload. */
const arrivals = (lines: readonly PacketLine[], port: number): PacketLine[] =>
  lines.filter(({ received, bytes, src }) => received && bytes > 0 && src.endsWith(`:${port}`));

/** The server sleeps while `segments` arrive, and reads them later. */
const stoppedReader =
  (segments: number, host: string): Case['play'] =>
  (namespace, port) =>
    readLate(namespace, { segments, host, port });

const areLate =
  (segments: number): NonNullable<Case['check']> =>
  (t, lines, port) => {
    const arrived = arrivals(lines, port);
    t.equal(arrived.length, segments, 'every write is a packet');
    const times = arrived.map(({ tcpUs }) => tcpUs);
    const early = times.filter((us) => !(us && us >= STOPPED_MS * 1000));
    t.strictSame(first(early.map(String)), [], 'read after the pause');
  };

/** The server closes while three packets lie in its queue. */
const neverRead: Case['play'] = async (namespace, port) => {
  const sizes = { port, requestBytes: 1009, replyBytes: 0 };
  const server = await startProgram(namespace, 'tcp-server', { port, mode: 'hang' });
  const client = await startProgram(namespace, 'tcp-client', {
    ...sizes,
    rounds: 3,
    close: 'hold',
  });
  await client.go();
  await server.stop();
  await client.stop();
};

/** The client dies, its sockets go to TIME_WAIT, and there the FIN of the server finds them. */
const orphans =
  (host: string): Case['play'] =>
  async (namespace, port) => {
    const common = { host, port };
    const server = await startProgram(namespace, 'tcp-server', common);
    const options = { ...common, connections: 5, close: 'hold' } as const;
    const client = await startProgram(namespace, 'tcp-client', options);
    await client.go();
    client.signal('SIGKILL');
    const left = async (): Promise<boolean> =>
      (await sockets(namespace, 'sport', '=', `:${port}`)).length === 1;
    await until(left, { what: 'only the listener is left' });
    await server.stop();
  };

const LOOPBACK: Readonly<Record<string, Case>> = {
  'ping-pong': { play: tcp({ connections: 13, rounds: 17 }) },
  'ping-pong over IPv6': { play: tcp({ connections: 7, rounds: 5, host: '::1' }) },
  'IPv4 at a socket of both families': { play: tcp({ connections: 3 }, { host: '::' }) },
  'connections at the same time': { play: tcp({ connections: 53, concurrency: 8, rounds: 11 }) },
  'connect and close': { play: tcp({ connections: 11, rounds: 0 }) },
  'connections the server closes': {
    play: tcp({ connections: 5, rounds: 0, close: 'wait' }, { mode: 'close' }),
  },
  'resets by the client': { play: tcp({ connections: 5, close: 'reset' }) },
  'resets by the server': { play: tcp({ connections: 5 }, { mode: 'reset' }) },
  'connections of a process that dies': { play: orphans('127.0.0.1') },
  'connections of a process that dies, over IPv6': { play: orphans('::1') },
  // the server listens elsewhere
  'refused connections': { play: tcp({ connections: 7 }, { port: 6999 }) },
  'refused connections over IPv6': {
    play: tcp({ connections: 3, host: '::1' }, { port: 6999 }),
    unseen: ({ flags }) => flags.includes('R'),
  },
  'an answer after half a close': {
    play: tcp(
      { connections: 3, requestBytes: 11, replyBytes: 0 },
      { mode: 'after-fin', replyBytes: 1009 },
    ),
  },
  'an upload': { play: tcp({ requestBytes: 5_000_011, replyBytes: 0 }) },
  'a download over IPv6': { play: tcp({ requestBytes: 1, replyBytes: 3_000_017, host: '::1' }) },
  'a slow reader': {
    play: tcp({ requestBytes: 1_000_003, replyBytes: 0 }, { mode: 'slow', slowMs: 10 }),
  },
  'a reader that sleeps': { play: stoppedReader(61, '127.0.0.1'), check: areLate(61) },
  'a reader that sleeps, over IPv6': { play: stoppedReader(7, '::1'), check: areLate(7) },
  'a reader that sleeps long': { play: stoppedReader(211, '127.0.0.1'), check: areLate(211) },
  'a reader that never reads': {
    play: neverRead,
    check(t, lines, port) {
      const times = arrivals(lines, port).map(({ tcpUs }) => tcpUs);
      t.strictSame(times, [null, null, null], 'no time that nobody took');
    },
  },
};

const FIRST_PORT = 7001;

const isIPv6 = ({ src }: PacketLine): boolean => src.startsWith('[');

/**
 * Data that had been read when it came again, as its acknowledgement was late on a busy machine:
 * nobody reads it a second time.
 */
function isReadAgain(line: PacketLine, before: readonly PacketLine[]): boolean {
  const way = wayOf(line);
  return before.some(
    (earlier) =>
      earlier.received &&
      earlier.bytes > 0 &&
      wayOf(earlier) === way &&
      ((earlier.seq + earlier.bytes - line.seq - line.bytes) | 0) >= 0,
  );
}

/** Data without the time that it was with TCP, though it had one. */
const untimed = (lines: readonly PacketLine[]): PacketLine[] =>
  lines.filter(
    (line, i) =>
      line.bytes > 0 &&
      line.tcpUs === null &&
      !(line.received && isReadAgain(line, lines.slice(0, i))),
  );

const ofPort = <T extends PacketLine | Packet>(packets: readonly T[], port: number): T[] =>
  packets.filter((packet) => hasPort(packet, port));
/** As segmentation, which comes after IP, leaves them to the device. */
const sent = (lines: readonly PacketLine[], packets: readonly Packet[]): string[] =>
  parted(
    lines.filter(({ received }) => !received),
    packets,
  );
const received = (lines: readonly PacketLine[]): string[] =>
  lines.filter(({ received }) => received).map(onTheWire);

/** Lines follow each other in time. */
function isAscending(lines: readonly PacketLine[]): boolean {
  return lines.every(({ timestampMs }, i) => i === 0 || timestampMs >= lines[i - 1]!.timestampMs);
}

const LAYERS = 'netwatch_packet_layer_duration_seconds';

/** A quantile that is read from the buckets is true to 10 % of that of the times themselves, in microseconds. */
function checkQuantiles(
  t: Test,
  buckets: readonly Sample[],
  times: readonly number[],
  name: string,
): void {
  const ascending = [...times].sort((a, b) => a - b);
  for (const q of [0.5, 0.95, 0.99]) {
    const rank = Math.ceil(q * times.length);
    const us = ascending[rank - 1];
    // from 64 ns to 16 ms the buckets are narrow
    if (us === undefined || us <= 0.064 || us > 16_000) continue;
    const bound = buckets.find(({ value }) => value >= rank)?.labels['le'];
    const ratio = (Number(bound) * 1e6) / us;
    t.ok(ratio > 0.999 && ratio < 1.11, `${name}: the quantile ${q} is ${us} us, found ${bound}`);
  }
}

/** Every packet has the times that its kind can have, and the histograms count the same, but for what was sent before. */
function checkTimes(t: Test, lines: readonly PacketLine[], state: readonly Sample[]): void {
  const without = (of: (line: PacketLine) => unknown): string[] =>
    lines.filter((line) => of(line) === null).map(onTheWire);
  t.strictSame(first(without(({ macUs }) => macUs)), [], 'every packet has its MAC time');
  t.strictSame(first(without(({ ipUs }) => ipUs)), [], 'and its IP time');
  const counts: Record<string, number> = {};
  const expected: Record<string, number> = {};
  for (const [direction, received] of [
    ['receive', true],
    ['transmit', false],
  ] as const) {
    for (const [type, ipv6] of [
      ['ipv4', false],
      ['ipv6', true],
    ] as const) {
      const of = lines.filter((line) => line.received === received && isIPv6(line) === ipv6);
      for (const [layer, us] of [
        ['mac', 'macUs'],
        ['ip', 'ipUs'],
        ['tcp', 'tcpUs'],
      ] as const) {
        const key = `${layer} ${direction} ${type}`;
        const labels = { layer, network_io_direction: direction, network_type: type };
        const times = of.flatMap((line) => (line.isAgain ? [] : (line[us] ?? [])));
        counts[key] = total(state, `${LAYERS}_count`, labels);
        expected[key] = times.length;
        checkQuantiles(t, select(state, `${LAYERS}_bucket`, labels), times, key);
      }
    }
  }
  t.strictSame(counts, expected, 'the histograms hold as many');
}

/** What `gather` returns, if need be again: each packet has its time, but for a program that was left out. */
async function untilTimed<T extends { readonly lines: readonly PacketLine[] }>(
  t: Test,
  gather: (own: Teardown) => Promise<readonly T[]>,
): Promise<readonly T[]> {
  const timed = ({ macUs, ipUs }: PacketLine): boolean => macUs !== null && ipUs !== null;
  return untilWhole(t, gather, (all) => all.every(({ lines }) => lines.every(timed)));
}

interface Watched {
  readonly packets: readonly Packet[];
  readonly lines: readonly PacketLine[];
  readonly state: readonly Sample[];
}

/** The cases, watched with -t and without, and by tcpdump. */
async function watchLoopback(
  t: Test,
  own: Teardown,
): Promise<Watched & { without: readonly PacketLine[] }> {
  // a probe for a lost tail would be one packet more
  const namespace = createNamespace(own, { sysctls: { 'ipv4/tcp_early_retrans': 0 } });
  wideWindow(namespace);
  const plain = await startCollector(own, namespace, ['-q']);
  const timed = await startCollector(own, namespace, ['-t', '-q']);
  const capture = await startCapture(own, namespace);
  for (const [i, { play }] of Object.values(LOOPBACK).entries())
    await play(namespace, FIRST_PORT + i);
  const { packets, droppedByKernel } = await capture.stop();
  t.equal(droppedByKernel, 0);
  for (const collector of [plain, timed])
    t.strictSame(await collector.stop(), { code: 0, signal: null }, collector.stderr());
  return {
    packets,
    without: packetLines(plain.samples('packets.log')),
    lines: packetLines(timed.samples('packets.log')),
    state: timed.samples('netwatch.prom'),
  };
}

t.test('every packet of the loopback is one line each way', { skip }, async (t) => {
  const [watched] = await untilTimed(t, async (own) => [await watchLoopback(t, own)]);
  const { packets, without, lines, state } = watched!;
  for (const [i, [name, { check, unseen = () => false }]] of Object.entries(LOOPBACK).entries()) {
    await t.test(name, (t) => {
      const port = FIRST_PORT + i;
      const wire = ofPort(packets, port);
      const seen = wire.map(onTheWire);
      t.ok(seen.length > 0);
      for (const [what, all] of Object.entries({ '': without, ' with -t': lines })) {
        const own = ofPort(all, port);
        const { missing, surplus } = difference(seen, sent(own, wire));
        const excused = wire.filter(unseen).map(onTheWire);
        t.strictSame(difference(missing, excused).missing, [], `sent${what}`);
        t.strictSame(surplus, [], `and no more${what}`);
        t.strictSame(difference(seen, received(own)), SAME, `received${what}`);
      }
      const own = ofPort(lines, port);
      const wrong = [...untimed(own), ...own.filter((p) => p.bytes === 0 && p.tcpUs !== null)];
      if (name !== 'a reader that never reads')
        t.strictSame(
          first(wrong.map((line) => JSON.stringify(line))),
          [],
          'tcp_time where there is data',
        );
      check?.(t, own, port);
      t.end();
    });
  }
  for (const all of [without, lines]) {
    t.equal(received(all).length, packets.length, 'received packets');
    t.ok(isAscending(all), 'in order of time');
  }
  t.equal(lines.length, without.length);
  checkTimes(t, lines, state);
});

/** How segments are cut and merged on the way from left to right. */
const SEGMENTS: Readonly<Record<string, (left: Namespace, right: Namespace) => void>> = {
  'not cut by a veth pair': () => undefined,
  'cut in front of the device': (left) => setOffloads(left, 'veth0', { tso: false }),
  'cut in front of the device and merged by the receiver': (_, right) =>
    setOffloads(right, 'veth0', { gro: true }),
  'cut by TCP': (left, right) => {
    for (const namespace of [left, right]) plainDevice(namespace, 'veth0', { checksums: true });
  },
};

/** The cases between two ends, each watched by its own collector and by tcpdump. */
async function watchEnds(
  t: Test,
  closing: Teardown,
): Promise<readonly (Watched & { own: readonly string[] })[]> {
  const { left, right, addresses, device } = createJoinedNamespaces(closing);
  const sides = [];
  for (const namespace of [left, right]) {
    const collector = await startCollector(closing, namespace, ['-t', '-q']);
    sides.push({ collector, capture: await startCapture(closing, namespace, { device }) });
  }
  for (const [i, prepare] of Object.values(SEGMENTS).entries()) {
    prepare(left, right);
    for (const host of [addresses.right.v4, addresses.right.v6]) {
      const sizes = { host, port: FIRST_PORT + i, requestBytes: 300_007, replyBytes: 200_003 };
      const server = await startProgram(right, 'tcp-server', sizes);
      const client = await startProgram(left, 'tcp-client', { ...sizes, rounds: 3 });
      t.match(await client.go(), { bytesOut: 900_021, bytesIn: 600_009 });
      await server.stop();
    }
  }
  const watched = [];
  for (const [i, { collector, capture }] of sides.entries()) {
    const { packets, droppedByKernel } = await capture.stop();
    t.equal(droppedByKernel, 0);
    await collector.stop();
    watched.push({
      packets,
      own: Object.values(addresses[i === 0 ? 'left' : 'right']),
      lines: packetLines(collector.samples('packets.log')),
      state: collector.samples('netwatch.prom'),
    });
  }
  return watched;
}

t.test('segments that are cut or merged are lines where IP sees them', { skip }, async (t) => {
  const sides = await untilTimed(t, (own) => watchEnds(t, own));
  for (const [i, { packets, own, lines, state }] of sides.entries()) {
    t.strictSame(
      [...new Set(lines.map(({ src }) => src.replace(/:\d+$/, '')))].sort(),
      own.map((address) => (address.includes(':') ? `[${address}]` : address)).sort(),
      'packets of this end only',
    );
    for (const [j, name] of Object.keys(SEGMENTS).entries()) {
      await t.test(`${i === 0 ? 'sender' : 'receiver'}: ${name}`, (t) => {
        const wire = ofPort(packets, FIRST_PORT + j);
        const leaving = wire.filter(({ src }) => own.includes(src));
        const arriving = wire.filter(({ src }) => !own.includes(src));
        const seen = ofPort(lines, FIRST_PORT + j);
        t.strictSame(difference(leaving.map(onTheWire), sent(seen, leaving)), SAME, 'sent');
        t.strictSame(difference(arriving.map(onTheWire), received(seen)), SAME, 'received');
        const largest = Math.max(...arriving.map(({ length }) => length));
        if (name === 'cut by TCP') t.ok(largest <= 1448, `largest: ${largest}`);
        if (name.endsWith('merged by the receiver')) t.ok(largest > 1448, `largest: ${largest}`);
        t.end();
      });
    }
    t.ok(isAscending(lines), 'in order of time');
    const unread = untimed(lines).filter(({ received }) => received);
    t.strictSame(first(unread.map(onTheWire)), [], 'received data has its TCP time');
    checkTimes(t, lines, state);
  }
});

/** Two uploads through a queue of 2 Mbit/s and a burst of 5000 bytes: 6.4 ms a segment. */
async function watchSlowQueue(own: Teardown): Promise<Omit<Watched, 'packets'>> {
  const namespace = createNamespace(own);
  wideWindow(namespace);
  plainDevice(namespace);
  const collector = await startCollector(own, namespace, ['-t', '-q']);
  const queue = slowQueue(namespace, { rateMbit: 2, burstBytes: 5000 });
  for (const host of ['127.0.0.1', '::1'])
    await runTcp(namespace, { host, requestBytes: 29 * 1428, replyBytes: 0 });
  queue.remove();
  await collector.stop();
  return {
    lines: packetLines(collector.samples('packets.log')),
    state: collector.samples('netwatch.prom'),
  };
}

t.test('mac_time of a packet holds its time in a slow queue', { skip }, async (t) => {
  const [watched] = await untilTimed(t, async (own) => [await watchSlowQueue(own)]);
  const { lines, state } = watched!;
  for (const v6 of [false, true]) {
    const data = lines.filter((p) => !p.received && p.bytes > 0 && isIPv6(p) === v6);
    t.ok(data.length >= 29);
    const longest = Math.max(...data.map(({ macUs }) => macUs ?? 0));
    // 29 segments are 43 kB with their headers: 0.17 s less the burst
    t.ok(longest > 140_000, `the last one waited for ${longest} us`);
    const first = Math.min(...data.map(({ macUs }) => macUs ?? Infinity));
    t.ok(first < 10_000, `the first one for ${first} us`);
    const arrivals = lines.filter((p) => p.received && p.bytes > 0 && isIPv6(p) === v6);
    const waits = arrivals.map(({ macUs }) => macUs ?? Infinity).sort((a, b) => a - b);
    t.ok(waits[waits.length >> 1]! < 10_000, 'no queue where they arrive');
  }
  checkTimes(t, lines, state);
});

t.test('the table of lmp has a row for every line', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['-t', '-i', '--format', 'lmp']);
  await runTcp(namespace, { connections: 3, rounds: 7 });
  await runTcp(namespace, { connections: 2, rounds: 3, host: '::1' });
  const client = { total: 5, requests: [{ path: '/bytes/10' }, { method: 'PUT', body: 3 }] };
  await runHttp(namespace, { ...client, host: '::1' });
  await collector.stop();
  const lines = packetLines(collector.samples('packets.log'));
  t.ok(lines.length > 100);
  const [header = '', ...rows] = collector.stdout().split('\n').slice(0, -1);
  t.match(header, /^SOCK +SEQ +ACK +MAC_TIME +IP_TIME +TCP_TIME +RX +HTTP$/);
  const columns = [...header.matchAll(/\S+/g)].map(({ index }) => index);
  const cells = (row: string): string[] =>
    columns.map((from, i) => row.slice(from, columns[i + 1]).trim());
  const us = (time: number | null | undefined): string =>
    typeof time === 'number' ? String(Math.round(time)) : '-';
  t.strictSame(
    rows.map(cells),
    lines.map((p) => [
      p.sock,
      String(p.seq),
      String(p.ack),
      us(p.macUs),
      us(p.ipUs),
      us(p.tcpUs),
      p.received ? '1' : '0',
      p.http ?? '-',
    ]),
  );
  t.equal(lines.filter(({ http }) => http === 'PUT / HTTP/1.1').length, 4, 'both ways, both sides');
  // no line is longer than its HTTP needs, nothing runs into the next column
  t.ok(rows.every((row) => columns.slice(1).every((from) => row[from - 1] === ' ')));
});
