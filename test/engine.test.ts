/**
 * The engine without a kernel: the walk through a ring buffer, the decoders of the records, the
 * filter as the kernel side gets it, the order of records, the clock, and what errors say.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import * as connection from '../src/generated/connection.js';
import * as fault from '../src/generated/fault.js';
import * as packet from '../src/generated/packet.js';
import { createClock } from '../src/kernel/clock.js';
import { exitCodeOf, explain, NetwatchError, type Failure } from '../src/failure.js';
import { sumCounters } from '../src/kernel/map.js';
import { readAddress, readComm, readDuration, readIp, readU64 } from '../src/kernel/read.js';
import { formatAddress, formatEndpoint } from '../src/metrics/address.js';
import { describeErrno, errnoName } from '../src/kernel/system-error.js';
import {
  encodeFilter,
  NO_FILTER,
  parsePrefix,
  type Filter,
  type Prefix,
} from '../src/sources/filter.js';
import { isPacket } from '../src/sources/packet.js';
import { sortByTime } from '../src/sources/sort-by-time.js';
import {
  CONNECTION_READ,
  FAULT_READ,
  HTTP_HEAD_READ,
  OWNER_READ,
  PACKET_IPV6_READ,
  PACKET_READ,
} from './fixtures/expected.js';
import { drain, fakeRing } from './fixtures/fake-ring.js';
import { framed, hexBytes } from './fixtures/records.js';
import { unless } from './support/skip.js';

const root = join(import.meta.dirname, '..');

t.test('records leave the ring in order, whatever their length, and free their space', (t) => {
  const ring = fakeRing(4096);
  const texts = Array.from({ length: 24 }, (_, length) => 'x'.repeat(length));
  for (const text of texts) ring.put(`${text}.`);
  t.equal(ring.reader.size, 4096);
  t.equal(ring.reader.used, 8 * 16 + 8 * 24 + 8 * 32, 'header and data, rounded up to 8 bytes');
  t.strictSame(drain(ring), texts);
  t.equal(ring.reader.used, 0);
  t.strictSame(drain(ring), [], 'nothing comes twice');
  t.end();
});

t.test('a record that straddles the end of the ring is read in one piece', (t) => {
  for (const start of [0, 8, 16, 24, 32, 40, 48, 56]) {
    const ring = fakeRing(64, BigInt(start));
    for (const text of ['the first of them', 'the second goes over', 'and a third one'])
      t.strictSame([ring.put(`${text}.`), drain(ring)][1], [text], `from ${start}`);
  }
  const full = fakeRing(64, 40n);
  full.put('as long as this ring can take: 48 bytes of text.');
  t.equal(full.reader.used, 56);
  t.strictSame(drain(full), ['as long as this ring can take: 48 bytes of text']);
  t.end();
});

t.test('discarded records are passed over and freed, and do not count', (t) => {
  const ring = fakeRing(4096);
  for (let i = 0; i < 5; i++) {
    ring.put(`gone ${i}.`, 'discarded');
    ring.put(`kept ${i}.`);
    ring.put('', 'discarded');
  }
  t.strictSame([ring.reader.records, ring.reader.waiting], [0, 5]);
  t.strictSame(drain(ring, 3), ['kept 0', 'kept 1', 'kept 2'], 'a batch is 3 records kept');
  t.strictSame([ring.reader.records, ring.reader.waiting], [3, 2], 'read, and still there');
  t.strictSame(drain(ring), ['kept 3', 'kept 4']);
  ring.put('gone.', 'discarded');
  t.strictSame(drain(ring), []);
  t.equal(ring.reader.used, 0, 'also where nothing else is');
  t.end();
});

t.test('the walk stops at a record that is being written and takes it later', (t) => {
  const ring = fakeRing(4096);
  ring.put('before.');
  const finish = ring.put('slow.', 'busy');
  const giveUp = ring.put('never.', 'busy');
  ring.put('after.');
  t.strictSame(drain(ring), ['before']);
  t.strictSame(drain(ring), []);
  t.equal(ring.reader.used, 16 + 16 + 16, 'the three behind stay');
  finish('ready');
  t.strictSame(drain(ring), ['slow']);
  giveUp('discarded');
  t.strictSame(drain(ring), ['after']);
  t.equal(ring.reader.used, 0);
  t.end();
});

t.test('positions beyond 2^32 and up to 2^53 are followed exactly', (t) => {
  for (const start of [2n ** 31n - 48n, 2n ** 32n - 48n, 2n ** 40n + 8n, 2n ** 53n - 4096n]) {
    const ring = fakeRing(128, start);
    for (let i = 0; i < 100; i++) {
      ring.put(`round ${i + 100}.`);
      t.equal(ring.reader.used, 24);
      if (drain(ring)[0] !== `round ${i + 100}`) t.fail(`from ${start}: record ${i}`);
    }
    t.equal(ring.consumer[0], start + 2400n);
  }
  t.end();
});

t.test('a batch holds no more records than there are places', (t) => {
  const ring = fakeRing(4096);
  for (let i = 0; i < 7; i++) ring.put(`${i}.`);
  t.strictSame(drain(ring, 3), ['0', '1', '2']);
  t.equal(ring.reader.used, 4 * 16);
  t.strictSame(drain(ring, 0), []);
  t.strictSame(drain(ring, 4), ['3', '4', '5', '6']);
  t.end();
});

t.test('the space of a batch is freed after the consumer is done, also if it throws', (t) => {
  const ring = fakeRing(4096, 64n);
  ring.put('first.');
  ring.put('second.');
  const thrown = new Error('consumer');
  const during: (bigint | undefined)[] = [];
  t.throws(
    () =>
      ring.reader.drain(new Int32Array(8), () => {
        during.push(ring.consumer[0]);
        throw thrown;
      }),
    thrown,
  );
  t.strictSame(during, [64n], 'not before');
  t.equal(ring.reader.used, 0);
  ring.put('third.');
  t.strictSame(drain(ring), ['third'], 'the batch that failed does not come again');
  t.end();
});

t.test('a long run of records of all kinds gives every finished one, once and in order', (t) => {
  const size = 512;
  const ring = fakeRing(size, 2n ** 32n - 8192n);
  let state = 1;
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const wanted: string[] = [];
  const taken: string[] = [];
  for (let i = 0; i < 5000; i++) {
    const text = `${i}${'-'.repeat(random(40))}`;
    while (ring.reader.used + text.length + 17 > size) taken.push(...drain(ring, 1 + random(9)));
    const kept = random(4) > 0;
    if (kept) wanted.push(text);
    const finish = ring.put(`${text}.`, random(2) === 0 ? 'busy' : kept ? 'ready' : 'discarded');
    if (random(2) === 0) taken.push(...drain(ring));
    finish(kept ? 'ready' : 'discarded');
  }
  taken.push(...drain(ring));
  t.ok(wanted.length > 3000);
  t.strictSame(taken, wanted);
  t.end();
});

t.test('a ring says that it is empty, also where positions pass 2^32', (t) => {
  for (const start of [0n, 2n ** 32n - 16n]) {
    const ring = fakeRing(64, start);
    t.ok(ring.reader.isEmpty);
    ring.put('one.');
    ring.put('two.');
    t.notOk(ring.reader.isEmpty);
    t.strictSame(drain(ring, 1), ['one']);
    t.notOk(ring.reader.isEmpty);
    t.strictSame(drain(ring), ['two']);
    t.ok(ring.reader.isEmpty);
  }
  t.end();
});

t.test('closing a ring gives its memory back once', (t) => {
  let calls = 0;
  const { reader } = fakeRing(64, 0n, () => {
    calls++;
  });
  reader.close();
  reader.close();
  t.equal(calls, 1);
  t.end();
});

t.test('every field of a connection record is decoded from its place', (t) => {
  const bytes = hexBytes('connection');
  t.equal(bytes.length, 384);
  t.equal(connection.CONNECTION.size, 384);
  t.strictSame(connection.decodeConnection(framed(bytes), 24), CONNECTION_READ);
  t.end();
});

t.test('every field of an owner record is decoded from its place', (t) => {
  const bytes = hexBytes('connection-owner');
  t.equal(bytes.length, 128);
  t.equal(connection.CONNECTION_OWNER.size, 128);
  t.strictSame(connection.decodeConnectionOwner(framed(bytes), 24), OWNER_READ);
  t.end();
});

t.test('every field of a packet record is decoded from its place', (t) => {
  const ipv4 = hexBytes('packet');
  const ipv6 = hexBytes('packet-ipv6');
  t.strictSame([ipv4.length, ipv6.length, packet.PACKET.size], [120, 120, 120]);
  t.strictSame(packet.decodePacket(framed(ipv4), 24), PACKET_READ);
  t.strictSame(packet.decodePacket(framed(ipv6), 24), PACKET_IPV6_READ);
  t.ok(isPacket(framed(ipv4), 24));
  t.notOk(isPacket(framed(hexBytes('http-head')), 24));
  t.end();
});

t.test('every field of an HTTP record is decoded, its line as the bytes that came', (t) => {
  const bytes = hexBytes('http-head');
  t.equal(bytes.length, 304);
  t.equal(packet.HTTP_HEAD.size, 304);
  const { line, ...fields } = packet.decodeHttpHead(framed(bytes), 24);
  t.strictSame(fields, HTTP_HEAD_READ);
  t.equal(line.length, 256);
  t.equal(Buffer.from(line.subarray(0, 16)).toString('latin1'), 'GET /\n"\\\x1b HTTP/1');
  t.equal(line[255], 0x7e);
  t.end();
});

t.test('every field of a fault record is decoded from its place', (t) => {
  const bytes = hexBytes('fault');
  t.equal(bytes.length, 128);
  t.equal(fault.FAULT.size, 128);
  t.strictSame(fault.decodeFault(framed(bytes), 24), FAULT_READ);
  t.end();
});

t.test('a record is read alike wherever it lies', (t) => {
  const bytes = hexBytes('connection');
  const wanted = connection.decodeConnection(framed(bytes, 0), 0);
  for (const at of [1, 7, 8, 4088])
    t.strictSame(connection.decodeConnection(framed(bytes, at), at), wanted);
  const inner = hexBytes('http-head');
  const { line } = packet.decodeHttpHead(framed(inner, 16), 16);
  t.strictSame(line, packet.decodeHttpHead(framed(inner, 40), 40).line);
  t.end();
});

t.test('the sizes of what programs share with the reader are those of the C structs', (t) => {
  const sizes = {
    head: connection.HEAD.size,
    task: connection.TASK.size,
    tuple: connection.TUPLE.size,
    filter: connection.FILTER.size,
    filterVariable: connection.RODATA.nw_filter.size,
    histogram: connection.HISTOGRAM.size,
    connectionTotals: connection.CONNECTION_TOTALS.size,
    retransmitTotals: connection.RETRANSMIT_TOTALS.size,
    layerTotals: packet.LAYER_TOTALS.size,
    faultKey: fault.FAULT_KEY.size,
    ringCounts: connection.RING_COUNTS.size,
  };
  t.strictSame(sizes, {
    head: 24,
    task: 40,
    tuple: 40,
    filter: 1416,
    filterVariable: 1416,
    histogram: 41 * 8,
    connectionTotals: (2 * 8 + 4 + (2 + 2) * 259 + 195 + 14 * 41) * 8,
    retransmitTotals: 9 * 8,
    layerTotals: (2 * 4 * 2 * 147 + 2 * 4) * 8,
    faultKey: 16,
    ringCounts: 24,
  });
  t.end();
});

t.test('totals are decoded counter by counter', (t) => {
  const words = (count: number): DataView =>
    new DataView(BigUint64Array.from({ length: count }, (_, i) => BigInt(i)).buffer);
  const from = (first: number, length: number): number[] =>
    Array.from({ length }, (_, i) => first + i);
  const histogram = (at: number, buckets = 40) => ({
    buckets: from(at, buckets),
    sumNs: at + buckets,
  });
  t.strictSame(connection.decodeConnectionTotals(words(1825), 0), {
    outcomes: [from(0, 8), from(8, 8)],
    bytesSent: 16,
    bytesReceived: 17,
    segsIn: 18,
    segsOut: 19,
    handshake: [histogram(20, 258), histogram(279, 258)],
    duration: [histogram(538, 258), histogram(797, 258)],
    rtt: histogram(1056, 194),
    state: from(0, 14).map((i) => histogram(1251 + i * 41)),
  });
  const { duration, notMeasured } = packet.decodeLayerTotals(words(2360), 0);
  t.strictSame(duration[0]?.[0]?.[0], histogram(0, 146), 'receive, MAC, IPv4');
  t.strictSame(duration[0]?.[0]?.[1], histogram(147, 146), 'receive, MAC, IPv6');
  t.strictSame(duration[0]?.[2]?.[0], histogram(588, 146), 'receive, TCP, IPv4');
  t.strictSame(duration[1]?.[1]?.[1], histogram(1617, 146), 'transmit, IP, IPv6');
  t.strictSame(notMeasured, [from(2352, 4), from(2356, 4)]);
  t.strictSame(connection.decodeRetransmitTotals(words(9), 0), {
    segments: from(0, 8),
    recovered: 8,
  });
  t.strictSame(fault.decodeFaultKey(new DataView(Uint32Array.of(8, 71, 10, 1).buffer), 0), {
    kind: 8,
    reason: 71,
    family: 10,
    rx: 1,
  });
  t.end();
});

t.test('counters of several CPUs are added up exactly, also beyond 2^53', (t) => {
  const perCpu = BigUint64Array.of(1n, 2n, 2n ** 53n, 4n, 1n, 2n ** 62n, 0n, 0n, 2n ** 62n - 1n);
  const sum = sumCounters(new Uint8Array(perCpu.buffer), 24);
  const words = [0, 8, 16].map((at) => sum.getBigUint64(at, true));
  t.strictSame(words, [5n, 3n, 2n ** 53n + 2n ** 63n - 1n]);
  t.end();
});

const bytesOf = (hex: string): DataView => framed(Buffer.from(hex.replaceAll(' ', ''), 'hex'), 0);

t.test('64-bit times are exact up to 2^53, and only all bits set means not measured', (t) => {
  t.equal(readU64(bytesOf('ff ff ff ff ff ff 1f 00'), 0), 9_007_199_254_740_991);
  t.equal(readU64(bytesOf('00 00 00 00 00 00 20 00'), 0), 9_007_199_254_740_992);
  t.equal(readU64(bytesOf('ff ff ff ff ff ff ff ff'), 0), 2 ** 64);
  t.equal(readDuration(bytesOf('00 00 00 00 00 00 00 00'), 0), 0);
  t.equal(readDuration(bytesOf('ff ff ff ff 00 00 00 00'), 0), 4_294_967_295);
  t.equal(readDuration(bytesOf('00 00 00 00 01 00 00 00'), 0), 4_294_967_296);
  t.equal(readDuration(bytesOf('ff ff ff ff ff ff ff ff'), 0), null);
  t.end();
});

t.test('a kernel address is shown as the kernel prints it', (t) => {
  const addresses = {
    'c0 7a 56 34 12 88 ff ff': 'ffff881234567ac0',
    '40 33 22 11 00 00 ff ff': 'ffff000011223340',
    '80 ff ff ff ff ff ff ff': 'ffffffffffffff80',
    '00 00 00 00 00 00 00 00': '-',
  };
  for (const [hex, text] of Object.entries(addresses))
    t.equal(formatAddress(readAddress(bytesOf(hex), 0)), text);
  t.end();
});

t.test('kernel addresses of five-level page tables keep all their bits', (t) => {
  // x86-64 with la57 maps memory from ff11…, arm64 with 52 bits from fff0….
  t.equal(formatAddress(readAddress(bytesOf('c0 7a 56 34 12 00 11 ff'), 0)), 'ff11001234567ac0');
  t.equal(formatAddress(readAddress(bytesOf('40 33 22 11 00 00 f0 ff'), 0)), 'fff0000011223340');
  t.end();
});

t.test('addresses are written as RFC 5952 wants them', (t) => {
  const addresses = {
    '00000000000000000000ffffc0000221': '192.0.2.33',
    '00000000000000000000ffff00000000': '0.0.0.0',
    '00000000000000000000ffffffffffff': '255.255.255.255',
    '00000000000000000000000000000000': '::',
    '00000000000000000000000000000001': '::1',
    '00010000000000000000000000000000': '1::',
    '20010db8000000000000000000000001': '2001:db8::1',
    '20010DB80000000000000000000ABCDE': '2001:db8::a:bcde',
    '20010db8000000010001000100010001': '2001:db8:0:1:1:1:1:1',
    '20010000000000010000000000000001': '2001:0:0:1::1',
    '20010db8000000000001000000000001': '2001:db8::1:0:0:1',
    '0000000100020003000400050006 0007': '0:1:2:3:4:5:6:7',
    '00010002000300040005000600000000': '1:2:3:4:5:6::',
    '00010002000300040005000600070000': '1:2:3:4:5:6:7:0',
    ffffffffffffffffffffffffffffffff: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
    '0000000000000000ffff000001020304': '::ffff:0:102:304',
    '00000000000000010000ffff01020304': '::1:0:ffff:102:304',
    '0000000000000000000000000a4d0001': '::a4d:1',
    '0064ff9b0000000000000000c0000221': '64:ff9b::c000:221',
  };
  for (const [hex, text] of Object.entries(addresses)) t.equal(readIp(bytesOf(hex), 0), text);
  t.equal(formatEndpoint('10.77.0.1', 80), '10.77.0.1:80');
  t.equal(formatEndpoint('::', 65_535), '[::]:65535');
  t.equal(formatEndpoint('1:2:3:4:5:6:7:8', 0), '[1:2:3:4:5:6:7:8]:0');
  t.end();
});

/** A comm as the kernel has it: bytes, filled up with others behind the NUL. */
function comm(...bytes: (string | number)[]): string {
  const all = new Uint8Array(16).fill(0x7a);
  const parts = bytes.map((part) => (typeof part === 'string' ? Buffer.from(part) : [part]));
  all.set(Buffer.concat(parts.map((part) => Uint8Array.from(part))).subarray(0, 16));
  return readComm(framed(all, 0), 0);
}

t.test('a process name ends at its NUL; what is no UTF-8 becomes U+FFFD', (t) => {
  t.equal(comm('nginx', 0), 'nginx');
  t.equal(comm('nginx', 0, 'old'), 'nginx', 'also from the cache');
  t.equal(comm(0), '');
  t.equal(comm('sixteen-letters!'), 'sixteen-letters!', 'without NUL');
  t.equal(comm('8 bytes ', 'and more', 0), '8 bytes and more');
  t.equal(comm('8 bytes ', 'and less', 0), '8 bytes and less');
  t.equal(comm('fourteen bytes', 0xe6, 0), 'fourteen bytes\ufffd', 'cut inside a character');
  t.equal(comm(0xff, 0xfe, 0), '\ufffd\ufffd');
  t.equal(comm(0xed, 0xa0, 0x80, 0), '\ufffd\ufffd\ufffd', 'half a surrogate pair');
  t.equal(comm('日本語', 0), '日本語');
  t.equal(comm('a"b\\c\nd\x1b[2J', 0), 'a"b\\c\nd\x1b[2J', 'escaping is the business of the sinks');
  t.end();
});

t.test('a byte order mark in a process name is part of it', (t) => {
  t.equal(comm('\ufeffnginx', 0), '\ufeffnginx');
  t.end();
});

t.test('many process names are told apart and do not fill the memory', (t) => {
  const view = framed(new Uint8Array(16), 0);
  const name = (i: number): string => {
    // All begin alike: a name differs in its last eight bytes only.
    Buffer.from(view.buffer, view.byteOffset, 16).write(`worker-${i}`.padEnd(16, '\0'), 'latin1');
    return readComm(view, 0);
  };
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  const before = process.memoryUsage().heapUsed;
  let wrong = 0;
  for (let i = 1e7; i < 1e7 + 1e5; i++) if (name(i) !== `worker-${i}`) wrong++;
  t.equal(wrong, 0);
  collect();
  const grown = process.memoryUsage().heapUsed - before;
  t.ok(grown < 4e6, `grown by ${Math.round(grown / 1e3)} kB, ${Math.round(grown / 1e5)} each`);
  t.equal(comm('nginx', 0), 'nginx');
  t.end();
});

/** What differs from an empty filter, as [offset, bytes in hex]. */
function encoded(filter: Partial<Filter>): [offset: number, hex: string][] {
  const bytes = Buffer.from(encodeFilter({ ...NO_FILTER, ...filter }));
  t.equal(bytes.length, 1416);
  const runs: [number, string][] = [];
  for (let at = 0; at < bytes.length; at += 4) {
    const hex = bytes.toString('hex', at, at + 4);
    const last = runs.at(-1);
    if (hex === '00000000') continue;
    if (last !== undefined && last[0] + last[1].length / 2 === at) last[1] += hex;
    else runs.push([at, hex]);
  }
  return runs;
}

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === null) throw new Error(`${text} is not taken for a prefix`);
  return parsed;
}
const MAPPED = '00000000000000000000ffff';

t.test('each condition of a filter has its place in what the kernel side reads', (t) => {
  const v4 = prefix('10.77.0.1');
  const v6 = prefix('2001:db8::/32');
  t.strictSame(encoded({}), [], 'no filter is all zeros');
  t.strictSame(encoded({ cgroup: { id: 0x12_3456_789an, level: 3 } }), [
    [0, '9a785634' + '12000000'],
    [1404, '03000000'],
  ]);
  t.strictSame(encoded({ cgroup: { id: 2n ** 64n - 1n, level: null } }), [[0, 'ffffffffffffffff']]);
  t.strictSame(encoded({ namespaces: [4_026_531_992] }), [[8, '01000000' + '980000f0']]);
  t.strictSame(encoded({ pids: [4_194_304, 1] }), [[76, '02000000' + '00004000' + '01000000']]);
  t.strictSame(encoded({ localPorts: [443] }), [[144, '01000000' + 'bb010000']]);
  t.strictSame(encoded({ peerPorts: [65_535] }), [[212, '01000000' + 'ffff0000']]);
  t.strictSame(encoded({ localAddresses: [v4] }), [
    [280, '01000000'],
    [296, '0000ffff0a4d0001' + 'f'.repeat(32)],
  ]);
  t.strictSame(encoded({ peerAddresses: [v4, v6] }), [
    [284, '02000000'],
    [808, '0000ffff0a4d0001' + 'f'.repeat(32) + '20010db8'],
    [848, 'ffffffff'],
  ]);
  t.strictSame(encoded({ ports: [53] }), [[1336, '01000000' + '35000000']]);
  t.strictSame(encoded({ ports: [{ from: 80, to: 443 }, 53] }), [
    [1336, '02000000' + '5000bb01' + '35000000'],
  ]);
  t.strictSame(encoded({ family: 4 }), [[1312, '02000000']]);
  t.strictSame(encoded({ family: 6 }), [[1312, '0a000000']]);
  t.end();
});

t.test('a process name is matched whole, with its NUL, and as the kernel cuts it', (t) => {
  const encodedComm = (comm: string): string => {
    const bytes = Buffer.from(encodeFilter({ ...NO_FILTER, comm }));
    t.equal(bytes[1320 + bytes.readUInt32LE(1316) - 1], 0, 'the last byte compared is the NUL');
    return bytes.toString('latin1', 1320, 1320 + bytes.readUInt32LE(1316));
  };
  t.equal(encodedComm('nginx'), 'nginx\0');
  t.equal(encodedComm('fifteen-letters'), 'fifteen-letters\0');
  t.equal(encodedComm('sixteen-letters!'), 'sixteen-letters\0');
  t.equal(encodedComm('fourteen bytesé'), 'fourteen bytes\xc3\0', 'cut inside a character');
  t.end();
});

t.test('a part of a process name has no NUL, and says so', (t) => {
  const part = (comm: string): unknown => encoded({ comm, isCommPart: true });
  t.strictSame(part('nginx'), [[1316, '05010000' + Buffer.from('nginx\0\0\0').toString('hex')]]);
  t.strictSame(part('sixteen-letters!'), [
    [1316, '0f010000' + Buffer.from('sixteen-letters\0').toString('hex')],
  ]);
  t.end();
});

t.test('a filter takes sixteen entries of a kind and refuses more', (t) => {
  const list = (length: number): number[] => Array.from({ length }, (_, i) => i + 1);
  const places = { namespaces: 8, pids: 76, localPorts: 144, peerPorts: 212, ports: 1336 } as const;
  for (const [name, at] of Object.entries(places)) {
    const words = [16, ...list(16)].map((n) => `${n.toString(16).padStart(2, '0')}000000`);
    t.strictSame(encoded({ [name]: list(16) }), [[at, words.join('')]], name);
    t.throws(() => encoded({ [name]: list(17) }), RangeError, name);
  }
  const addresses = list(17).map((i) => prefix(`10.77.0.${i}`));
  for (const [name, at] of Object.entries({ localAddresses: 288, peerAddresses: 800 })) {
    const last = Buffer.from(encodeFilter({ ...NO_FILTER, [name]: addresses.slice(0, 16) }));
    t.equal(last.toString('hex', at + 15 * 32, at + 15 * 32 + 16), `${MAPPED}0a4d0010`);
    t.throws(() => encoded({ [name]: addresses }), RangeError, name);
  }
  t.end();
});

t.test('prefixes of any length become an address and a mask, bits behind them cleared', (t) => {
  const prefixes: Record<string, [address: string, mask: string]> = {
    '10.255.3.4/13': [`${MAPPED}0af80000`, `${'f'.repeat(24)}fff80000`],
    '192.0.2.255/31': [`${MAPPED}c00002fe`, `${'f'.repeat(24)}fffffffe`],
    '255.255.255.255/1': [`${MAPPED}80000000`, `${'f'.repeat(24)}80000000`],
    '1.2.3.4/0': [`${MAPPED}00000000`, `${'f'.repeat(24)}00000000`],
    '1.2.3.4': [`${MAPPED}01020304`, 'f'.repeat(32)],
    '2001:db8:ffff::/33': ['20010db8800000000000000000000000', 'ffffffff80000000'.padEnd(32, '0')],
    'fe80::ffff:ffff/127': ['fe8000000000000000000000fffffffe', `${'f'.repeat(31)}e`],
    '2001:db8::1': ['20010db8000000000000000000000001', 'f'.repeat(32)],
    '1:2:3:4:5:6:7:8/61': [
      '00010002000300000000000000000000',
      `${'f'.repeat(15)}8`.padEnd(32, '0'),
    ],
    '::/0': ['0'.repeat(32), '0'.repeat(32)],
    '::ffff:10.77.0.1': [`${MAPPED}0a4d0001`, 'f'.repeat(32)],
    '::ffff:10.255.3.4/109': [`${MAPPED}0af80000`, `${'f'.repeat(24)}fff80000`],
    '64:ff9b::192.0.2.33': ['0064ff9b0000000000000000c0000221', 'f'.repeat(32)],
    '1:2:3:4:5:6:7.8.9.10': ['0001000200030004000500060708090a', 'f'.repeat(32)],
    '::1.2.3.4': [`${'0'.repeat(24)}01020304`, 'f'.repeat(32)],
  };
  for (const [text, [address, mask]] of Object.entries(prefixes)) {
    const bytes = Buffer.from(encodeFilter({ ...NO_FILTER, peerAddresses: [prefix(text)] }));
    t.strictSame(
      [bytes.toString('hex', 800, 816), bytes.toString('hex', 816, 832)],
      [address, mask],
      text,
    );
  }
  for (const text of [
    ...['', '/8', '10', '1.2.3', '1.2.3.4.5', '010.0.0.1', '256.0.0.1', '1.2.3.4/', '1.2.3.4/33'],
    ...['1.2.3.4/-1', '1.2.3.4/+8', '1.2.3.4/ 8', '1.2.3.4/8/8', '1.2.3.4/0x8', ':::', '1::2::3'],
    ...['::/129', '1:2:3:4:5:6:7:8:9', 'fe80::1%eth0', '::ffff:1.2.3', '[::1]', 'localhost'],
  ])
    t.equal(parsePrefix(text), null, text);
  t.end();
});

/** Sorts records of these times; returns their numbers in the new order. */
function sorted(times: readonly bigint[]): number[] {
  const view = new DataView(new ArrayBuffer(times.length * 16));
  times.forEach((time, i) => {
    view.setBigUint64(i * 16, time, true);
  });
  const places = Int32Array.from(times, (_, i) => i * 16);
  const unused = Int32Array.of(...places, -7);
  sortByTime(view, unused, times.length, new Float64Array(times.length));
  t.equal(unused.at(-1), -7, 'places behind the count are left alone');
  return [...unused.subarray(0, -1)].map((place) => place / 16);
}

t.test('records are put in the order of their times, equal ones as they came', (t) => {
  t.strictSame(sorted([]), []);
  t.strictSame(sorted([5n]), [0]);
  t.strictSame(sorted([1n, 2n, 4n, 3n, 5n, 6n]), [0, 1, 3, 2, 4, 5], 'nearly sorted');
  t.strictSame(sorted([3n, 1n, 3n, 1n, 3n]), [1, 3, 0, 2, 4], 'stable');
  const high = 2n ** 32n;
  t.strictSame(sorted([high, high - 1n, 2n * high, high + 1n]), [1, 0, 3, 2], 'both halves count');
  const reversed = Array.from({ length: 2000 }, (_, i) => BigInt(2000 - i) * 2n ** 40n);
  t.strictSame(
    sorted(reversed),
    reversed.map((_, i) => 1999 - i),
    'reversed',
  );
  t.end();
});

/** A clock whose readings the test sets. */
function fakeClock(wallMs: number, monotonicNs: bigint) {
  const now = { wallMs, monotonicNs };
  const clock = createClock({ wallMs: () => now.wallMs, monotonicNs: () => now.monotonicNs });
  return { clock, now };
}

const NOON = 1_795_262_400_000;
const HOUR_MS = 3_600_000;

t.test('a monotonic time becomes the wall-clock millisecond in which it lies', (t) => {
  const { clock } = fakeClock(NOON, 5_000_000_000n);
  t.equal(clock.toWallMs(5_000_000_000), NOON);
  t.equal(clock.toWallMs(5_001_999_000), NOON + 1);
  t.equal(clock.toWallMs(4_999_999_000), NOON - 1, 'a record from before the reading');
  t.end();
});

t.test('a step of the wall clock is followed at once, forth and back', (t) => {
  const { clock, now } = fakeClock(NOON, 10_000_000_000n);
  for (const step of [HOUR_MS, -HOUR_MS, -HOUR_MS, 60, -60]) {
    const before = clock.toWallMs(11_000_000_000);
    now.wallMs += step;
    t.equal(clock.toWallMs(11_000_000_000), before, 'not before it looks');
    clock.refresh();
    t.equal(clock.toWallMs(11_000_000_000), before + step);
  }
  t.end();
});

t.test('after a suspend, when only the wall clock went on, times are right again', (t) => {
  const { clock, now } = fakeClock(NOON, 10_000_000_000n);
  now.wallMs += 8 * HOUR_MS + 1000;
  now.monotonicNs += 1_000_000_000n;
  clock.refresh();
  t.equal(clock.toWallMs(11_000_000_000), NOON + 8 * HOUR_MS + 1000);
  t.end();
});

t.test('jitter below 50 ms moves no timestamp', (t) => {
  const { clock, now } = fakeClock(NOON, 10_000_000_000n);
  for (const jitter of [49, -49, 1, 30]) {
    now.wallMs = NOON + 1000 + jitter;
    now.monotonicNs = 11_000_000_000n;
    clock.refresh();
    t.equal(clock.toWallMs(11_000_000_000), NOON + 1000);
  }
  t.end();
});

t.test('times beyond 2^53 ns, 104 days of uptime, stay right to the millisecond', (t) => {
  const year = 31_536_000_000_000_000n;
  const { clock, now } = fakeClock(NOON, 10n * year);
  t.equal(clock.toWallMs(Number(10n * year + 500_600_000n)), NOON + 500);
  now.wallMs += 60_000;
  now.monotonicNs += 60_000_000_000n;
  clock.refresh();
  t.equal(clock.toWallMs(Number(10n * year + 60_000_600_000n)), NOON + 60_000);
  t.end();
});

t.test('the clock of the machine is read by default', (t) => {
  const clock = createClock();
  clock.refresh();
  const before = Date.now();
  const read = clock.toWallMs(Number(process.hrtime.bigint()));
  const after = Date.now();
  t.ok(read > before - 100 && read < after + 100, `${read}: not from ${before} to ${after}`);
  t.end();
});

type Case<C extends Failure['code']> = readonly [
  failure: Extract<Failure, { code: C }>,
  exitCode: 2 | 3 | 4,
  says: RegExp,
];

/** One of every kind: a new kind without a line here does not compile. */
const FAILURES: { readonly [C in Failure['code']]: Case<C> } = {
  usage: [
    { code: 'usage', message: 'no such tool', next: 'see -h' },
    2,
    /^no such tool\n {2}see -h$/,
  ],
  environment: [
    { code: 'environment', message: 'cannot read web.yml', next: '' },
    3,
    /^cannot read web\.yml$/,
  ],
  privilege: [
    {
      code: 'privilege',
      uid: 1000,
      missing: ['CAP_BPF', 'CAP_PERFMON', 'CAP_NET_ADMIN'].map((name) => `${name} (x)`),
    },
    3,
    /^need CAP_BPF \(.*\), CAP_PERFMON \(.*\) and CAP_NET_ADMIN \(.*\); .*1000\n.*sudo/,
  ],
  'no-libbpf': [
    { code: 'no-libbpf', tried: 'libbpf.so.1' },
    3,
    /libbpf\.so\.1.*\n.*package libbpf1/,
  ],
  'old-libbpf': [{ code: 'old-libbpf', version: 'v0.8' }, 3, /v0\.8.*\n.*1\.0.*libbpf1/],
  'no-btf': [
    { code: 'no-btf', path: '/btf', kernel: '5.4.0' },
    4,
    /5\.4\.0.*\/btf.*\n.*CONFIG_DEBUG_INFO_BTF/,
  ],
  'no-object': [{ code: 'no-object', path: 'x.bpf.o' }, 3, /x\.bpf\.o.*\n.*make/],
  'no-source': [
    { code: 'no-source', source: 'packet', reason: 'no mount', fix: 'mount it' },
    3,
    /source packet cannot run: no mount\n.*mount it/,
  ],
  'no-netns': [{ code: 'no-netns', name: 'web' }, 2, /namespace web\n.*ip netns list/],
  'no-cgroup': [{ code: 'no-cgroup', path: '/x' }, 2, /directory \/x\n.*cgroup v2 mount/],
  'big-endian': [{ code: 'big-endian' }, 3, /big-endian\n.*x86-64 and arm64/],
  verifier: [
    { code: 'verifier', program: 'tcp', line: 'invalid access', omitted: 214 },
    4,
    /program tcp: invalid access \(214 lines omitted\)\n.*--verbose/,
  ],
  attach: [{ code: 'attach', program: 'tcp', reason: 'EPERM' }, 4, /tcp: EPERM\n.*--verbose/],
  layout: [
    { code: 'layout', what: 'map x', expected: 8, found: 16 },
    3,
    /map x is 16 .* 8 .*\n.*make/,
  ],
  system: [{ code: 'system', what: 'cannot read', reason: 'EIO' }, 3, /^cannot read: EIO$/],
  directory: [
    { code: 'directory', path: '/data', reason: 'EROFS' },
    3,
    /\/data: EROFS\n.*--data DIR/,
  ],
  'pinned-map': [
    { code: 'pinned-map', path: '/sys/fs/bpf/x', reason: 'it is not there' },
    2,
    /\/sys\/fs\/bpf\/x: it is not there\n.*hash map/,
  ],
  'already-running': [
    { code: 'already-running', pid: 42, directory: 'data' },
    3,
    /pid 42 in data\n.*--data DIR/,
  ],
};

t.test('every failure says in two lines what is wrong and what to do', (t) => {
  for (const [code, [failure, exitCode, says]] of Object.entries(FAILURES)) {
    const lines = explain(failure).split('\n');
    t.match(explain(failure), says, code);
    t.ok(lines.length <= 2, `${code}: two lines at most`);
    t.notMatch(lines[0], /^\s|[.\s]$|undefined|NaN|\[object/, `${code}: one sentence`);
    if (lines[1] !== undefined) t.match(lines[1], /^ {2}\S/, `${code}: what to do is indented`);
    t.equal(exitCodeOf(failure), exitCode, code);
    const error = new NetwatchError(failure);
    t.strictSame(
      [error.name, error.message, error.failure],
      ['NetwatchError', explain(failure), failure],
    );
  }
  t.end();
});

t.test('error numbers are named and described', (t) => {
  t.strictSame([errnoName(28), errnoName(-28), errnoName(999)], ['ENOSPC', 'ENOSPC', 'errno 999']);
  t.equal(describeErrno(28), 'no space left on device (ENOSPC)');
  t.equal(describeErrno(-1), 'operation not permitted (EPERM)');
  t.equal(describeErrno(999), 'errno 999');
  t.end();
});

const sources = readdirSync(join(root, 'bpf')).filter((name) => name.endsWith('.bpf.c'));
const objects = sources.map((name) => name.replace(/c$/, 'o'));
const unbuilt = objects.filter((name) => !existsSync(join(root, 'bpf', name)));
const skip = unless(unbuilt.length === 0, `not built, run make bpf: ${unbuilt.join(', ')}`);

t.test('the generated files are what the built objects give', { skip }, (t) => {
  const copy = t.testdir({ bpf: {}, scripts: {} });
  for (const name of objects) copyFileSync(join(root, 'bpf', name), join(copy, 'bpf', name));
  for (const script of ['generate.mjs', 'generate-kept.mjs'])
    copyFileSync(join(root, 'scripts', script), join(copy, 'scripts', script));
  mkdirSync(join(copy, 'src'));
  const files = (top: string): Record<string, string> =>
    Object.fromEntries(
      readdirSync(join(top, 'src/generated')).map((name) => [
        name,
        readFileSync(join(top, 'src/generated', name), 'utf8'),
      ]),
    );
  execFileSync(process.execPath, [join(copy, 'scripts/generate.mjs')]);
  t.strictSame(files(root), files(copy));
  t.end();
});
