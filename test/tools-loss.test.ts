/**
 * tcpdrop, tcp_inerrs and tcpretrans without a kernel: their columns as bcc and lmp print them, what
 * their options refuse, kernel addresses as names, the counts by connection.
 */
import t from 'tap';
import { flagNames, dropColumns, faultColumns } from '../src/tools/loss/drop-columns.js';
import { DropCounts } from '../src/tools/loss/drop-counts.js';
import { FlowCounts } from '../src/tools/loss/flows.js';
import { retransmitColumns } from '../src/tools/loss/retransmit-columns.js';
import { kernelSymbols, symbolAddress } from '../src/kernel/kallsyms.js';
import type { DropRecord } from '../src/sources/drop.js';
import type { InsightRecord } from '../src/sources/insight.js';
import { framesOf } from '../src/sources/stack.js';
import { formatter, type Format } from '../src/terminal/format.js';
import type { Column } from '../src/terminal/column.js';
import { decodeInsight, INSIGHT } from '../src/generated/insight.js';
import { decodeTcpDrop, TCP_DROP } from '../src/generated/drop.js';
import tcpInerrs from '../src/tools/tcp_inerrs.js';
import tcpdrop from '../src/tools/tcpdrop.js';
import tcpretrans from '../src/tools/tcpretrans.js';
import type { Tool } from '../src/terminal/tool.js';

/** 13:07:09 of some day, wherever the clock is. */
const WALL_MS = new Date(2026, 10, 21, 13, 7, 9, 250).getTime();
const wallMs = (): number => WALL_MS;

const NOTHING = decodeTcpDrop(new DataView(new ArrayBuffer(TCP_DROP.size)), 0);

const DROP: DropRecord = {
  ...NOTHING,
  pid: 4711,
  comm: 'nginx: worker pr',
  family: 2,
  localAddr: '10.0.0.1',
  localPort: 443,
  peerAddr: '192.0.2.7',
  peerPort: 50_123,
  seq: 17,
  ack: 18,
  reason: 42,
  reasonName: 'TCP_INVALID_SEQUENCE',
  skbBytes: 60,
  tcpFlags: 0x18,
  rx: 1,
  state: 1,
  fault: 'sequence',
  isKeepalive: false,
};

const V6: DropRecord = {
  ...DROP,
  pid: 0,
  comm: '',
  family: 10,
  localAddr: '2001:db8::1',
  peerAddr: '2001:db8::2',
  rx: 0,
  state: 0,
  reason: 0,
  reasonName: null,
  fault: null,
  isKeepalive: false,
};

const INSIGHT_RECORD: InsightRecord = {
  ...decodeInsight(new DataView(new ArrayBuffer(INSIGHT.size)), 0),
  pid: 4711,
  comm: 'curl',
  family: 2,
  localAddr: '10.0.0.1',
  localPort: 50_123,
  peerAddr: '192.0.2.7',
  peerPort: 443,
  state: 1,
  cause: 2,
  seq: 99,
  segments: 1,
  bytes: 1448,
};

function shown<R>(columns: readonly Column<R>[], records: readonly R[], format: Format): string[] {
  const { head, line } = formatter(format, columns);
  return [head, ...records.map(line)].map((text) => text.replace(/\n$/, ''));
}

const objects = <R>(columns: readonly Column<R>[], record: R): unknown =>
  JSON.parse(shown(columns, [record], 'json')[1] ?? '');

t.test('tcpdrop prints as bcc does, from the sender to the receiver', (t) => {
  t.strictSame(
    shown(
      dropColumns(false, wallMs, () => []),
      [DROP, V6],
      'table',
    ),
    [
      'TIME     PID     IP SADDR:SPORT          > DADDR:DPORT          STATE (FLAGS)        REASON (CODE)',
      '13:07:09 4711    4  192.0.2.7:50123      > 10.0.0.1:443         ESTABLISHED (PSH|ACK) TCP_INVALID_SEQUENCE (42)',
      '13:07:09 N/A     6  [2001:db8::1]:443    > [2001:db8::2]:50123  N/A (PSH|ACK)        N/A',
    ],
  );
  t.strictSame(
    shown(
      dropColumns(false, wallMs, () => []),
      [DROP],
      'csv',
    ),
    [
      'TIME,PID,IP,SADDR:SPORT,DADDR:DPORT,STATE (FLAGS),REASON (CODE)',
      '13:07:09,4711,4,192.0.2.7:50123,10.0.0.1:443,ESTABLISHED (PSH|ACK),TCP_INVALID_SEQUENCE (42)',
    ],
  );
  t.end();
});

t.test('tcpdrop tells programs everything, and null where nothing is known', (t) => {
  const frames = ['tcp_v4_rcv+0x1', 'ip_rcv+0x2'];
  const columns = dropColumns(true, wallMs, () => frames);
  t.strictSame(objects(columns, DROP), {
    time: new Date(WALL_MS).toISOString(),
    pid: 4711,
    network_type: 'ipv4',
    network_peer_address: '192.0.2.7',
    network_peer_port: 50_123,
    network_local_address: '10.0.0.1',
    network_local_port: 443,
    state: 'ESTABLISHED',
    tcp_flags: ['PSH', 'ACK'],
    reason: 'TCP_INVALID_SEQUENCE',
    reason_code: 42,
    process: 'nginx: worker pr',
    network_io_direction: 'receive',
    seq: 17,
    ack: 18,
    packet_bytes: 60,
    sock: null,
    netns: 0,
    stack: frames,
  });
  t.match(objects(columns, V6), {
    pid: null,
    process: null,
    state: null,
    reason: null,
    reason_code: null,
    network_io_direction: 'transmit',
  });
  t.end();
});

t.test('JSON names who accepted the connection, where another process has it', (t) => {
  const accepted = { acceptedBy: 4700, acceptedByComm: 'sshd' };
  const named = { accepted_by: { pid: 4700, process: 'sshd' } };
  const json = <R>(columns: readonly Column<R>[], one: R): unknown =>
    JSON.parse(shown(columns, [one], 'json')[1] ?? '');
  const ofDrop = dropColumns(true, wallMs, () => []);
  const ofRetransmit = retransmitColumns(
    { isJson: true, lossprobe: false, sequence: false },
    wallMs,
  );
  t.match(json(ofDrop, { ...DROP, ...accepted }), named);
  t.match(json(faultColumns(true, wallMs), { ...DROP, ...accepted }), named);
  t.match(json(ofRetransmit, { ...INSIGHT_RECORD, ...accepted }), named);
  t.notOk('accepted_by' in Object(json(ofDrop, DROP)));
  t.notOk('accepted_by' in Object(json(ofRetransmit, INSIGHT_RECORD)));
  t.end();
});

t.test('flags of a segment have names from the lowest bit on', (t) => {
  t.strictSame(flagNames(0), []);
  t.strictSame(flagNames(0x12), ['SYN', 'ACK']);
  t.equal(flagNames(0xff).join('|'), 'FIN|SYN|RST|PSH|ACK|URG|ECE|CWR');
  t.end();
});

t.test('tcp_inerrs prints as lmp does, in its words', (t) => {
  const records = (['sequence', 'data-offset', 'checksum'] as const).map((fault) => ({
    ...DROP,
    fault,
  }));
  t.strictSame(shown(faultColumns(false, wallMs), [...records, { ...V6, rx: 1 }], 'table'), [
    'TIME      PID     COMM         IP SADDR:SPORT              > DADDR:DPORT              REASON       STATE',
    '13:07:09  4711    nginx: worker pr 4  192.0.2.7:50123          > 10.0.0.1:443             invalid seq  ESTABLISHED',
    '13:07:09  4711    nginx: worker pr 4  192.0.2.7:50123          > 10.0.0.1:443             invalid doff ESTABLISHED',
    '13:07:09  4711    nginx: worker pr 4  192.0.2.7:50123          > 10.0.0.1:443             checksum     ESTABLISHED',
    '13:07:09  N/A     N/A          6  [2001:db8::2]:50123      > [2001:db8::1]:443        N/A          N/A',
  ]);
  t.match(objects(faultColumns(true, wallMs), DROP), {
    error: 'invalid seq',
    reason: 'TCP_INVALID_SEQUENCE',
    reason_code: 42,
    tcp_flags: ['PSH', 'ACK'],
  });
  t.end();
});

t.test('tcpretrans prints as bcc does, with and without SEQ', (t) => {
  const table = (lossprobe: boolean, sequence: boolean, record = INSIGHT_RECORD): string[] =>
    shown(retransmitColumns({ isJson: false, lossprobe, sequence }, wallMs), [record], 'table');
  t.strictSame(table(false, false), [
    'TIME     PID     IP LADDR:LPORT          T> RADDR:RPORT          STATE',
    '13:07:09 4711    4  10.0.0.1:50123       R> 192.0.2.7:443        ESTABLISHED',
  ]);
  t.strictSame(table(true, true), [
    'TIME     PID     IP LADDR:LPORT          T> RADDR:RPORT          STATE        SEQ       ',
    '13:07:09 4711    4  10.0.0.1:50123       L> 192.0.2.7:443        ESTABLISHED  99        ',
  ]);
  const synack = { ...INSIGHT_RECORD, cause: 4, state: 12, pid: 0, seq: 0 };
  t.strictSame(table(true, true, synack).slice(1), [
    '13:07:09 N/A     4  10.0.0.1:50123       R> 192.0.2.7:443        NEW_SYN_RECV N/A       ',
  ]);
  t.match(
    objects(retransmitColumns({ isJson: true, lossprobe: false, sequence: false }, wallMs), synack),
    {
      type: 'R',
      cause: 'synack',
      state: 'NEW_SYN_RECV',
      seq: null,
      process: null,
    },
  );
  t.end();
});

t.test('tcpretrans -c counts the segments of each connection, most first', (t) => {
  const flows = new FlowCounts();
  const one = {
    ...{ family: 2, localAddr: '10.0.0.1', localPort: 22, peerAddr: '10.0.0.2', peerPort: 9 },
    ...{ segments: 1, pid: 0, comm: '' },
  };
  const ssh = { ...one, pid: 4711, comm: 'a,b' };
  const v6 = { ...one, family: 10, localAddr: '2001:db8::1', peerAddr: '2001:db8::2' };
  for (const flow of [{ ...v6, segments: 17 }, one, ssh, one, { ...one, peerPort: 10 }])
    flows.add(flow);
  const { lines, json, csv } = flows.summary();
  t.strictSame(lines, [
    '',
    'LADDR:LPORT               RADDR:RPORT               RETRANSMITS PID     COMM',
    '[2001:db8::1]#22     <-> [2001:db8::2]#9              17  N/A     N/A',
    '[10.0.0.1]#22        <-> [10.0.0.2]#9                  3  4711    a,b',
    '[10.0.0.1]#22        <-> [10.0.0.2]#10                 1  N/A     N/A',
  ]);
  t.strictSame(csv, [
    'LADDR:LPORT,RADDR:RPORT,RETRANSMITS,PID,COMM',
    '[2001:db8::1]:22,[2001:db8::2]:9,17,N/A,N/A',
    '10.0.0.1:22,10.0.0.2:9,3,4711,"a,b"',
    '10.0.0.1:22,10.0.0.2:10,1,N/A,N/A',
  ]);
  t.match(json, {
    flows: [
      { retransmits: 17, pid: null, process: null },
      { retransmits: 3, pid: 4711, process: 'a,b' },
      { retransmits: 1 },
    ],
  });
  t.end();
});

t.test('tcpdrop -c counts drops by reason, process and local end, most first', (t) => {
  const counts = new DropCounts();
  const one = {
    ...{ reasonName: 'NO_SOCKET', pid: 0, comm: '', localAddr: '10.0.0.1', localPort: 22 },
  } as DropRecord;
  const nginx = { ...one, reasonName: 'TCP_CSUM', pid: 4711, comm: 'nginx', localPort: 80 };
  for (const drop of [one, nginx, nginx]) counts.add(drop);
  const { lines, json, csv } = counts.summary();
  t.strictSame(lines, [
    '',
    'REASON                   PID     COMM             LADDR:LPORT              DROPS',
    'TCP_CSUM                 4711    nginx            10.0.0.1:80              2',
    'NO_SOCKET                N/A     N/A              10.0.0.1:22              1',
  ]);
  t.strictSame(csv, [
    'REASON,PID,COMM,LADDR:LPORT,DROPS',
    'TCP_CSUM,4711,nginx,10.0.0.1:80,2',
    'NO_SOCKET,N/A,N/A,10.0.0.1:22,1',
  ]);
  t.match(json, {
    drops: [
      { process: 'nginx', drops: 2 },
      { process: null, drops: 1 },
    ],
    others: 0,
  });
  t.end();
});

const SYMBOLS = [
  '0000000000000000 A fixed_percpu_data',
  'ffffffff81000000 T _text',
  'ffffffff81000000 T _stext',
  'ffffffffc0a00010 t bpf_prog_0123456789abcdef_kfree_skb\t[bpf]',
  'ffffffff81a00000 T tcp_v4_rcv',
  'ffffffff81a00400 D tcp_hashinfo',
  'ffffffff81a00800 t tcp_drop.isra.0',
  'ffffffffc0900000 t nf_hook\t[nf_tables]',
  'ffffffff81100000 T bpf_trace_run4',
  'ffffffff81200000 T __traceiter_kfree_skb',
  '',
].join('\n');

/** As a record holds it: a signed number, whose low half these addresses fit in. */
const at = (low: number): number => low - 2 ** 32;

t.test('an address in the kernel is named by the function it lies in', (t) => {
  let reads = 0;
  const { nameOf } = kernelSymbols(() => {
    reads += 1;
    return Buffer.from(SYMBOLS);
  });
  t.equal(reads, 0, 'nothing is read before it is needed');
  t.equal(nameOf(at(0x81a00000)), 'tcp_v4_rcv+0x0');
  t.equal(nameOf(at(0x81a00791)), 'tcp_v4_rcv+0x791', 'data is no function');
  t.equal(nameOf(at(0x81a0080f)), 'tcp_drop.isra.0+0xf');
  t.equal(nameOf(at(0xc0900001)), 'nf_hook+0x1', 'without its module');
  t.equal(nameOf(at(0x80ffffff)), null, 'before the first');
  t.equal(nameOf(at(0xc0b00010)), null, 'too far behind the last');
  t.equal(reads, 1);
  const hidden = kernelSymbols(() =>
    Buffer.from(SYMBOLS.replace(/^[0-9a-f]{16}/gm, '0'.repeat(16))),
  );
  t.equal(hidden.nameOf(at(0x81a00000)), null, 'no CAP_SYSLOG: all addresses are 0');
  t.end();
});

t.test('a symbol has an address, unless the kernel hides it', (t) => {
  const text = 'ffffffff81e0c4a0 D sock_file_ops\nffffffff81e0c5a0 d socket_file_ops\n';
  t.equal(symbolAddress('socket_file_ops', text), 0xffffffff81e0c5a0n);
  t.equal(symbolAddress('file_ops', text), null, 'the whole name');
  t.equal(symbolAddress('socket_file_ops', text.replace(/^[0-9a-f]+/gm, '0'.repeat(16))), null);
  t.end();
});

t.test('a stack begins where the packet was given up, not where we look', (t) => {
  const symbols = kernelSymbols(() => Buffer.from(SYMBOLS));
  const nothing = kernelSymbols(() => Buffer.from(''));
  const tracing = [0xc0a00020, 0x81100001, 0x81200002].map(at);
  const way = [0x81a00805, 0x81a00009].map(at);
  const named = ['tcp_drop.isra.0+0x5', 'tcp_v4_rcv+0x9'];
  const [, location = 0] = way;
  t.strictSame(framesOf([...tracing, ...way], location, symbols), named, 'by the caller');
  t.strictSame(framesOf([...tracing, ...way], 0, symbols), named, 'by names');
  t.strictSame(framesOf([...tracing, ...way], at(0x81a00123), symbols), named, 'not in the stack');
  t.strictSame(
    framesOf([...tracing, ...way], location, nothing),
    ['0xffffffff81a00805', '0xffffffff81a00009'],
    'addresses where there are no names',
  );
  t.strictSame(framesOf([], location, symbols), []);
  t.end();
});

function refused(tool: Tool, args: readonly string[]): string {
  const command = tool
    .command()
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  try {
    command.action(() => undefined).parse([...args], { from: 'user' });
    return '';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

t.test('options that cannot be meant are refused in words', (t) => {
  for (const tool of [tcpdrop, tcpInerrs, tcpretrans]) {
    t.equal(refused(tool, ['-4', '--port', '80,443']), '', tool.name);
    t.match(refused(tool, ['-4', '-6']), /cannot be used with/, tool.name);
    t.match(refused(tool, ['--port', '0']), /a port from 1 to 65535/, tool.name);
  }
  t.equal(refused(tcpdrop, ['--netns-id', '4026531840,4026532000']), '');
  t.match(refused(tcpdrop, ['--netns-id', 'blue']), /inode number/);
  t.match(refused(tcpdrop, ['--netns-id', '1', '--pid-netns', '2']), /cannot be used with/);
  t.match(refused(tcpdrop, ['--pid-netns', 'x']), /a process id/);
  t.end();
});
