// Unit: masks, states and ranges as they are typed; details, statistics and formats as they are shown.
import { Command, CommanderError } from 'commander';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import { addOptions, valuesOf } from '../src/cli/options.js';
import { COMMON } from '../src/terminal/common.js';
import { jiffiesPerSecond } from '../src/kernel/kernel-config.js';
import {
  ALL_EVENTS,
  EVENT_CLASSES,
  EVENT_NAMES,
  EVENTS_WITH_BYTES,
  maskOf,
  namesIn,
  parseMask,
  type EventName,
} from '../src/sources/insight-events.js';
import { parseNumber } from '../src/sources/c-number.js';
import { parseState, stateName } from '../src/sources/tcp-states.js';
import { insightColumns } from '../src/tools/insight/columns.js';
import { detailsText } from '../src/tools/insight/details.js';
import { ACCEPT_PROGRAMS } from '../src/sources/owners.js';
import { TAKEN_PROGRAMS } from '../src/sources/transfers.js';
import { isWanted, PROBES, type KernelHas } from '../src/sources/insight-probes.js';
import { quantile, rttBucket, statisticsOf } from '../src/tools/insight/statistics.js';
import { decodeInsight, INSIGHT } from '../src/generated/insight.js';
import type { InsightRecord, KernelNames } from '../src/sources/insight.js';
import { insightOptions, OPTIONS, type TypedOptions } from '../src/tools/insight/options.js';
import { formatter } from '../src/terminal/format.js';
import { timeOfDay } from '../src/metrics/wall-clock.js';
import { programsInSources } from './support/vm-programs.js';

t.test('a mask is a number of any base, or names', (t) => {
  const same: readonly (readonly [string, number | null])[] = [
    ['0x63', 0x63],
    ['0X1c', 0x1c],
    ['0143', 0o143],
    ['99', 99],
    ['0xFFFF', ALL_EVENTS],
    ['65535', ALL_EVENTS],
    ['CONNECT,CLOSE', 0x21],
    ['sack, Timeout', 0x6000],
    ['CONNECT', 1],
    ['0', null],
    ['0x10000', null],
    ['0x8000', null],
    ['-1', null],
    ['08', null],
    ['1.5', null],
    ['CONNECT,NOPE', null],
    ['CONNECT,', null],
    ['', null],
    ['constructor', null],
  ];
  for (const [text, mask] of same) t.equal(parseMask(text), mask, text);
  t.equal(parseNumber('0'), 0);
  t.end();
});

t.test("the masks of tcp-insight's own documentation mean what they say", (t) => {
  t.strictSame(namesIn(0x63), ['CONNECT', 'ACCEPT', 'CLOSE', 'RESET']);
  t.strictSame(namesIn(0x1c), ['SEND', 'RECEIVE', 'RETRANSMIT']);
  t.strictSame(namesIn(0x1180), ['CWND_CHANGE', 'RTT_UPDATE', 'WINDOW_UPDATE']);
  t.strictSame(namesIn(0x6050), ['RETRANSMIT', 'RESET', 'SACK', 'TIMEOUT']);
  t.equal(EVENT_NAMES.length, 15);
  t.equal(EVENTS_WITH_BYTES, 0x203c);
  const inClasses = Object.values(EVENT_CLASSES).flat();
  t.strictSame([...inClasses].sort(), [...EVENT_NAMES].sort(), 'each event is in one class');
  t.end();
});

t.test('a state is a number of the kernel or its name', (t) => {
  t.equal(parseState('1'), 1);
  t.equal(parseState('established'), 1);
  t.equal(parseState('TIME_WAIT'), 6);
  t.equal(parseState('0xc'), 12);
  for (const text of ['0', '13', '-1', 'OPEN', '', '1x']) t.equal(parseState(text), null, text);
  t.equal(stateName(7), 'CLOSE');
  t.equal(stateName(0), null);
  t.end();
});

const NEW: KernelHas = {
  transfers: { by: 'tracepoint', sendpage: false, receiveParameters: 5 },
  congestionStates: true,
  socketStorage: true,
};
const OLD: KernelHas = {
  transfers: { by: 'fexit', sendpage: true, receiveParameters: 6 },
  congestionStates: false,
  socketStorage: false,
};

const wanted = (mask: number, kernel: KernelHas): string[] =>
  Object.keys(PROBES).filter((program) => isWanted(program, mask, kernel));

const owners = (...users: string[]): string[] => [
  'inet_sock_set_state',
  ...ACCEPT_PROGRAMS,
  ...users,
  'task_file',
];
const OWNERS = owners('user_sends', 'user_receives');
const OLD_OWNERS = owners('user_reads');

t.test('programs that serve only events nobody wants are not loaded', (t) => {
  t.strictSame(wanted(maskOf(['CLOSE']), NEW), OWNERS);
  t.strictSame(wanted(maskOf(['SEND']), NEW), [...OWNERS, 'sock_send_length']);
  t.strictSame(wanted(maskOf(['SACK']), NEW), [...OWNERS, 'tcp_probe']);
  t.strictSame(wanted(maskOf(['TIMEOUT']), NEW), [...OWNERS, 'tcp_cong_state_set']);
  t.strictSame(wanted(maskOf(['TIMEOUT']), OLD), [
    ...OLD_OWNERS,
    'forget_socket',
    'tcp_retransmit_skb',
  ]);
  t.strictSame(wanted(maskOf(['FAST_RECOVERY']), NEW), [...OWNERS, 'tcp_cong_state_set']);
  t.strictSame(wanted(maskOf(['FAST_RECOVERY']), OLD), [
    ...OLD_OWNERS,
    'forget_socket',
    'tcp_retransmit_skb',
    'tcp_probe',
  ]);
  t.strictSame(wanted(maskOf(['RECEIVE']), OLD), [
    ...OLD_OWNERS,
    'forget_socket',
    'tcp_recvmsg_noblock',
    ...TAKEN_PROGRAMS,
  ]);
  const transfers = { ...OLD.transfers, by: 'kprobe' } as const;
  t.strictSame(wanted(maskOf(['SEND', 'RECEIVE']), { ...NEW, transfers }), [
    ...OLD_OWNERS,
    'sendmsg_begin',
    'sendmsg_end',
    'sendpage_begin',
    'sendpage_end',
    'recvmsg_begin_noblock',
    'recvmsg_end',
    ...TAKEN_PROGRAMS,
  ]);
  t.end();
});

t.test('every program of the kernel side stands in the table, and no other', (t) => {
  const programs = programsInSources().filter(({ source }) => source === 'insight');
  const names = programs.map(({ name }) => name).filter((name) => name !== 'open_connections');
  t.strictSame(Object.keys(PROBES).sort(), names.sort());
  t.end();
});

function typed(...args: readonly string[]): TypedOptions {
  const command = new Command('insight')
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  addOptions(command, { ...OPTIONS, ...COMMON });
  command.parse(args, { from: 'user' });
  return { ...valuesOf(command, { ...COMMON, ...OPTIONS }), libbpfLog: false };
}

const SCOPE = { namespaces: [], cgroup: null };

t.test('filters become what the source understands', (t) => {
  const line =
    '-p 1,2 -c nginx --sport 80 --dport 443 -e CONNECT -S LISTEN --min-rtt 7 --max-bytes 9';
  const options = insightOptions(typed(...line.split(' '), '-T'), SCOPE);
  t.match(options, {
    filter: { pids: [1, 2], comm: 'nginx', localPorts: [80], peerPorts: [443] },
    events: 1,
    state: 10,
    rttUs: { min: 7, max: null },
    bytes: { min: null, max: 9 },
    statistics: true,
  });
  t.equal(insightOptions(typed(), SCOPE).events, ALL_EVENTS);
  t.end();
});

t.test('what is out of range, unknown or the wrong way round is refused', (t) => {
  const wrong = ['-e NOPE', '-e 0', '-S 13', '-p 0', '--sport 65536', '-s 1.2.3', '--min-rtt -1'];
  for (const line of [...wrong, '--max-rtt 4294967296', '--min-bytes 1.5', '--max-duration x'])
    t.throws(() => typed(...line.split(' ')), CommanderError, line);
  for (const name of ['duration', 'bytes', 'rtt'])
    t.throws(() => insightOptions(typed(`--min-${name}`, '5', `--max-${name}`, '4'), SCOPE), {
      exitCode: 2,
      message: `--min-${name} 5 is more than --max-${name} 4`,
    });
  t.doesNotThrow(() => insightOptions(typed('--min-rtt', '5', '--max-rtt', '5'), SCOPE));
  t.end();
});

t.test('buckets of round-trip times lie side by side, a sixteenth of their value wide', (t) => {
  let next = 0;
  for (let i = 0; i < 416; i++) {
    const { from, to } = rttBucket(i);
    t.equal(from, next);
    t.ok(i < 16 || (to - from) / from <= 1 / 16);
    next = to;
  }
  t.ok(next >= 2 ** 29, 'they hold every value the kernel can have');
  t.end();
});

t.test('quantiles are those of the values, as exact as the buckets', (t) => {
  const buckets = Array<number>(416).fill(0);
  for (let us = 1; us <= 1000; us++) {
    const index = [...buckets.keys()].findIndex((i) => rttBucket(i).to > us);
    buckets[index] = (buckets[index] ?? 0) + 1;
  }
  for (const part of [0.5, 0.95, 0.99]) {
    const found = quantile(buckets, part) ?? NaN;
    t.ok(Math.abs(found / (part * 1000) - 1) < 0.05, `${part}: ${found}`);
  }
  for (const us of [1, 5, 15, 16, 64, 1000, 123_456]) {
    const alike = buckets.map((_, i) => (rttBucket(i).from <= us && us < rttBucket(i).to ? 9 : 0));
    for (const part of [0.5, 0.95, 0.99]) {
      const found = quantile(alike, part) ?? NaN;
      t.ok(Math.abs(found / us - 1) <= 1 / 16, `${us} us is shown as ${found}`);
    }
  }
  t.equal(quantile([], 0.5), null);
  t.end();
});

t.test('statistics of events that were not watched are unknown, not 0', (t) => {
  const events = Array<number>(15).fill(0);
  events[0] = 3;
  const totals = {
    events,
    bytesSent: 0,
    bytesReceived: 0,
    segmentsRetransmitted: 0,
    rttUs: 0,
    cwnd: 0,
    rtt: [],
  };
  const found = statisticsOf({
    totals,
    events: maskOf(['CONNECT', 'SEND']),
    active: null,
    lost: 2,
  });
  t.match(found, {
    events: { CONNECT: 3, SEND: 0 },
    classes: { Connection: 3, Data: 0, Performance: null, Error: null },
    total: 3,
    connections: 3,
    bytesSent: 0,
    bytesReceived: null,
    retransmits: null,
    rttUs: { mean: null, p50: null },
    cwnd: null,
    active: null,
    lost: 2,
  });
  t.end();
});

const RECORD: InsightRecord = decodeInsight(new DataView(new ArrayBuffer(INSIGHT.size)), 0);
const NAMES: KernelNames = { resetReasons: new Map([[1, 'NO_SOCKET']]), msPerJiffy: 4 };
const ENDLESS = 0x7fff_ffff;

t.test('details say what has changed, from which value to which', (t) => {
  const texts: readonly (readonly [EventName, Partial<InsightRecord>, string | null])[] = [
    ['CONNECT', {}, null],
    ['ACCEPT', { ageNs: 1500 }, 'waited_us=1.5'],
    ['ACCEPT', { ageNs: null }, 'waited_us=-'],
    ['SEND', { queued: 7 }, 'unsent=7'],
    ['RECEIVE', { queued: 0 }, 'unread=0'],
    ['RETRANSMIT', { cause: 2, segments: 3, seq: 9 }, 'cause=tail_loss_probe segments=3 seq=9'],
    [
      'CLOSE',
      { bytesSent: 1, bytesReceived: 2, ageNs: 2e6, error: 104 },
      'sent=1 received=2 duration_ms=2 error=ECONNRESET',
    ],
    ['RESET', { cause: 1 }, 'direction=sent reason=NO_SOCKET'],
    ['RESET', { cause: 99 }, 'direction=sent reason=99'],
    ['RESET', { received: 1, cause: 1 }, 'direction=received'],
    ['CWND_CHANGE', { oldCwnd: 10, cwnd: 5, ssthresh: 5 }, 'cwnd=10->5 ssthresh=5'],
    [
      'RTT_UPDATE',
      { srttUs: 84, mdevUs: 8, minRttUs: 3 },
      'rtt_us=N/A->10.5 rttvar_us=2 min_rtt_us=3',
    ],
    ['SLOW_START', { cwnd: 10, ssthresh: ENDLESS }, 'cwnd=10 ssthresh=-'],
    ['CONG_AVOID', { cwnd: 10, ssthresh: 7 }, 'cwnd=10 ssthresh=7'],
    [
      'FAST_RECOVERY',
      { oldCaState: 1, caState: 3, sackedOut: 3, lostOut: 1 },
      'ca_state=disorder->recovery sacked=3 lost=1',
    ],
    ['WINDOW_UPDATE', { oldRcvWnd: 9, rcvWnd: 0 }, 'rcv_wnd=9->0'],
    ['WINDOW_UPDATE', { oldSndWnd: 0, sndWnd: 4 }, 'snd_wnd=0->4'],
    ['SACK', { segments: 2, bytes: 2896 }, 'blocks=2 bytes=2896'],
    ['SACK', { segments: 1, dsack: 1 }, 'blocks=1 bytes=0 dsack=true'],
    ['TIMEOUT', { caState: 4, oldCaState: 4, rto: 51 }, 'ca_state=loss->loss rto_ms=204'],
  ];
  for (const [name, values, text] of texts) {
    const record = { ...RECORD, ...values, event: EVENT_NAMES.indexOf(name) };
    t.equal(detailsText(record, NAMES), text, name);
  }
  const silent = { ...RECORD, event: EVENT_NAMES.indexOf('RESET') };
  t.equal(detailsText(silent, { ...NAMES, resetReasons: null }), 'direction=sent');
  const timeout = { ...RECORD, event: EVENT_NAMES.indexOf('TIMEOUT'), rto: 51 };
  const unknown = detailsText(timeout, { ...NAMES, msPerJiffy: null });
  t.equal(unknown, 'ca_state=open->open rto_ms=-', 'jiffies of unknown length are no time');
  t.end();
});

t.test('what an event does not have is N/A, and null in JSON', (t) => {
  const columns = insightColumns(false, () => 0, NAMES);
  const record = { ...RECORD, event: EVENT_NAMES.indexOf('RESET') };
  const row = formatter('table', columns).line(record).trim().split(/ +/);
  t.strictSame(row.slice(0, 4), ['N/A', 'N/A', 'N/A', 'RESET']);
  t.strictSame(row.slice(6, 10), ['N/A', 'N/A', 'N/A', 'N/A']);
  const json: unknown = JSON.parse(formatter('json', columns).line(record));
  t.match(json, { pid: null, tid: null, process: null, state: null, rtt_us: null, sock: null });
  t.end();
});

t.test('the length of a jiffy is that of the configuration, or not known', (t) => {
  const folder = t.testdir({
    'config.gz': gzipSync('CONFIG_HZ_1000=y\nCONFIG_HZ=1000\n'),
    config: '# CONFIG_HZ_250 is not set\nCONFIG_HZ=100\n',
    other: 'CONFIG_NO_HZ=y\n',
  });
  const hz = (...names: string[]) => jiffiesPerSecond(names.map((name) => join(folder, name)));
  t.equal(hz('config.gz', 'config'), 1000);
  t.equal(hz('none', 'other', 'config'), 100);
  t.equal(hz('none', 'other'), null);
  t.end();
});

t.test('a time of day has milliseconds', (t) => {
  t.match(timeOfDay(0), /^\d\d:\d\d:\d\d\.000$/);
  t.end();
});
