/**
 * Option --ndjson without a kernel: records as objects, the objects against the lines of the logs, and
 * the stream with its file.
 */
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import t, { type Test } from 'tap';
import { ConnectionTable } from '../src/collector/connection-table.js';
import { FaultEvents } from '../src/collector/fault-events.js';
import { faultLine } from '../src/collector/fault-lines.js';
import { ChangedValues, Ndjson } from '../src/collector/ndjson.js';
import { PacketText } from '../src/collector/packet-lines.js';
import { ProxiedClients } from '../src/collector/proxied-clients.js';
import { ByteWriter } from '../src/metrics/bytes.js';
import { NO_OWNER, type NdjsonEvent } from '../src/metrics/ndjson.js';
import { NdjsonLog } from '../src/sinks/ndjson-log.js';
import { RotatingLog, type RotatingLogOptions } from '../src/sinks/rotating.js';
import type { FaultRecord } from '../src/sources/fault.js';
import { at, CLOSED, LISTENER, owner, SERVER, toMs } from './fixtures/collector.js';
import { address, CONNECTION, framed, hexBytes } from './fixtures/records.js';
import { logFiles, logText } from './support/account.js';
import { HOSTILE } from './support/exposition.js';
import {
  compareConnections,
  errorJson,
  packetJson,
  withoutOwner,
  parseNdjson,
  type Json,
} from './support/ndjson.js';
import { parseExposition } from './support/samples.js';
import { until } from './support/wait.js';

function folder(t: Test): string {
  const made = mkdtempSync(join(tmpdir(), 'nwtest-'));
  t.teardown(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

async function openLog(
  t: Test,
  directory: string,
  changes: Partial<RotatingLogOptions> = {},
): Promise<RotatingLog> {
  const opened = await RotatingLog.open({
    ...{ directory, name: 'packets.ndjson', header: '', rotateBytes: 1e6 },
    ...{ rotateIntervalSeconds: null, keepFiles: 1000, keepBytes: 1e9, gzip: false },
    ...{ maxBufferedBytes: 4e6, now: Date.now, log: () => undefined },
    ...changes,
  });
  if (!opened.ok) throw new Error(opened.error.code);
  t.teardown(() => opened.value.close());
  return opened.value;
}

/** The three files, in a folder of the test. */
async function openNdjson(t: Test, directory: string): Promise<Ndjson> {
  return Ndjson.open({ http: false, err: true }, (name) => openLog(t, directory, { name }));
}

async function closeAll(ndjson: Ndjson): Promise<void> {
  for (const log of ndjson.logs.values()) await log.close();
}

const read = (directory: string, name: string): string =>
  readFileSync(join(directory, name), 'utf8');

/** Packet records as lines of packets.log and as objects. */
async function packets(
  t: Test,
  records: readonly Uint8Array[],
  labels: { times: boolean; http: boolean },
  httpInfo: string | null = null,
): Promise<{ lines: Json[]; events: Json[] }> {
  const directory = folder(t);
  const ndjson = await openNdjson(t, directory);
  const text = new PacketText(
    {
      labels,
      rows: null,
      events: (view, place, packet) => {
        ndjson.packet(view, place, packet, labels, new ProxiedClients(), NO_OWNER);
      },
    },
    new ByteWriter(1),
    new ByteWriter(1),
    toMs,
    () => httpInfo,
  );
  for (const record of records) text.add(framed(record), 24);
  await closeAll(ndjson);
  const { samples } = parseExposition(text.lines.view().toString(), { log: true });
  return {
    lines: samples.map(packetJson),
    events: parseNdjson(read(directory, 'packets.ndjson')).map(withoutOwner),
  };
}

const IPV4 = hexBytes('packet');
const IPV6 = hexBytes('packet-ipv6');

t.test(
  'a packet is one object with numbers, nulls and the fields that are asked for',
  async (t) => {
    const ends = {
      ...{ time: '1970-01-04T22:30:46.904Z', event: 'packet', sock: 'ffff881234567ac0' },
      ...{ network_local_address: '10.77.0.1', network_local_port: 80 },
      ...{ network_peer_address: '10.77.0.2', network_peer_port: 12_345 },
      ...{
        network_io_direction: 'receive',
        seq: 3_735_928_559,
        ack: 3_405_691_582,
        retransmit: false,
      },
      length_bytes: 1234,
    };
    const ipv6 = {
      ...{ time: '1970-11-19T18:50:24.623Z', event: 'packet', sock: null },
      ...{ network_local_address: 'fd77::1', network_local_port: 65_535 },
      ...{ network_peer_address: '2001:db8:0:1::a', network_peer_port: 1 },
      ...{
        network_io_direction: 'transmit',
        seq: 0,
        ack: 4_294_967_295,
        retransmit: true,
        length_bytes: 0,
      },
    };
    const both = [IPV4, IPV6];
    t.strictSame((await packets(t, both, { times: false, http: false })).events, [ends, ipv6]);
    const timed = await packets(t, both, { times: true, http: true }, 'GET /a HTTP/1.1');
    t.strictSame(timed.events, [
      {
        ...ends,
        ...{ mac_time_us: 1.8, ip_time_us: null, tcp_time_us: 5_000_000 },
        reorder_time_us: 4_294_968.296,
        http_info: 'GET /a HTTP/1.1',
      },
      { ...ipv6, mac_time_us: null, ip_time_us: null, tcp_time_us: null, http_info: null },
    ]);
  },
);

t.test('what packets.log says of a packet is what its object says', async (t) => {
  const records = [0, 1, 999, 1000, 2 ** 31, 2 ** 32 - 1, 2 ** 40 + 1].map((ns) => {
    const record = Buffer.from(IPV4);
    record.writeBigUInt64LE(BigInt(ns), 0x48);
    record.writeUInt16LE(1 + (ns % 60_000), 0x3a);
    return record;
  });
  for (const times of [true, false]) {
    for (const http of [true, false]) {
      const all = [...records, IPV6];
      const { lines, events } = await packets(t, all, { times, http }, 'HTTP/1.1 200 OK | a"\\b');
      t.equal(events.length, 8);
      t.strictSame(events, lines);
    }
  }
});

const FAULT: FaultRecord = {
  ...{ netns: 1, pid: 0, comm: '', cgroup: 0 },
  ...{ kind: 'drop', tsNs: 1_500_250_000, sock: address('ffff881234567ac0'), received: true },
  ...{ localAddr: '10.77.0.1', localPort: 80, peerAddr: 'fd77::2', peerPort: 40_000 },
  ...{ seq: 4_294_967_295, ack: 0, reason: 'TCP_INVALID_SEQUENCE' },
};

t.test('a drop or reset is one object, the same as its line of err.log', async (t) => {
  const directory = folder(t);
  const ndjson = await openNdjson(t, directory);
  const out = new ByteWriter(1);
  const faults: FaultRecord[] = [
    FAULT,
    { ...FAULT, kind: 'reset', reason: 'NO_SOCKET' },
    { ...FAULT, kind: 'reset', received: false, sock: 0, reason: 'NOT_SPECIFIED' },
  ];
  for (const told of new FaultEvents().tell(faults, () => NO_OWNER)) {
    faultLine(out, told, toMs(told.fault.tsNs));
    ndjson.fault(told, toMs(told.fault.tsNs));
  }
  await closeAll(ndjson);
  const events = parseNdjson(read(directory, 'err.ndjson'));
  const { samples } = parseExposition(out.view().toString(), { log: true });
  t.strictSame(events, samples.map(errorJson));
  t.strictSame(events[2], {
    ...{ time: '1970-01-01T00:00:01.500Z', event: 'tcp_error', type: 'reset_sent' },
    ...{ reason: 'NOT_SPECIFIED', sock: null },
    ...{ network_local_address: '10.77.0.1', network_local_port: 80 },
    ...{ network_peer_address: 'fd77::2', network_peer_port: 40_000 },
    ...{ pid: null, process: null, unit: null, container: null, pod: null },
    ...{ seq: 4_294_967_295, ack: 0, event_id: FAULT.tsNs.toString(36) },
  });
});

/** A table with its lines, and the events that go with them. */
function tableWithEvents(options: { all: boolean; extra: boolean; retrans: boolean }) {
  const out = new ByteWriter(1);
  const events: NdjsonEvent[] = [];
  const changes = new ChangedValues((event) => events.push(event));
  return {
    events,
    table: new ConnectionTable({ ...options, connects: 'all' }, out, toMs, changes),
    lines: () => parseExposition(out.view().toString(), { log: true }).samples,
  };
}

const ENDS = {
  ...{ sock: 'ffff881234567ac0', network_local_address: '10.77.0.1', network_local_port: 40_000 },
  ...{ network_peer_address: '10.77.0.2', network_peer_port: 80 },
};

t.test('the lines that one look at a connection writes are one object', (t) => {
  const { events, table } = tableWithEvents({ all: true, extra: false, retrans: true });
  table.opened(at(1));
  table.sampled(at(2));
  table.sampled(at(3, { state: 8, retransmits: [2, 0] }));
  table.closed(at(4.5, { ...CLOSED, retransmits: [2, 0] }));
  const common = {
    ...{ ...ENDS, pid: 4711, process: 'curl', is_server: false },
    ...{ unit: null, container: null, pod: null, cgroup: null },
  };
  t.strictSame(events, [
    {
      ...{ time: '1970-01-01T00:00:01.000Z', event: 'connection_open', ...common },
      network_connection_state: 'established',
      ...{ fast_retransmits_total: 0, timeout_retransmits_total: 0 },
    },
    {
      ...{ time: '1970-01-01T00:00:03.000Z', event: 'connection_sample', ...common },
      network_connection_state_before: 'established',
      ...{ network_connection_state: 'close_wait', fast_retransmits_total: 2 },
    },
    {
      ...{ time: '1970-01-01T00:00:04.500Z', event: 'connection_close', ...common },
      network_connection_state_before: 'close_wait',
      network_connection_state: 'closed',
    },
  ]);
  t.end();
});

t.test('who accepted a connection is an event of its own, an unknown owner is null', (t) => {
  const { events, table } = tableWithEvents({ all: false, extra: false, retrans: false });
  table.opened(at(1, SERVER));
  t.strictSame(events, [], 'its owner is not known yet: no line, no event');
  table.owned(owner(2, 42, 'worker'));
  table.owned(owner(3, 42, 'worker'));
  table.sampled(at(1, { sock: 64, ownerSource: 0, role: 0, pid: 0, comm: '' }));
  const [accepted, unknown, ...more] = events;
  t.match(accepted, { event: 'connection_accept', pid: 42, process: 'worker', is_server: true });
  t.match(unknown, { event: 'connection_sample', pid: null, process: null, is_server: false });
  t.strictSame(more, []);
  const early = tableWithEvents({ all: true, extra: false, retrans: false });
  early.table.opened(at(1, SERVER));
  early.table.closed(at(2, { ...SERVER, ...CLOSED }));
  const [opened, closed] = early.events;
  t.match(opened, { event: 'connection_open', pid: null, process: null, is_server: true });
  t.match(closed, { event: 'connection_close', pid: 1, process: 'master', is_server: true });
  t.end();
});

t.test('every line of connects.log has its value in an object, and no other is there', (t) => {
  for (const all of [false, true]) {
    for (const extra of [false, true]) {
      const { events, table, lines } = tableWithEvents({ all, extra, retrans: true });
      table.opened(at(1, SERVER));
      table.owned(owner(2, 42, 'worker'));
      table.beginDump();
      table.sampled(at(3, { ...LISTENER, sock: 64 }));
      table.sampled(at(3, { ...SERVER, bytesAcked: 2 ** 53 - 1, cwnd: 20, caState: 3 }));
      table.sampled(at(3, { sock: 128, state: 2, srttUs: 0 }));
      table.sampled(at(3, { sock: 192, ownerSource: 0, role: 0, caName: 'bbr' }));
      table.endDump();
      table.sampled(at(4, { ...SERVER, state: 4, srttUs: 77_777, retransmits: [1, 2, 3, 4, 5] }));
      table.sampled(at(4, { sock: 192, ownerSource: 0, role: 0, caName: 'reno' }));
      table.opened(at(5, { openNs: 4e9, pid: 9 }));
      table.closed(at(6, { ...CLOSED, openNs: 4e9, pid: 9, bytesAcked: 5 }));
      table.closed(at(6, { ...CLOSED, sock: 128, oldState: 2, error: 111 }));
      t.ok(lines().length >= (extra ? 90 : 9), `${lines().length} lines`);
      t.strictSame(compareConnections(lines(), events as Json[]), { missing: [], surplus: [] });
    }
  }
  const { events, table, lines } = tableWithEvents({ all: true, extra: true, retrans: true });
  table.opened(at(1));
  const [event = {}] = events as Json[];
  const less = Object.fromEntries(Object.entries(event).filter(([k]) => k !== 'cwnd_segments'));
  const broken = compareConnections(lines(), [{ ...less, pid: 1, rwnd_bytes: 1 }]);
  t.equal(
    broken.missing.length,
    3,
    'the comparison sees the owner, a value left out and a wrong one',
  );
  t.equal(broken.surplus.length, 1);
  t.end();
});

t.test('a hostile name is one line of JSON and reads back as in the logs', async (t) => {
  const directory = folder(t);
  const ndjson = await openNdjson(t, directory);
  const table = new ConnectionTable(
    { all: false, extra: false, retrans: false, connects: 'all' },
    new ByteWriter(1),
    toMs,
    ndjson.connections,
  );
  for (const [i, [given]] of HOSTILE.entries())
    table.opened({ ...CONNECTION, sock: 64 * (i + 1), comm: given });
  await closeAll(ndjson);
  const text = read(directory, 'connects.ndjson');
  const names = parseNdjson(text).map((event) => event['process']);
  t.strictSame(
    names,
    HOSTILE.map(([, shown]) => shown),
  );
  // eslint-disable-next-line no-control-regex
  t.notMatch(text, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/u);
});

t.test('what netwatch has accepted is in the file when the log is closed', async (t) => {
  const directory = folder(t);
  const slow = new Transform({
    objectMode: true,
    transform: (event, _, done) => setImmediate(() => done(null, `${JSON.stringify(event)}\n`)),
  });
  for (const stream of [undefined, slow]) {
    const log = new NdjsonLog(await openLog(t, directory), stream);
    for (let n = 0; n < 1009; n++) log.write({ n });
    t.match(log.stats(), { accepted: 1009, lost: 0, written: 0, pending: 1009 });
    t.ok(await log.close());
    t.match(log.stats(), { accepted: 1009, lost: 0, written: 1009, pending: 0 });
    log.write({ n: 'late' });
    t.match(log.stats(), { accepted: 1010, lost: 1, written: 1009 }, 'what comes too late is lost');
    t.ok(await log.close(), 'twice is fine');
  }
  const written = parseNdjson(read(directory, 'packets.ndjson')).map(({ n }) => n);
  const once = Array.from({ length: 1009 }, (_, n) => n);
  t.strictSame(written, [...once, ...once], 'all of them, in order');
  t.equal(statSync(join(directory, 'packets.ndjson')).mode & 0o777, 0o640);
});

t.test('an object is in the file soon, without anybody asking for it', async (t) => {
  const directory = folder(t);
  const log = new NdjsonLog(await openLog(t, directory));
  log.write({ n: 1 });
  await until(() => read(directory, 'packets.ndjson') !== '', { what: 'the object' });
  t.equal(read(directory, 'packets.ndjson'), '{"n":1}\n');
});

t.test('a stream that stands still costs bounded memory and counted records', async (t) => {
  const directory = folder(t);
  const stuck = new Transform({ objectMode: true, transform: () => undefined });
  const log = new NdjsonLog(await openLog(t, directory), stuck);
  for (let n = 0; n < 20_011; n++) log.write({ n });
  t.equal(stuck.writableLength, 16_384, 'this many are kept');
  t.match(log.stats(), { accepted: 20_011, lost: 20_011 - 16_384, pending: 16_384, written: 0 });
  t.notOk(await log.close(300), 'it does not wait for ever');
  t.match(log.stats(), { accepted: 20_011, lost: 20_011, pending: 0, written: 0 });
  t.equal(read(directory, 'packets.ndjson'), '');
});

t.test('a disk that is too slow for the stream loses counted records, not memory', async (t) => {
  const directory = folder(t);
  const log = new NdjsonLog(await openLog(t, directory, { maxBufferedBytes: 200_000 }));
  for (let n = 0; n < 20_011; n++) log.write({ n, rest: 'x'.repeat(80) });
  await log.close();
  const { accepted, written, lost } = log.stats();
  t.equal(accepted, 20_011);
  t.ok(lost > 0);
  t.equal(written + lost, accepted);
  t.equal(parseNdjson(read(directory, 'packets.ndjson')).length, written);
});

t.test('rotated NDJSON files hold whole objects and nothing else, packed or not', async (t) => {
  for (const gzip of [false, true]) {
    const directory = folder(t);
    const log = new NdjsonLog(await openLog(t, directory, { rotateBytes: 1000, gzip }));
    for (let n = 0; n < 211; n++) {
      log.write({ n, rest: 'x'.repeat(60) });
      await log.flush(10_000);
    }
    await log.close();
    const files = logFiles(directory, 'packets.ndjson');
    t.ok(files.length > 10, `${files.length} files`);
    const objects = files.map((file) => parseNdjson(logText(directory, file)));
    t.ok(objects.every((of) => of.length > 0 && of.length < 14));
    t.strictSame(
      objects.flat().map(({ n }) => n),
      Array.from({ length: 211 }, (_, n) => n),
    );
    t.match(log.stats(), { accepted: 211, written: 211, lost: 0 });
  }
});
