/**
 * tcptop, tcp_bytes, tcpsubnet, tcprtt and tcpsynbl without a kernel: their columns, histograms and
 * options, and how counts of an interval are put together.
 */
import { Command } from 'commander';
import t from 'tap';
import { addOptions, valuesOf } from '../src/cli/options.js';
import { COMMON } from '../src/terminal/common.js';
import type { SwappedMap, TakeCounts } from '../src/kernel/swapped-map.js';
import { rttBlocks, type RttForm } from '../src/tools/rtt/blocks.js';
import {
  byOf,
  intervalOf,
  isTutorial,
  OPTIONS as RTT_OPTIONS,
  rttOptions,
  showsAverage,
  unitOf,
  type TypedOptions,
} from '../src/tools/rtt/options.js';
import type { TrafficRow } from '../src/sources/bytes.js';
import { NO_FILTER, parsePrefix } from '../src/sources/filter.js';
import { IntervalCounts } from '../src/sources/interval-counts.js';
import { sumOfRtts, type RttCounts } from '../src/sources/rtt.js';
import { asctime } from '../src/metrics/wall-clock.js';
import { reportText, type Block } from '../src/terminal/report.js';
import { loadCommand } from '../src/commands.js';
import { topRows, trafficBlocks } from '../src/tools/traffic/rows.js';
import { amountOf, DEFAULT_SUBNETS, parseSubnets, subnetOf } from '../src/tools/traffic/subnets.js';

const LAYOUT = {
  ipv4: { local: 'LADDR', peer: 'RADDR', width: 21 },
  ipv6: { local: 'LADDR6', peer: 'RADDR6', width: 32 },
};

function row(changes: Partial<TrafficRow> = {}): TrafficRow {
  return {
    localAddr: '127.0.0.1',
    peerAddr: '127.0.0.2',
    localPort: 7000,
    peerPort: 40_000,
    family: 2,
    cgroup: 7,
    pid: 1234,
    netns: 4_026_531_840,
    comm: 'a-long-name-ed',
    sent: 1023,
    received: 2048,
    ...changes,
  };
}

const V6 = row({ localAddr: '::1', peerAddr: '2001:db8::5', family: 10, pid: 7, comm: 'cat' });

const tableOf = (blocks: readonly Block[]): string[] => blocks.flatMap((block) => block.table());
const jsonOf = (blocks: readonly Block[]): unknown[] => blocks.flatMap((block) => block.json());

t.test('bytes stand in whole KBytes under the heads of bcc, each family in a block', (t) => {
  t.strictSame(tableOf(trafficBlocks([row(), V6], LAYOUT)), [
    'PID     COMM         LADDR                 RADDR                  RX_KB  TX_KB',
    '1234    a-long-name- 127.0.0.1:7000        127.0.0.2:40000            2      0',
    '',
    'PID     COMM         LADDR6                           RADDR6                            RX_KB  TX_KB',
    '7       cat          ::1:7000                         2001:db8::5:40000                     2      0',
  ]);
  t.strictSame(tableOf(trafficBlocks([], LAYOUT)), [], 'no rows, no head');
  t.strictSame(tableOf(trafficBlocks([V6], LAYOUT))[0], '', 'an empty line before IPv6');
  t.end();
});

t.test('a program gets exact bytes, and both families under one head', (t) => {
  t.strictSame(jsonOf(trafficBlocks([row({ sent: 1 }), V6], LAYOUT)), [
    {
      pid: 1234,
      process: 'a-long-name-ed',
      network_local_address: '127.0.0.1',
      network_local_port: 7000,
      network_peer_address: '127.0.0.2',
      network_peer_port: 40_000,
      bytes_received: 2048,
      bytes_sent: 1,
    },
    {
      pid: 7,
      process: 'cat',
      network_local_address: '::1',
      network_local_port: 7000,
      network_peer_address: '2001:db8::5',
      network_peer_port: 40_000,
      bytes_received: 2048,
      bytes_sent: 1023,
    },
  ]);
  t.equal(
    reportText(trafficBlocks([row(), V6], LAYOUT), 'csv', 'T', new Set()),
    'TIME,PID,COMM,LADDR,RADDR,RX_KB,TX_KB\n' +
      'T,1234,a-long-name-ed,127.0.0.1:7000,127.0.0.2:40000,2,0\n' +
      'T,7,cat,::1:7000,2001:db8::5:40000,2,0\n',
  );
  t.end();
});

t.test('rows are sorted by what was asked for, and as many as were asked for', (t) => {
  const rows = [
    row({ pid: 1, sent: 10, received: 0 }),
    row({ pid: 2, sent: 4, received: 7 }),
    row({ pid: 3, sent: 0, received: 9 }),
  ];
  const pids = (sorted: readonly TrafficRow[]): number[] => sorted.map(({ pid }) => pid);
  t.strictSame(pids(topRows(rows)), [2, 1, 3]);
  t.strictSame(pids(topRows(rows, 'sent')), [1, 2, 3]);
  t.strictSame(pids(topRows(rows, 'received')), [3, 2, 1]);
  t.strictSame(pids(topRows(rows, 'all', 2)), [2, 1]);
  t.strictSame(pids(rows), [1, 2, 3], 'the rows themselves stay as they are');
  t.end();
});

t.test('the time stands as asctime() of C writes it', (t) => {
  t.equal(asctime(new Date(2026, 10, 1, 3, 4, 5).getTime()), 'Sun Nov  1 03:04:05 2026');
  t.equal(asctime(new Date(2026, 11, 31, 23, 59, 59).getTime()), 'Thu Dec 31 23:59:59 2026');
  t.end();
});

t.test('an address belongs to the first subnet that holds it', (t) => {
  const list = '10.1.0.0/16, 10.0.0.0/8,192.0.2.128/25,2001:db8::/33,0.0.0.0/0';
  const parsed = { subnets: [], ...parseSubnets(list) };
  const of = (address: string): string | null => subnetOf(address, parsed.subnets);
  t.equal(of('10.1.255.255'), '10.1.0.0/16');
  t.equal(of('10.2.0.1'), '10.0.0.0/8');
  t.equal(of('192.0.2.128'), '192.0.2.128/25');
  t.equal(of('192.0.2.127'), '0.0.0.0/0');
  t.equal(of('2001:db8:7fff::1'), '2001:db8::/33');
  t.equal(of('2001:db8:8000::1'), null, 'no subnet of IPv4 holds IPv6');
  const six = parseSubnets('::/0');
  t.equal('subnets' in six && subnetOf('10.0.0.1', six.subnets), null, 'nor the other way round');
  const { subnets } = { subnets: [], ...parseSubnets(DEFAULT_SUBNETS) };
  t.strictSame(
    ['127.0.0.1', '127.0.0.2', '172.31.0.1', '192.168.1.1'].map((a) => subnetOf(a, subnets)),
    ['127.0.0.1/32', '0.0.0.0/0', '172.16.0.0/12', '192.168.0.0/16'],
  );
  t.strictSame(parseSubnets('10.0.0.0/8,10.0.0.0/33'), { wrong: '10.0.0.0/33' });
  t.strictSame(parseSubnets(''), { wrong: '' });
  t.end();
});

t.test('amounts are bits and bytes in powers of 1024', (t) => {
  const amounts = (['b', 'k', 'm', 'B', 'K', 'M'] as const).map((f) => amountOf(3 * 2 ** 20, f));
  t.strictSame(amounts, [3 * 2 ** 23, 3 * 2 ** 13, 24, 3 * 2 ** 20, 3072, 3]);
  t.end();
});

t.test('a subnet that is none is refused with the words of bcc', async (t) => {
  const tool = await loadCommand('tcpsubnet');
  const command = tool
    .command()
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  for (const wrong of ['10.0.0.0/33', '10.0.0/8', 'x', '10.0.0.0/8,'])
    await t.rejects(command.parseAsync([wrong], { from: 'user' }), {
      message: /Subnet \[.*\] is invalid, please refer to the examples\./,
    });
  await t.rejects(command.parseAsync(['-f', 'g'], { from: 'user' }), {
    message: /b, k, m, B, K, M/,
  });
});

const ALL: RttForm = { by: 'nothing', unit: 'usecs', average: false, tutorial: false };
const counts = (changes: Partial<RttCounts> = {}): RttCounts => ({
  address: null,
  buckets: [0, 1, 0, 2],
  sumUs: 3_999,
  count: 3,
  ...changes,
});

t.test('round-trip times have the titles of bcc, and averages rounded down', (t) => {
  t.strictSame(tableOf(rttBlocks([counts()], ALL)), [
    '',
    'All Addresses = *******',
    '     usecs               : count     distribution',
    '         0 -> 1          : 1        |********************                    |',
    '         2 -> 3          : 0        |                                        |',
    '         4 -> 7          : 2        |****************************************|',
  ]);
  const title = (form: Partial<RttForm>, address: string): string | undefined =>
    tableOf(rttBlocks([counts({ address })], { ...ALL, ...form }))[1];
  t.equal(title({ by: 'local' }, '::1'), 'Local Address = ::1');
  t.equal(title({ by: 'peer' }, '192.0.2.1'), 'Remote Address = 192.0.2.1');
  t.equal(title({ by: 'peer', average: true }, '::1'), 'Remote Address = ::1 [AVG 1333]');
  t.equal(
    title({ by: 'peer', average: true, unit: 'msecs' }, '::1'),
    'Remote Address = ::1 [AVG 1]',
  );
  t.end();
});

t.test('a program is told the address, the average and the ranges that have counts', (t) => {
  const form = { ...ALL, by: 'local', average: true } as const;
  const buckets = [
    { from: 0, to: 1, count: 1 },
    { from: 4, to: 7, count: 2 },
  ];
  t.strictSame(jsonOf(rttBlocks([counts({ address: '::1' })], form)), [
    { network_local_address: '::1', average_us: 1333, count: 3, unit: 'usecs', buckets },
  ]);
  const many = [counts({ address: '::1' }), counts({ address: '::2', count: 9 })];
  const addresses = jsonOf(rttBlocks(many, { ...ALL, by: 'peer' }));
  t.match(addresses, [{ network_peer_address: '::2' }, { network_peer_address: '::1' }]);
  t.end();
});

t.test("the tutorial's form has its keys, which are addresses as numbers", (t) => {
  const form = { ...ALL, by: 'local', average: true, tutorial: true } as const;
  t.strictSame(tableOf(rttBlocks([counts({ address: '127.0.0.1' })], form)), [
    'key =  16777343',
    'latency = 3999',
    'cnt = 3',
    '',
    '     (unit)              : count    distribution',
    '         0 -> 1          : 1        |********************                    |',
    '         2 -> 3          : 0        |                                        |',
    '         4 -> 7          : 2        |****************************************|',
    '',
  ]);
  const all = tableOf(rttBlocks([counts()], { ...ALL, tutorial: true }));
  t.strictSame(all.slice(0, 3), ['key =  0', 'latency = 0', 'cnt = 0']);
  t.equal(tableOf(rttBlocks([counts({ address: '::1' })], form))[0], 'key =  ::1');
  t.end();
});

function parsedRtt(...args: string[]): TypedOptions {
  const command = new Command().exitOverride().configureOutput({ writeErr: () => undefined });
  const options = { ...RTT_OPTIONS, ...COMMON, ...RTT_OPTIONS };
  addOptions(command, options);
  command.parse(args, { from: 'user' });
  return { ...valuesOf(command, options), libbpfLog: false };
}

t.test('each option of tcprtt does what it says, under all its names', (t) => {
  const filter = (...args: string[]) =>
    rttOptions(parsedRtt(...args), { namespaces: [], cgroup: null }).filter;
  const loopback = parsePrefix('127.0.0.1');
  t.strictSame(filter(), NO_FILTER);
  for (const name of ['-p', '--lport', '--targ_sport'])
    t.strictSame(filter(name, '80').localPorts, [80], name);
  for (const name of ['-P', '--rport', '--targ_dport'])
    t.strictSame(filter(name, '80').peerPorts, [80], name);
  for (const name of ['-a', '--laddr', '--targ_saddr'])
    t.strictSame(filter(name, '127.0.0.1').localAddresses, [loopback], name);
  for (const name of ['-A', '--raddr', '--targ_daddr'])
    t.strictSame(filter(name, '127.0.0.1').peerAddresses, [loopback], name);
  t.strictSame(filter('--targ_daddr', '16777343').peerAddresses, [loopback], 'as a number');
  t.strictSame(filter('--port', '80,443').ports, [80, 443]);
  t.strictSame([filter('-4').family, filter('-6').family], [4, 6]);
  for (const name of ['-m', '--milliseconds', '--millisecond', '--targ_ms'])
    t.equal(unitOf(parsedRtt(name)), 'msecs', name);
  for (const name of ['-b', '--byladdr', '--targ_laddr_hist'])
    t.equal(byOf(parsedRtt(name)), 'local', name);
  for (const name of ['-B', '--byraddr', '--targ_raddr_hist'])
    t.equal(byOf(parsedRtt(name)), 'peer', name);
  for (const name of ['-e', '--extension', '--targ_show_ext'])
    t.ok(showsAverage(parsedRtt(name)), name);
  t.strictSame(
    [unitOf(parsedRtt()), byOf(parsedRtt()), showsAverage(parsedRtt())],
    ['usecs', 'nothing', false],
  );
  t.throws(() => parsedRtt('-b', '-B'), { message: /cannot be used with/ });
  t.throws(() => parsedRtt('-4', '-6'), { message: /cannot be used with/ });
  t.throws(() => parsedRtt('--targ_saddr', 'x'), { message: /IPv4 or IPv6 address/ });
  t.end();
});

t.test("one of the tutorial's names is enough for its form, with a report each second", (t) => {
  t.notOk(isTutorial(parsedRtt('-b', '-e', '-m')));
  for (const args of [['--targ_ms'], ['--targ_sport', '80'], ['--targ_daddr', '::1']])
    t.ok(isTutorial(parsedRtt(...args)), args.join(' '));
  t.match(parsedRtt('--debug'), { verbose: true }, 'the same as --verbose');
  t.equal(intervalOf(parsedRtt()), null, 'else there is one at the end');
  t.equal(intervalOf(parsedRtt('-i', '0.5')), 0.5);
  t.equal(intervalOf(parsedRtt('--targ_ms')), 1);
  t.equal(intervalOf(parsedRtt('--targ_ms', '-i', '3')), 3);
  t.end();
});

t.test('counts that a metric looked at in between are part of the next answer too', (t) => {
  const drains: [key: number, value: number][][] = [
    [[1, 10]],
    [
      [1, 5],
      [2, 7],
    ],
    [],
  ];
  const view = (value: number): DataView => new DataView(Uint32Array.of(value).buffer);
  const map = {
    drain: (take: TakeCounts) => {
      for (const [key, value] of drains.shift() ?? []) take(view(key), view(value));
    },
    lost: 3,
  } as unknown as SwappedMap;
  const interval = new IntervalCounts(map, {
    key: (key) => key.getUint32(0, true),
    value: (value) => value.getUint32(0, true),
    sum: (a, b) => a + b,
  });
  const told: [number, number][] = [];
  const collect = (): void => {
    interval.collect((key, value) => told.push([key, value]));
  };
  collect();
  collect();
  t.strictSame(interval.take(), [
    { key: 1, value: 15 },
    { key: 2, value: 7 },
  ]);
  collect();
  t.strictSame(interval.take(), [], 'no count comes twice');
  t.strictSame(told, [
    [1, 10],
    [1, 5],
    [2, 7],
  ]);
  t.equal(interval.lost, 3);
  t.end();
});

t.test('round-trip times of two times add up bucket by bucket', (t) => {
  const a = { buckets: [0, 1, 2], sumUs: 5, count: 3 };
  const b = { buckets: [0, 0, 4], sumUs: 9, count: 4 };
  t.strictSame(sumOfRtts(a, b), { buckets: [0, 1, 6], sumUs: 14, count: 7 });
  t.strictSame(a.buckets, [0, 1, 2], 'the first one stays as it is');
  t.end();
});
