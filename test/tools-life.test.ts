/**
 * The tools of the source life without a kernel: which programs serve which events, what the kernel
 * side is told to filter by, the columns of records that do not come by themselves, counts, journal.
 */
import { Command, CommanderError } from 'commander';
import t from 'tap';
import { addOptions } from '../src/cli/options.js';
import { DnsCache } from '../src/dns/cache.js';
import { LIFE_FILTER } from '../src/generated/life.js';
import { wallClockColumn, secondsColumn } from '../src/tools/life/columns.js';
import { connectColumns } from '../src/tools/life/connect-columns.js';
import { ConnectCounts } from '../src/tools/life/connect-counts.js';
import { LIFE_EVENTS, lifeEvent, lifeMask, type LifeEvent } from '../src/sources/life-events.js';
import { stateEntry } from '../src/tools/life/journal.js';
import { lifeColumns } from '../src/tools/life/life-columns.js';
import { CSV, milliseconds, UIDS } from '../src/tools/life/options.js';
import { stateColumns } from '../src/tools/life/state-columns.js';
import { tracerColumns } from '../src/tools/life/tracer-columns.js';
import {
  ALL_LIFE,
  encodeLifeFilter,
  PLAN,
  servesLife,
  type LifeRecord,
} from '../src/sources/life.js';
import {
  ACCEPT_PROGRAMS,
  isAcceptProgramWanted,
  isUserProgramWanted,
  USER_PROGRAMS,
} from '../src/sources/owners.js';
import type { Column } from '../src/terminal/column.js';
import { formatter, type Format } from '../src/terminal/format.js';
import { programsInSources } from './support/vm-programs.js';

const [V4, V6] = [2, 10];
const [ESTABLISHED, SYN_SENT, FIN_WAIT1] = [1, 2, 4];

const RECORD: LifeRecord = {
  ...{ tsNs: 5e9, sock: 0xffff_8881, kind: 10, netns: 4_026_531_840 },
  ...{ durationNs: 1_234_567, handshakeNs: 70_000, startNs: 1, cgroup: 7, pid: 4321, uid: 1000 },
  ...{ bytesAcked: 2049, bytesReceived: 1023, dataSent: 2047, dataReceived: 1022 },
  ...{ comm: 'a-rather-long-n', localAddr: '192.0.2.1', peerAddr: '198.51.100.2' },
  ...{ localPort: 41_000, peerPort: 443, family: V4, error: 0, event: 0, role: 1 },
  ...{ state: ESTABLISHED, oldState: SYN_SENT, marks: 0, acceptedBy: 0, acceptedByComm: '' },
};

/** What is not known of a connection older than netwatch. */
const STRANGER: LifeRecord = {
  ...RECORD,
  ...{ pid: 0, uid: 0, comm: '', durationNs: null, handshakeNs: null },
};

const SIX: LifeRecord = {
  ...RECORD,
  ...{ family: V6, localAddr: '2001:db8::1', peerAddr: '2001:db8::2' },
};

const context = { wallMs: (tsNs: number): number => Date.UTC(2026, 10, 21, 12) + tsNs / 1e6 };

const line = (
  columns: readonly Column<LifeRecord>[],
  record = RECORD,
  format: Format = 'table',
): string => formatter(format, columns).line(record);

const common = { output: 'table', libbpfLog: false } as const;
const plain = { ...common, time: false, timestamp: false, wide: false };

t.test('each event has its bit, and a mask is made of them', (t) => {
  t.strictSame(
    LIFE_EVENTS.map((name) => lifeMask([name])),
    [1, 2, 4, 8, 16, 32, 64],
  );
  t.equal(lifeMask(['STATE', 'END']), 33);
  t.equal(lifeMask([]), 0);
  t.strictSame(
    LIFE_EVENTS.map((_, event) => lifeEvent({ event })),
    LIFE_EVENTS,
  );
  t.end();
});

t.test('no program is loaded that no event needs', (t) => {
  const programs = Object.keys(PLAN.programs);
  const inSource = programsInSources()
    .filter(({ source }) => source === 'life')
    .map(({ name }) => name);
  t.strictSame([...programs].sort(), inSource.sort(), 'PLAN names them all');
  const wanted = (...events: LifeEvent[]): string[] =>
    programs.filter((program) => servesLife(program, events, true));
  const accepting = ACCEPT_PROGRAMS.filter(isAcceptProgramWanted);
  t.strictSame(wanted('ACCEPT'), accepting);
  t.strictSame(wanted('ESTABLISHED', 'REFUSED'), ['inet_sock_set_state']);
  t.strictSame(wanted('CONNECT'), [
    'inet_sock_set_state',
    'sys_exit_connect',
    'tcp_retransmit_skb',
  ]);
  const owned = [
    'inet_sock_set_state',
    ...accepting,
    ...USER_PROGRAMS.filter(isUserProgramWanted),
    'task_file',
  ];
  for (const event of ['CLOSE', 'END'] as const) t.strictSame(wanted(event), owned);
  const connecting = ['sys_exit_connect', 'tcp_retransmit_skb'];
  t.strictSame(wanted('STATE').sort(), [...owned, ...connecting].sort());
  t.ok(servesLife('forget_socket', ['STATE'], false), 'where sockets have no storage');
  t.notOk(servesLife('forget_socket', ['ACCEPT'], false));
  t.end();
});

t.test('the filter as the kernel side reads it', (t) => {
  const bytes = encodeLifeFilter({ ...ALL_LIFE, events: ['CONNECT'], uid: 0, minLatencyMs: 0.25 });
  const view = new DataView(bytes.buffer);
  const { at, size } = LIFE_FILTER;
  t.equal(bytes.length, size);
  t.equal(view.getBigUint64(at.minLatencyNs, true), 250_000n);
  t.equal(view.getUint32(at.events, true), 2);
  t.equal(view.getUint32(at.uidAsked, true), 1, 'also of root');
  const any = new DataView(encodeLifeFilter(ALL_LIFE).buffer);
  t.equal(any.getUint32(at.uidAsked, true), 0);
  const rounded = encodeLifeFilter({ ...ALL_LIFE, minLatencyMs: 0.0014 });
  t.equal(new DataView(rounded.buffer).getBigUint64(at.minLatencyNs, true), 1000n, 'whole us');
  t.end();
});

t.test('names are cut where the columns of the originals end, and nowhere else', (t) => {
  const narrow = line(stateColumns(plain, context));
  const wide = line(stateColumns({ ...plain, wide: true }, context));
  t.match(narrow, / 4321 {2}a-rather-l 192\.0\.2\.1 {7}41000 198\.51\.100\.2 {4}443 {3}SYN_SENT/);
  t.match(wide, / 4321 {2}a-rather-long-n {2}4 {2}192\.0\.2\.1 {31}41000 /);
  t.match(line(stateColumns(plain, context), RECORD, 'csv'), /,a-rather-long-n,4,192\.0\.2\.1,/);
  t.match(line(lifeColumns(plain, context)), /^4321 {2}a-rather-l .* 443 {7}2 {5}0 1\.23\n$/);
  t.end();
});

t.test('what is not known is N/A to a person and null to a program', (t) => {
  t.match(line(stateColumns(plain, context), STRANGER), / N\/A {3}N\/A {8}.* 0\.000\n$/);
  const json = { ...plain, output: 'json' } as const;
  const object = JSON.parse(line(lifeColumns(json, context), STRANGER, 'json')) as object;
  t.strictSame(object, {
    time: '2026-11-21T12:00:05.000Z',
    pid: null,
    process: null,
    network_type: 'ipv4',
    network_local_address: '192.0.2.1',
    network_local_port: 41_000,
    network_peer_address: '198.51.100.2',
    network_peer_port: 443,
    bytes_sent: 2047,
    bytes_received: 1022,
    duration_ms: null,
    handshake_ms: null,
  });
  t.end();
});

t.test('seconds begin with the first event, and one before it is no -0', (t) => {
  const { cell } = secondsColumn(3);
  const at = (ms: number): unknown => cell({ ...RECORD, tsNs: 5e9 + ms * 1e6 });
  t.strictSame([at(0), at(1234.5678), at(-0.1), at(-2)], ['0.000', '1.235', '0.000', '-0.002']);
  t.match(wallClockColumn(8, context).cell(RECORD), /^\d\d:\d\d:05$/);
  t.end();
});

t.test('tcptracer: letters or words, brackets around IPv6, namespaces with -v', (t) => {
  const options = { ...common, timestamp: false, printUid: false, verbose: false };
  const event = LIFE_EVENTS.indexOf('END');
  const columns = tracerColumns(options, context);
  t.match(
    line(columns, { ...SIX, event }),
    /^X {2}4321 {3}a-rather-long-n {2}6 {2}\[2001:db8::1\] {4}\[2001:db8::2\] {4}41000 {2}443 {3}\n$/,
  );
  t.match(line(columns, { ...RECORD, event: 99 }), /^U /);
  const verbose = tracerColumns({ ...options, verbose: true }, context);
  t.equal(
    formatter('table', verbose).head,
    'TYPE         PID    COMM             IP SADDR            DADDR            SPORT  DPORT  NETNS   \n',
  );
  t.match(line(verbose, { ...RECORD, event }), /^close {8}4321 .* 41000 {2}443 {4}4026531840\n$/);
  const one = tracerColumns({ ...options, verbose: true, netns: ['1'] }, context);
  t.notMatch(formatter('table', one).head, /NETNS/);
  t.end();
});

t.test('tcpconnect: local port, user and name only if asked for, in JSON always', (t) => {
  const options = {
    ...{ ...common, timestamp: false, printUid: false },
    ...{ lport: false, sourcePort: false, dns: false },
  };
  const names = { names: new DnsCache() };
  const heads = (more: Partial<typeof options>): string[] =>
    formatter('csv', connectColumns({ ...options, ...more }, context, names))
      .head.trim()
      .split(',');
  t.strictSame(heads({}), ['PID', 'COMM', 'IP', 'SADDR', 'DADDR', 'DPORT']);
  t.strictSame(heads({ lport: true, printUid: true, dns: true }), [
    ...['UID', 'PID', 'COMM', 'IP', 'SADDR', 'LPORT', 'DADDR', 'DPORT', 'QUERY'],
  ]);
  const json = connectColumns({ ...options, output: 'json' } as never, context, names);
  const object: unknown = JSON.parse(line(json, RECORD, 'json'));
  t.match(object, { uid: 1000, network_local_port: 41_000, time: '2026-11-21T12:00:05.000Z' });
  t.end();
});

t.test('tcpconnect -c: IPv4 before IPv6, the most first', (t) => {
  const counts = new ConnectCounts(false);
  const peer = (record: LifeRecord, peerAddr: string, times: number): void => {
    for (let i = 0; i < times; i++) counts.take({ ...record, peerAddr, localPort: i + 1 });
  };
  peer(SIX, '2001:db8::9', 7);
  peer(RECORD, '198.51.100.1', 2);
  peer(RECORD, '198.51.100.3', 5);
  t.strictSame(counts.summary().csv, [
    'LADDR,RADDR,RPORT,CONNECTS',
    '192.0.2.1,198.51.100.3,443,5',
    '192.0.2.1,198.51.100.1,443,2',
    '2001:db8::1,2001:db8::9,443,7',
  ]);
  t.equal(counts.summary().lines[0], '', 'an empty line before the head');
  const byPort = new ConnectCounts(true);
  for (const localPort of [1, 2, 2]) byPort.take({ ...RECORD, localPort });
  t.match(byPort.summary().json, { connects: [{ connects: 2 }, { connects: 1 }] });
  t.end();
});

t.test('an entry of the journal has the fields of bcc’s tcpstates', (t) => {
  t.strictSame(stateEntry({ ...SIX, state: FIN_WAIT1, oldState: ESTABLISHED }), {
    SYSLOG_IDENTIFIER: 'tcpstates',
    PRIORITY: 5,
    OBJECT_PID: 4321,
    OBJECT_IPV6_SOURCE_ADDRESS: '2001:db8::1',
    OBJECT_TCP_SOURCE_PORT: 41_000,
    OBJECT_IPV6_DESTINATION_ADDRESS: '2001:db8::2',
    OBJECT_TCP_DESTINATION_PORT: 443,
    OBJECT_TCP_OLD_STATE: 'ESTABLISHED',
    OBJECT_TCP_NEW_STATE: 'FIN_WAIT1',
    OBJECT_TCP_SPAN_TIME: 1234,
    MESSAGE: 'a-rather-long-n 2001:db8::1 41000 → 2001:db8::2 443 ESTABLISHED → FIN_WAIT1',
  });
  const { OBJECT_PID, OBJECT_TCP_SPAN_TIME } = stateEntry(STRANGER);
  t.strictSame([OBJECT_PID, OBJECT_TCP_SPAN_TIME], [undefined, 0]);
  t.end();
});

/** What the arguments become, or the words of the refusal. */
function parse(args: readonly string[]): unknown {
  const command = new Command('tool').exitOverride().option('-o, --output <F>', '', 'table');
  command.configureOutput({ writeErr: () => undefined });
  addOptions(command, { ...CSV, ...UIDS });
  try {
    return command.parse(args, { from: 'user' }).opts();
  } catch (error) {
    return error instanceof CommanderError ? error.message : error;
  }
}

t.test('options as they are typed', (t) => {
  t.match(parse(['-s']), { output: 'csv' });
  t.match(parse(['-s', '-o', 'json']), { output: 'json' }, 'what was typed goes before');
  t.match(parse(['-u', '0', '-U']), { uid: 0, printUid: true });
  for (const wrong of ['-1', 'root', '4294967295', ''])
    t.match(parse([`-u${wrong}`]), /number of a user|argument missing/, wrong);
  t.strictSame(['1', '0.1', '.5', '2.'].map(milliseconds), [1, 0.1, 0.5, 2]);
  for (const wrong of ['0', '-1', '1e3', 'x', '']) t.throws(() => milliseconds(wrong), wrong);
  t.end();
});
