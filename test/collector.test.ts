/**
 * The collector without a kernel: packets as lines and rows, the table of connections and its
 * lines, drops and resets. Expected lines stand as they are in the files.
 */
import t from 'tap';
import type { ConnectionTableOptions } from '../src/collector/connection-table.js';
import { connectionState } from '../src/sources/tcp-states.js';
import { congestionState } from '../src/collector/state/connection-values.js';
import { FaultEvents, type ToldFault } from '../src/collector/fault-events.js';
import { faultLine } from '../src/collector/fault-lines.js';
import { HttpHeads } from '../src/collector/http-heads.js';
import { SocketMemoryWarning } from '../src/kernel/socket-memory.js';
import { lossCause, LossWarning } from '../src/collector/loss-warning.js';
import { lmpRows } from '../src/collector/lmp-rows.js';
import { Owners } from '../src/collector/owners.js';
import { ProcessNames } from '../src/collector/process-names.js';
import { PacketText } from '../src/collector/packet-lines.js';
import { MARK, OUTCOME, type Connection } from '../src/generated/connection.js';
import { NO_OWNER } from '../src/metrics/ndjson.js';
import { ByteWriter } from '../src/metrics/bytes.js';
import type { FaultRecord } from '../src/sources/fault.js';
import {
  at,
  CLOSED,
  collectorTable,
  congestionLine,
  info,
  linesOf,
  LISTENER,
  owner,
  SERVER,
  stateLine,
  toMs,
  value,
  type TestTable,
} from './fixtures/collector.js';
import { CONNECTION, framed, hexBytes } from './fixtures/records.js';
import { HOSTILE } from './support/exposition.js';
import { LOG_RULES, parseExposition } from './support/parse.js';

const NAMES = 'sock="ffff881234567ac0",src="10.77.0.1:80",dst="10.77.0.2:12345"';

/** One packet as a line, or several records as lines and rows. */
function packets(
  records: readonly Uint8Array[],
  labels: { times: boolean; http: boolean },
  httpInfo: (view: DataView, at: number) => string | null = () => null,
): { lines: string[]; rows: string } {
  const text = new PacketText(
    { labels, rows: lmpRows() },
    new ByteWriter(1),
    new ByteWriter(1),
    toMs,
    httpInfo,
  );
  for (const record of records) text.add(framed(record), 24);
  return { lines: linesOf(text.lines, 'packets'), rows: text.rows.view().toString() };
}

const IPV4 = hexBytes('packet');
const IPV6 = hexBytes('packet-ipv6');

t.test('a packet is one line with the labels that the options ask for', (t) => {
  const lines = (times: boolean, http: boolean): string[] =>
    packets([IPV4, IPV6], { times, http }, (_, at) => `at ${at}`).lines;
  const ipv4 = `netwatch_packet_bytes{${NAMES},seq="3735928559",ack="3405691582",rx="1"`;
  const ipv6 =
    'netwatch_packet_bytes{sock="-",src="[fd77::1]:65535",dst="[2001:db8:0:1::a]:1",' +
    'seq="0",ack="4294967295",rx="0",retransmit="1"';
  const times = ',mac_time="1.8",ip_time="-",tcp_time="5000000",reorder_time="4294968.296"';
  const unknown = ',mac_time="-",ip_time="-",tcp_time="-"';
  const [end4, end6] = ['} 1234 340246904', '} 0 27888624623'];
  t.strictSame(lines(false, false), [ipv4 + end4, ipv6 + end6]);
  t.strictSame(lines(true, false), [ipv4 + times + end4, ipv6 + unknown + end6]);
  const info = [',http_info="at 24"', ',http_info="-"'] as const;
  t.strictSame(lines(false, true), [ipv4 + info[0] + end4, ipv6 + info[1] + end6]);
  t.strictSame(lines(true, true), [ipv4 + times + info[0] + end4, ipv6 + unknown + info[1] + end6]);
  t.end();
});

t.test('layer times of any length are written to the nanosecond', (t) => {
  const times: Record<string, string> = {
    '0000000000000000': '0',
    '0100000000000000': '0.001',
    e703000000000000: '0.999',
    ffffff7f00000000: '2147483.647',
    '0000008000000000': '2147483.648',
    ffffffff00000000: '4294967.295',
    '0000000001000000': '4294967.296',
    '00a0724e18090000': '10000000000',
    ffffffffffff1f00: '9007199254740.991',
    ffffffffffffffff: '-',
  };
  for (const [hex, text] of Object.entries(times)) {
    const record = Buffer.from(IPV4);
    record.set(Buffer.from(hex, 'hex'), 0x48);
    const { lines, rows } = packets([record], { times: true, http: false });
    t.equal(/ip_time="([^"]*)"/.exec(lines[0] ?? '')?.[1], text);
    const cell = rows.split(/ +/)[4];
    t.equal(cell, text === '-' ? '-' : `${Math.round(Number(text))}`, 'in whole us in the table');
  }
  t.end();
});

t.test('a socket address that another connection uses again gets its own names', (t) => {
  const other = Buffer.from(IPV4);
  other.writeUInt16LE(40_001, 0x3a);
  const names = packets([IPV4, other, IPV4], { times: false, http: false }).lines.map(
    (line) => /dst="([^"]*)"/.exec(line)?.[1],
  );
  t.strictSame(names, ['10.77.0.2:12345', '10.77.0.2:40001', '10.77.0.2:12345']);
  t.end();
});

t.test('HTTP heads wait for their packet, all of them and only for this one', (t) => {
  const heads = new HttpHeads();
  const view = framed(hexBytes('http-head'));
  const record = Buffer.from(view.buffer, view.byteOffset + 24);
  const head = (line: string, seq = 0xdead_beef, rx = 1): void => {
    record.writeUInt32LE(seq, 0x18);
    record.writeUInt16LE(line.length, 0x22);
    record.writeUInt8(0, 0x26);
    record.writeUInt8(rx, 0x27);
    record.write(line, 0x30, 'latin1');
    heads.add(view, 24);
  };
  const take = (): string | null => heads.take(framed(IPV4), 24);
  t.equal(take(), null);
  head('GET /a HTTP/1.1');
  head('GET /sent HTTP/1.1', 0xdead_beef, 0);
  head('GET /other HTTP/1.1', 1);
  head('HTTP/1.1 200 OK');
  t.equal(take(), 'GET /a HTTP/1.1 | HTTP/1.1 200 OK');
  t.equal(take(), null, 'not twice');
  head('GET /lost HTTP/1.1');
  for (let i = 2; i < 65_536; i++) head('GET /b HTTP/1.1', i);
  t.equal(take(), 'GET /lost HTTP/1.1', 'many can wait');
  head('GET /lost HTTP/1.1');
  for (let i = 0; i < 65_536; i++) head('GET /b HTTP/1.1', i, 0);
  t.equal(take(), null, 'but not without end: the oldest gives way');
  t.end();
});

t.test('a hostile HTTP head breaks neither its line nor its row', (t) => {
  const shown = {
    'GET /"} 1\nnetwatch_fake 1\n\x1b[2J\\ HTTP/1.1': '?',
    'GET /"}\\\x9b\xe2\x80\xaex HTTP/1.1': 'GET /"}\\\ufffd\ufffdx HTTP/1.1',
  };
  for (const [head, text] of Object.entries(shown)) {
    const heads = new HttpHeads();
    const record = Buffer.from(hexBytes('http-head'));
    record.writeUInt16LE(head.length, 0x22);
    record.writeUInt8(0, 0x26);
    record.writeUInt8(1, 0x27);
    record.write(head, 0x30, 'latin1');
    heads.add(framed(record), 24);
    const { lines, rows } = packets([IPV4], { times: false, http: true }, (view, at) =>
      heads.take(view, at),
    );
    const { samples } = parseExposition(`${lines.join('\n')}\n`, {
      ...LOG_RULES,
      documented: false,
    });
    t.strictSame(
      samples.map(({ labels }) => labels.find(([name]) => name === 'http_info')?.[1]),
      [text],
    );
    t.ok(rows.endsWith(` ${text}\n`), 'one row');
    // eslint-disable-next-line no-control-regex
    t.notMatch(rows.slice(0, -1), /[\x00-\x1f\x7f-\x9f]/, 'no byte that a terminal obeys');
  }
  t.end();
});

t.test('a connection is one line when it opens, and nothing more unless asked', (t) => {
  const { table: connections, lines } = collectorTable();
  connections.opened(at(1));
  t.strictSame(lines(), [info(1000, '4711', 'curl', '0')]);
  connections.beginDump();
  connections.sampled(at(2, { cwnd: 20, bytesAcked: 100 }));
  connections.endDump();
  connections.closed(at(3, CLOSED));
  t.strictSame(lines(), []);
  t.equal(connections.entries.size, 0);
  t.end();
});

t.test('with -x and -r every value that the kernel knows is a line, in base units', (t) => {
  const { table: connections, lines } = collectorTable({ extra: true, retrans: true });
  connections.opened(
    at(1, {
      ...{ srttUs: (68 << 3) + 7, mdevUs: (34 << 2) + 3, rttvarUs: 50 << 2, ssthresh: 7 },
      ...{ bytesAcked: 2 ** 53 - 1, bytesReceived: 2 ** 32, totalRetrans: 3, unacked: 2896 },
      ...{ packetsOut: 9, sackedOut: 2, lostOut: 1, retransOut: 4, notsent: 11, wmemQueued: 12 },
      ...{ retransmits: [21, 22], delivered: 2 ** 32 - 1 },
      ...{ counted: 1 | 4, bytesSent: 3001, bytesRetrans: 3002, ecn: 1, deliveredCe: 31 },
      ...{ busyNs: 1.5e9, rwndLimitedNs: 4e6, sndbufLimitedNs: 2.5e8, unread: 17 },
    }),
  );
  t.strictSame(lines(), [
    info(1000, '4711', 'curl', '0'),
    stateLine('established', 1, 1000),
    congestionLine('open', 1, 1000),
    value('backlog', 0, 1000),
    value('max_backlog', 128, 1000),
    value('rwnd_bytes', 65_535, 1000),
    value('cwnd_segments', 10, 1000),
    value('ssthresh_segments', 7, 1000),
    value('sndbuf_bytes', 87_040, 1000),
    value('rcvbuf_bytes', 131_072, 1000),
    value('wmem_queued_bytes', 12, 1000),
    value('acked_bytes_total', '9007199254740991', 1000),
    value('received_bytes_total', '4294967296', 1000),
    value('srtt_seconds', '0.000068', 1000),
    value('mdev_seconds', '0.000034', 1000),
    value('rttvar_seconds', '0.00005', 1000),
    value('min_rtt_seconds', '0.00006', 1000),
    value('retransmits_total', 3, 1000),
    value('packets_out_segments', 9, 1000),
    value('unacked_bytes', 2896, 1000),
    value('in_flight_bytes', 10 * 1448, 1000),
    value('lost_segments', 1, 1000),
    value('retrans_out_segments', 4, 1000),
    value('reordering_segments', 3, 1000),
    value('delivered_segments_total', '4294967295', 1000),
    value('pacing_rate_bytes_per_second', 12_500, 1000),
    value('notsent_bytes', 11, 1000),
    value('fast_retransmits_total', 21, 1000),
    value('timeout_retransmits_total', 22, 1000),
    value('sent_payload_bytes_total', '9007199254740990', 1000),
    value('received_payload_bytes_total', '4294967295', 1000),
    value('sent_bytes_total', 3001, 1000),
    value('retransmitted_bytes_total', 3002, 1000),
    value('sent_segments_total', 2, 1000),
    value('received_segments_total', 1, 1000),
    value('mss_bytes', 1448, 1000),
    value('rto_seconds', '0.204', 1000),
    value('snd_wnd_bytes', 64_256, 1000),
    value('sacked_segments', 2, 1000),
    value('busy_seconds_total', '1.5', 1000),
    value('rwnd_limited_seconds_total', '0.004', 1000),
    value('sndbuf_limited_seconds_total', '0.25', 1000),
    value('ecn_negotiated', 1, 1000),
    value('ecn_seen', 0, 1000),
    value('delivered_ce_segments_total', 31, 1000),
    value('receive_queue_bytes', 17, 1000),
  ]);
  t.end();
});

t.test('what the kernel does not know has no line', (t) => {
  const { table: connections, lines } = collectorTable({ extra: true });
  const names = (changes: Partial<Connection>): string[] => {
    connections.opened(at(1, changes));
    connections.entries.clear();
    return lines().map((line) => /^netwatch_connection_([a-z_]+)/.exec(line)?.[1] ?? line);
  };
  const all = names({ ssthresh: 2 });
  const without = (changes: Partial<Connection>): string[] => {
    const left = names({ ssthresh: 2, ...changes });
    return all.filter((name) => !left.includes(name));
  };
  t.equal(all.length, 3 + 24 + 17);
  t.strictSame(without({ ssthresh: 0x7fff_ffff }), ['ssthresh_segments']);
  t.strictSame(without({ minRttUs: 0xffff_ffff }), ['min_rtt_seconds']);
  t.strictSame(without({ srttUs: 0, mdevUs: 0, rttvarUs: 0 }), [
    'srtt_seconds',
    'mdev_seconds',
    'rttvar_seconds',
  ]);
  t.strictSame(
    without({ rtoNs: null, busyNs: null, rwndLimitedNs: null, sndbufLimitedNs: null }),
    [
      ...['rto_seconds', 'busy_seconds_total'],
      ...['rwnd_limited_seconds_total', 'sndbuf_limited_seconds_total'],
    ],
    'it does not say how long a jiffy is',
  );
  t.strictSame(
    without({ srttUs: 0 }),
    ['srtt_seconds', 'mdev_seconds', 'rttvar_seconds'],
    'the kernel begins with a guess of the last two',
  );
  t.strictSame(without({ pacingRate: 2 ** 64 }), ['pacing_rate_bytes_per_second']);
  t.strictSame(without({ pacingRate: 0xffff_ffff }), ['pacing_rate_bytes_per_second']);
  t.end();
});

t.test('a sample is written where it differs from the last line, to close and beyond', (t) => {
  const { table: connections, lines } = collectorTable({ extra: true });
  connections.opened(at(1));
  t.equal(lines().length, 3 + 23 + 17);
  connections.beginDump();
  connections.sampled(at(2));
  t.strictSame(lines(), [], 'nothing changed');
  connections.sampled(at(3, { cwnd: 5, srttUs: 80 << 3, caState: 4 }));
  t.strictSame(lines(), [
    congestionLine('open', 0, 3000),
    congestionLine('loss', 1, 3000),
    value('cwnd_segments', 5, 3000),
    value('srtt_seconds', '0.00008', 3000),
  ]);
  connections.sampled(at(4, { cwnd: 10, srttUs: 80 << 3, caState: 4, state: 4 }));
  t.strictSame(lines(), [
    stateLine('established', 0, 4000),
    stateLine('fin_wait_1', 1, 4000),
    value('cwnd_segments', 10, 4000),
  ]);
  connections.closed(at(4.5, { ...CLOSED, srttUs: 80 << 3, caState: 4, segsIn: 7 }));
  t.strictSame(lines(), [
    stateLine('fin_wait_1', 0, 4500),
    stateLine('closed', 1, 4500),
    value('received_segments_total', 7, 4500),
    value('duration_seconds', '3.5', 4500),
  ]);
  t.end();
});

t.test('a connection of one millisecond has its lines, open and close in one drain', (t) => {
  const { table: connections, lines } = collectorTable({ extra: true });
  connections.opened(at(1));
  connections.closed(at(1.001, { ...CLOSED, bytesAcked: 5 }));
  t.strictSame(
    lines().filter((line) => /info|_acked|duration/.test(line)),
    [
      info(1000, '4711', 'curl', '0'),
      stateLine('established', 1, 1000),
      congestionLine('open', 1, 1000),
      value('acked_bytes_total', 0, 1000),
      stateLine('established', 0, 1001),
      stateLine('closed', 1, 1001),
      value('acked_bytes_total', 5, 1001),
      value('duration_seconds', '0.001', 1001),
    ],
  );
  t.equal(connections.entries.size, 0);
  t.end();
});

t.test('a connection seen closing only, older than netwatch, has its lines too', (t) => {
  const { table: connections, lines } = collectorTable({ extra: true });
  connections.closed(at(2, { ...CLOSED, openNs: null }));
  const written = lines();
  t.equal(written[0], info(2000, '4711', 'curl', '0'));
  t.equal(written[1], stateLine('closed', 1, 2000));
  t.notMatch(written.join('\n'), /duration_seconds/, 'its age is not known');
  t.end();
});

t.test('a connection that was accepted is named after the process that got it', (t) => {
  const { table: connections, lines } = collectorTable();
  connections.opened(at(1, SERVER));
  t.strictSame(lines(), [], 'only the owner of the listener is known');
  connections.owned(owner(2, 42, 'worker'));
  t.strictSame(lines(), [info(2000, '42', 'worker', '1')]);
  connections.sampled(at(3, SERVER));
  const { pid, uid, comm, startNs, ownerSource } = connections.entries.get(CONNECTION.sock)!.last;
  t.strictSame([pid, uid, comm, startNs, ownerSource], [42, 33, 'worker', 9, 4], 'and stays so');
  connections.closed(at(4, { ...SERVER, ...CLOSED }));
  t.strictSame(lines(), []);
  connections.owned(owner(5, 43, 'late'));
  t.strictSame(lines(), [], 'an owner of a connection that is gone');
  t.end();
});

t.test('a connection that was never accepted is named after its listener at the end', (t) => {
  const { table: connections, lines } = collectorTable();
  connections.opened(at(1, SERVER));
  connections.closed(at(2, { ...SERVER, ...CLOSED }));
  t.strictSame(lines(), [info(2000, '1', 'master', '1')]);
  t.end();
});

const UNKNOWN = { ownerSource: 0, role: 0, pid: 0, comm: '', openNs: null } as const;

t.test('an owner or a role that is not known is a dash', (t) => {
  const { table: connections, lines } = collectorTable();
  connections.closed(at(1, { ...UNKNOWN, ...CLOSED }));
  t.strictSame(lines(), [info(1000, '-', '-', '-')]);
  t.end();
});

t.test('a connection older than netwatch is a server if its port is listened on', (t) => {
  const dump = ({ table: connections }: TestTable, listener: Partial<Connection>): void => {
    connections.beginDump();
    connections.sampled(at(1, { ...LISTENER, sock: 64, ...listener }));
    connections.sampled(at(1, UNKNOWN));
    connections.endDump();
  };
  const server = collectorTable();
  dump(server, {});
  t.strictSame(server.lines(), [info(1000, '-', '-', '1')]);
  const client = collectorTable();
  dump(client, { localPort: 80 });
  t.strictSame(client.lines(), [info(1000, '-', '-', '0')]);
  t.end();
});

t.test('a server stays one when its port is no longer listened on', (t) => {
  const { table: connections } = collectorTable();
  connections.beginDump();
  connections.sampled(at(1, { ...LISTENER, sock: 64 }));
  connections.sampled(at(1, UNKNOWN));
  connections.beginDump();
  connections.sampled(at(2, UNKNOWN));
  t.equal(connections.entries.get(CONNECTION.sock)?.last.role, 2);
  t.end();
});

t.test('an address used again by another connection makes a new one', (t) => {
  const { table: connections, lines } = collectorTable({ extra: true });
  connections.opened(at(1, { bytesAcked: 1000 }));
  lines();
  connections.opened(at(2, { openNs: 2e9, bytesAcked: 1000 }));
  t.equal(lines().length, 3 + 23 + 17, 'opened at another time: every line anew');
  const changes = [{ localPort: 1 }, { peerPort: 1 }, { localAddr: '::' }, { peerAddr: '::' }];
  for (const change of changes) {
    for (const other of [change, {}]) {
      connections.sampled(at(3, { openNs: 2e9, ...other }));
      t.equal(lines().length, 3 + 23 + 17, `other ${Object.keys(change).join()}`);
    }
  }
  connections.sampled(at(4, { openNs: null }));
  t.strictSame(lines(), [], 'an opening that is not known contradicts nothing');
  t.equal(connections.entries.size, 1);
  t.end();
});

t.test('a connection whose close was lost is forgotten after two dumps without it', (t) => {
  const { table: connections } = collectorTable();
  const dump = (...seen: Connection[]): number => {
    connections.beginDump();
    for (const connection of seen) connections.sampled(connection);
    connections.endDump();
    return connections.entries.size;
  };
  const present = (): number => [...connections.present()].length;
  connections.opened(at(1));
  t.equal(dump(), 1);
  t.equal(present(), 0, 'the totals may have it');
  t.equal(dump(at(2)), 1, 'seen again');
  t.equal(present(), 1);
  t.equal(dump(), 1);
  t.equal(dump(), 0);
  t.equal(dump(at(3, { state: 7 })), 0, 'closed sockets are no connections');
  t.end();
});

t.test('a connect that fails is reported with -a only', (t) => {
  for (const oldState of [2, 3]) {
    const quiet = collectorTable();
    quiet.table.closed(at(1, { ...CLOSED, oldState, error: 111 }));
    t.strictSame(quiet.lines(), []);
    const { table: connections, lines } = collectorTable({ all: true });
    connections.closed(at(1, { ...CLOSED, oldState, error: 111 }));
    t.strictSame(lines(), [info(1000, '4711', 'curl', '0'), stateLine('closed', 1, 1000)]);
    t.equal(connections.entries.size, 0);
  }
  t.end();
});

t.test('a connect that fails slowly, seen in a dump before, is reported with -a only', (t) => {
  const slow = (all: boolean): string[] => {
    const { table: connections, lines } = collectorTable({ all });
    connections.beginDump();
    connections.sampled(at(5, { state: 2 }));
    connections.endDump();
    connections.closed(at(128, { ...CLOSED, oldState: 2, error: 110 }));
    t.equal(connections.entries.size, 0);
    return lines();
  };
  t.strictSame(slow(true), [
    info(5000, '4711', 'curl', '0'),
    stateLine('syn_sent', 1, 5000),
    stateLine('syn_sent', 0, 128_000),
    stateLine('closed', 1, 128_000),
  ]);
  t.strictSame(slow(false), []);
  t.end();
});

t.test('listening sockets are lines with -a, and their queues with -x', (t) => {
  const seen = (options: Partial<ConnectionTableOptions>): string[] => {
    const { table: connections, lines } = collectorTable(options);
    connections.sampled(at(1, LISTENER));
    connections.sampled(at(2, { ...LISTENER, backlog: 3, cwnd: 99 }));
    return lines().map((line) => line.replaceAll('dst="0.0.0.0:0"', 'dst="10.77.0.2:80"'));
  };
  const names = [info(1000, '4711', 'curl', '1'), stateLine('listen', 1, 1000)];
  t.strictSame(seen({}), []);
  t.strictSame(seen({ retrans: true }), []);
  t.strictSame(seen({ all: true }), names);
  t.strictSame(seen({ extra: true }), [
    ...names,
    value('backlog', 2, 1000),
    value('max_backlog', 511, 1000),
    value('backlog', 3, 2000),
  ]);
  t.end();
});

t.test('a hostile process name is one line, and read back as it was', (t) => {
  for (const [given, read] of HOSTILE) {
    const { table: connections, lines } = collectorTable();
    connections.opened(at(1, { comm: given }));
    const [line = '', ...rest] = lines();
    const { samples } = parseExposition(`${line}\n`, { ...LOG_RULES, documented: false });
    t.strictSame(rest, []);
    t.equal(samples[0]?.labels.find(([name]) => name === 'process')?.[1], read);
  }
  t.end();
});

t.test('a sample that is older than what the ring told since changes nothing', (t) => {
  const { table: connections, lines } = collectorTable({ extra: true });
  connections.beginDump();
  connections.opened(at(2, { bytesAcked: 500 }));
  lines();
  connections.sampled(at(1.5, { bytesAcked: 0 }));
  connections.endDump();
  connections.beginDump();
  connections.endDump();
  t.equal(connections.entries.get(CONNECTION.sock)?.last.bytesAcked, 500, 'it was seen, though');
  connections.beginDump();
  connections.closed(at(4, CLOSED));
  lines();
  connections.sampled(at(3));
  t.strictSame(lines(), []);
  t.equal(connections.entries.size, 0, 'and what has closed stays closed');
  connections.sampled(at(5, { openNs: 4.5e9 }));
  t.equal(connections.entries.size, 1, 'unless the address is used again');
  t.end();
});

t.test('a connect that failed while the pull ran is not revived by its sample', (t) => {
  const { table: connections, lines } = collectorTable();
  connections.beginDump();
  connections.closed(at(2, { ...CLOSED, oldState: 2, error: 111 }));
  connections.sampled(at(1, { state: 2 }));
  connections.endDump();
  t.strictSame(lines(), []);
  t.equal(connections.entries.size, 0);
  t.end();
});

t.test('records that are older than a sample of the same connection change nothing', (t) => {
  // After a stall there are more of them in the ring than one drain takes.
  const { table: connections, lines } = collectorTable({ extra: true });
  connections.beginDump();
  const sample = at(2, { ...SERVER, ownerSource: 4, pid: 42, comm: 'worker', bytesAcked: 500 });
  connections.sampled(sample);
  connections.endDump();
  lines();
  connections.opened(at(1, { ...SERVER, bytesAcked: 0 }));
  connections.owned(owner(1.5, 42, 'worker'));
  t.strictSame(lines(), [], 'no line goes back in time, no counter falls');
  t.equal(connections.entries.get(CONNECTION.sock)?.last.bytesAcked, 500);
  t.end();
});

t.test('the duration of a connection begins when it is established', (t) => {
  const duration = (changes: Partial<Connection>): string | undefined => {
    const { table: connections, lines } = collectorTable({ all: true, extra: true });
    connections.closed(at(4, { ...CLOSED, openNs: 1e9, handshakeNs: 5e8, ...changes }));
    return lines()
      .find((line) => line.includes('duration_seconds'))
      ?.split(' ')[1];
  };
  t.equal(duration({}), '2.5', 'of a client, after its handshake');
  t.equal(duration({ role: 2 }), '3', 'a server has it when the handshake is over');
  t.equal(duration({ oldState: 2, handshakeNs: null }), undefined, 'a failed connect has none');
  t.equal(duration({ openNs: null }), undefined);
  t.end();
});

t.test('states have the names of OpenTelemetry, congestion states those of the kernel', (t) => {
  t.strictSame(
    Array.from({ length: 14 }, (_, i) => connectionState(i)),
    [
      ...['closed', 'established', 'syn_sent', 'syn_received', 'fin_wait_1', 'fin_wait_2'],
      ...['time_wait', 'closed', 'close_wait', 'last_ack', 'listen', 'closing', 'syn_received'],
      'closed',
    ],
  );
  t.strictSame(
    [0, 1, 2, 3, 4, 5].map((caState) => congestionState(at(1, { caState }))),
    ['open', 'disorder', 'cwr', 'recovery', 'loss', '5'],
  );
  t.end();
});

const FAULT: FaultRecord = {
  ...{ netns: 1, pid: 0, comm: '', cgroup: 0 },
  ...{ kind: 'drop', tsNs: 7_001_999_000, sock: 0, seq: 2 ** 32 - 1, ack: 0, received: true },
  ...{ localAddr: '::1', localPort: 22, peerAddr: 'fe80::b', peerPort: 4660 },
  reason: 'TCP_INVALID_SEQUENCE',
};

function told(fault: FaultRecord): ToldFault {
  const [one] = new FaultEvents().tell([fault], () => NO_OWNER);
  if (one === undefined) throw new Error('it has no line');
  return one;
}

t.test('a drop or a reset is one line with the reason of the kernel', (t) => {
  const out = new ByteWriter(1);
  faultLine(out, told(FAULT), toMs(FAULT.tsNs));
  const [line = ''] = linesOf(out, 'err');
  t.match(line, /^netwatch_tcp_error\{sock="-",src="\[::1\]:22",dst="\[fe80::b\]:4660",/);
  t.match(line, /,seq="4294967295",ack="0",.*reason="TCP_INVALID_SEQUENCE"[^}]*\} 1 7001$/);
  faultLine(out, told({ ...FAULT, reason: 'a"b\n' }), 1);
  t.match(linesOf(out, 'err'), [/reason="a\\"b\\n"/]);
  t.end();
});

t.test('a line of err.log tells a drop from a reset that was sent or received', (t) => {
  const out = new ByteWriter(1);
  faultLine(out, told({ ...FAULT, kind: 'drop' }), 1);
  faultLine(out, told({ ...FAULT, kind: 'reset' }), 1);
  faultLine(out, told({ ...FAULT, kind: 'reset', received: false }), 1);
  t.match(linesOf(out, 'err'), [/type="drop"/, /type="reset_received"/, /type="reset_sent"/]);
  t.end();
});

t.test('sockets without memory are told of once, with what to do', (t) => {
  const said: string[] = [];
  const warning = new SocketMemoryWarning((message) => said.push(message));
  const sources = (...failures: (number | null)[]) =>
    failures.map((count) => ({ storageFailures: () => count, tableFailures: () => null }));
  warning.check(sources(0, null));
  t.strictSame(said, []);
  warning.check(sources(2, null, 3));
  warning.check(sources(9));
  t.equal(said.length, 1);
  t.match(
    said[0],
    /^5 times a socket had no memory left .*; raise the sysctl net\.core\.optmem_max$/,
  );
  t.end();
});

t.test('a connection that fails counts once by unit, though a pull has met it', (t) => {
  const { table } = collectorTable();
  const opening = { state: 2, oldState: 2, handshakeNs: null };
  table.beginDump();
  table.sampled(at(2, { ...opening, totalRetrans: 2 }));
  table.endDump();
  const { connections } = table.units.of(null);
  t.strictSame(connections.client.filter(Boolean), [], 'it may yet succeed');
  const timedOut = OUTCOME.NW_OUTCOME_TIMED_OUT;
  const marks = timedOut * MARK.NW_MARK_OUTCOME;
  table.closed(at(3, { ...CLOSED, oldState: 2, totalRetrans: 3, marks }));
  const { retransmits } = table.units.of(null);
  t.equal(retransmits, 3);
  t.equal(connections.client[timedOut], 1);
  t.strictSame(connections.client.filter(Boolean), [1]);
  t.strictSame(connections.server.filter(Boolean), []);
  t.end();
});

t.test('a segment that a firewall drops belongs to its connection, or to who listens', (t) => {
  const processes = new ProcessNames(() => null);
  processes.note({ ...CONNECTION, netns: 1, pid: 4 }, '10.77.0.1:80', '10.77.0.2:5');
  const owners = new Owners(processes, () => null);
  const pidOf = (changes: Partial<FaultRecord>): number | null => {
    const dropped = { ...FAULT, netns: 1, sock: 0, localAddr: '10.77.0.1', localPort: 80 };
    return owners.ofFault({ ...dropped, ...changes }).pid;
  };
  const known = { peerAddr: '10.77.0.2', peerPort: 5 };
  t.equal(pidOf({ pid: 3 }), 3, 'the record has the listener');
  t.equal(pidOf({ ...known, pid: 3 }), 4);
  t.equal(pidOf({ ...known, pid: 5, sock: 64 }), 5, 'by its own socket');
  t.equal(pidOf({ ...known, pid: 0, sock: 64 }), 4);
  t.equal(pidOf({ ...known, pid: 0, netns: 2 }), null);
  t.end();
});

t.test('losses are told once in 30 seconds, with how many there were since', (t) => {
  const said: string[] = [];
  let now = 0;
  const warning = new LossWarning(
    (message) => said.push(message),
    lossCause(undefined),
    () => now,
  );
  const check = (seconds: number, lost: number): (string | undefined)[] => {
    now = seconds * 1000;
    warning.check(lost);
    return said.splice(0).map((message) => /^\d+ records lost/.exec(message)?.[0]);
  };
  t.strictSame(check(0, 0), []);
  t.strictSame(check(1, 5), ['5 records lost']);
  t.strictSame(check(30.9, 9), []);
  t.strictSame(check(31, 9), ['4 records lost']);
  t.strictSame(check(100, 9), [], 'nothing new');
  t.match(lossCause(undefined), /--ring/);
  t.match(lossCause(10), /of 10 one on purpose/);
  t.end();
});
