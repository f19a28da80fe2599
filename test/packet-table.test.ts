/** The packet table on the screen: rows of packets as they stand there, and whose they are. */
import t from 'tap';
import { ConnectionTable } from '../src/collector/connection-table.js';
import { lmpRow, lmpRows } from '../src/collector/lmp-rows.js';
import { PacketText } from '../src/collector/packet-lines.js';
import { packetRows, type PacketRows } from '../src/collector/packet-rows.js';
import { endsKey, ProcessNames } from '../src/collector/process-names.js';
import { PACKET } from '../src/generated/packet.js';
import { ByteWriter } from '../src/metrics/bytes.js';
import { at, CLOSED, linesOf, owner, toMs } from './fixtures/collector.js';
import { address, CONNECTION, framed, hexBytes } from './fixtures/records.js';
import { HOSTILE } from './support/exposition.js';

process.env['TZ'] = 'UTC';

const IPV4 = hexBytes('packet');
const IPV6 = hexBytes('packet-ipv6');
const SYN = 0x02;
const ACK = 0x10;

const nobody = (): null => null;
const named = (comm = 'curl', netns = 0xf000_0099): ProcessNames => {
  const names = new ProcessNames(nobody);
  const connection = { ...CONNECTION, netns, comm };
  names.note(connection, '10.77.0.1:80', '10.77.0.2:12345');
  return names;
};

function shown(
  rows: PacketRows,
  records: readonly Uint8Array[],
  httpInfo: string | null = null,
): string {
  const text = new PacketText(
    { labels: { times: true, http: true }, rows },
    new ByteWriter(1),
    new ByteWriter(1),
    toMs,
    () => httpInfo,
  );
  for (const record of records) text.add(framed(record), 24);
  return rows.header + text.rows.view().toString();
}

const none = { numbers: false, times: false, http: false };

interface Changes {
  readonly flags?: number;
  readonly pid?: number;
  readonly received?: boolean;
  readonly seq?: number;
  readonly peerPort?: number;
}

/** The received IPv4 packet with changes. */
function packet({ flags = ACK, pid = 0, received = true, seq = 1, peerPort }: Changes): Buffer {
  const record = Buffer.from(IPV4);
  const { at: field } = PACKET;
  record[field.tcpFlags] = flags;
  record[field.rx] = received ? 1 : 0;
  record[field.httpHeads] = 0;
  record.writeUInt32LE(pid, field.pid);
  record.writeUInt32LE(seq, field.seq);
  if (peerPort !== undefined) record.writeUInt16LE(peerPort, field.peerPort);
  return record;
}

/** The second word of each row. */
const processes = (text: string): string[] =>
  text
    .split('\n')
    .slice(1, -1)
    .map((row) => row.slice(13, 25).trim());

t.test('the table has who sent what to whom, and nothing that was not asked for', (t) => {
  t.equal(
    shown(packetRows(none, named()), [IPV4, IPV6]),
    'TIME         PROCESS      SRC                 → DST                 FLAGS LENGTH\n' +
      '22:30:46.904 curl         10.77.0.1:80        ← 10.77.0.2:12345     P.      1234\n' +
      '18:50:24.623 -            [fd77::1]:65535     → [2001:db8:0:1::a]:1 R          0 [retransmit]\n',
  );
  t.end();
});

t.test('each option adds its columns, with their unit in the header', (t) => {
  const all = packetRows({ numbers: true, times: true, http: true }, named());
  t.equal(
    shown(all, [IPV4, IPV6], 'GET / HTTP/1.1'),
    'TIME         PROCESS      SRC                 → DST                 FLAGS        SEQ        ACK LENGTH MAC_us IP_us TCP_us HTTP\n' +
      '22:30:46.904 curl         10.77.0.1:80        ← 10.77.0.2:12345     P.    3735928559 3405691582   1234    1.8     - 5000000 GET / HTTP/1.1\n' +
      '18:50:24.623 -            [fd77::1]:65535     → [2001:db8:0:1::a]:1 R              0 4294967295      0      -     -      - [retransmit]\n',
  );
  t.end();
});

t.test('a name or an address that is too long takes the room of what follows', (t) => {
  const record = packet({ flags: 0xff });
  record.set([10, 77, 100, 100], PACKET.at.localAddr + 12);
  record.writeUInt16LE(65_000, PACKET.at.localPort);
  const names = new ProcessNames(nobody);
  const connection = { ...CONNECTION, netns: 0xf000_0099, comm: 'systemd-resolve' };
  names.note(connection, '10.77.100.100:65000', '10.77.0.2:12345');
  const [header = '', row = ''] = shown(packetRows(none, names), [record]).split('\n');
  t.equal(row, '22:30:46.904 systemd-resolve 10.77.100.100:65000 ← 10.77.0.2:12345  SFRPUEW. 1234');
  t.equal(header.length, 80);
  const widest = packet({ flags: 0x12 });
  widest.set([255, 255, 255, 255], PACKET.at.localAddr + 12);
  widest.set([255, 255, 255, 255], PACKET.at.peerAddr + 12);
  widest.writeUInt16LE(65_535, PACKET.at.localPort);
  widest.writeUInt16LE(65_535, PACKET.at.peerPort);
  widest[PACKET.at.marks] = 1;
  const end = '255.255.255.255:65535';
  names.note(connection, end, end);
  const [, longest = ''] = shown(packetRows(none, names), [widest]).split('\n');
  t.equal(longest, `22:30:46.904 systemd-resolve ${end} ← ${end} S. 1234 [retransmit]`);
  t.ok(longest.length <= 100, 'no IPv4 row is wider than 100 columns');
  t.end();
});

t.test('a terminal obeys nothing in a row, and a row is one line', (t) => {
  for (const [text] of HOSTILE) {
    const rows = shown(packetRows({ ...none, http: true }, named(text)), [IPV4]);
    t.equal(rows.split('\n').length, 3);
    // eslint-disable-next-line no-control-regex
    t.notMatch(rows, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
  }
  t.end();
});

t.test('a SYN names its process before any record of its connection', (t) => {
  const looked: number[] = [];
  const names = new ProcessNames((pid) => {
    looked.push(pid);
    return pid === 9 ? null : `process ${pid}`;
  });
  const [mine, accepted] = [{ received: false }, { peerPort: 5 }];
  const text = shown(packetRows(none, names), [
    packet({ ...mine, flags: SYN, pid: 7 }),
    packet({ ...mine, flags: SYN, pid: 7 }),
    packet({ flags: SYN | ACK, pid: 7 }),
    packet({ ...mine }),
    packet({ ...accepted, flags: SYN, pid: 8 }),
    packet({ ...accepted }),
    packet({ peerPort: 6, flags: SYN, pid: 9 }),
    packet({ peerPort: 6, flags: SYN, pid: 0 }),
  ]);
  const first = ['process 7', 'process 7', 'process 7', 'process 7'];
  t.strictSame(processes(text), [...first, 'process 8', 'process 8', '-', '-']);
  t.strictSame(looked, [7, 8, 9], 'each is looked up once');
  t.end();
});

t.test('the SYN of another process displaces the owner before, one at a listener does not', (t) => {
  const names = (): ProcessNames => {
    const known = new ProcessNames((pid) => `process ${pid}`);
    known.note({ ...CONNECTION, netns: 0xf000_0099 }, '10.77.0.1:80', '10.77.0.2:12345');
    return known;
  };
  const after = (received: boolean): string[] => {
    const syn = packet({ received, flags: SYN, pid: 7 });
    return processes(shown(packetRows(none, names()), [syn, packet({})]));
  };
  t.strictSame(after(false), ['process 7', 'process 7'], 'the port is used again');
  t.strictSame(after(true), ['process 7', 'curl'], 'who accepted it stays its owner');
  t.end();
});

t.test('a SYN-ACK with the number of the one before is sent again', (t) => {
  const synAck = (seq: number, received = false): Buffer =>
    packet({ flags: SYN | ACK, seq, received });
  const rows = shown(packetRows(none, named()), [
    synAck(5),
    synAck(5, true),
    synAck(5),
    synAck(6),
    packet({ received: false, seq: 6 }),
  ]);
  const marked = rows.split('\n').map((row) => row.endsWith('[retransmit]'));
  t.strictSame(marked, [false, false, false, true, false, false, false]);
  t.end();
});

t.test('the records of connections say whose packets are, and two pulls later no more', (t) => {
  const names = new ProcessNames(nobody);
  const out = new ByteWriter(1);
  const options = { all: false, extra: false, retrans: false, connects: 'all' } as const;
  const table = new ConnectionTable(options, out, toMs, null, names);
  const key = endsKey(CONNECTION.netns, '10.77.0.1:40000', '10.77.0.2:80');
  const found = (): string | null => names.ownerOf(key)?.comm ?? null;
  const unknown = { ownerSource: 0, role: 2, pid: 0, comm: '' } as const;
  table.opened(at(1, unknown));
  t.equal(found(), null, 'the record does not know it');
  table.owned(owner(2, 12, 'worker'));
  t.equal(found(), 'worker', 'accept() does');
  table.closed(at(3, { ...CLOSED, ...unknown }));
  t.equal(found(), 'worker', 'the last packets of a closed one have it');
  table.beginDump();
  t.equal(found(), 'worker');
  table.sampled(at(4));
  table.beginDump();
  t.equal(found(), 'curl', 'a pull names who owns the ends now');
  table.beginDump();
  t.equal(found(), null, 'what is gone is forgotten');
  table.closed(at(5, { state: 7, oldState: 2, comm: 'refused' }));
  t.equal(found(), 'refused', 'also that of a connection which came to nothing');
  t.equal(
    names.ownerOf(endsKey(1, '10.77.0.1:40000', '10.77.0.2:80')),
    null,
    'in another namespace',
  );
  t.equal(linesOf(out, 'connects').length, 2, 'it has its lines as ever');
  t.end();
});

t.test('the table of lmp has its columns, its widths and its names', (t) => {
  t.equal(
    shown(lmpRows(), [IPV4, IPV6], 'GET / HTTP/1.1'),
    'SOCK                   SEQ        ACK        MAC_TIME   IP_TIME    TCP_TIME   RX    HTTP\n' +
      'ffff881234567ac0       3735928559 3405691582 2          -          5000000    1     GET / HTTP/1.1\n' +
      '-                      0          4294967295 -          -          -          0     -\n',
  );
  const row = {
    seq: 1,
    ack: 2,
    received: false,
    retransmitted: false,
    ipNs: 1499,
    tcpNs: 3.6e12,
    reorderNs: null,
    httpInfo: null,
  };
  t.equal(
    lmpRow(address('ffff000011223340'), { ...row, macNs: 0 }),
    'ffff000011223340       1          2          0          1          3600000000 0     -\n',
  );
  t.end();
});
